"""Devices that a program serves, such as wireguard-go or boringtun, by its socket in /run/wireguard.

The protocol is https://www.wireguard.com/xplatform/#configuration-protocol. Its answers hold keys that are secret: no message
shows a value of them.
"""

import os
import re
import socket
import stat
import time
from collections.abc import Iterator, Sequence

from pyagent.api.errors import PyagentError
from pyagent.kit.procfs import host_path
from pyagent_plugins.inputs.wireguard.devices import (
    MOST_SECONDS,
    Device,
    Peer,
    checked,
    shown_endpoint,
    shown_network,
    time_of,
)

__all__ = ["userspace_devices"]

_TIMEOUT = 5.0
_MOST = 64 << 20
_PIECE = 1 << 16
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[^\]]+)?)\]|([0-9.]+)):([0-9]{1,5})")
_NUMBER = re.compile("[0-9]{1,20}")
_KEY = re.compile("[0-9a-fA-F]{64}")
_REFUSED = (
    "give the agent's account the right: `setfacl -m u:pyagent:rwx` for the folder /run/wireguard and the sockets in it"
)


def userspace_devices(names: Sequence[str], failures: list[Exception]) -> Iterator[Device]:
    """Those of `names` that there are; without names, all. One that fails adds to `failures`."""
    folder = host_path("run", "wireguard")
    try:
        with os.scandir(folder) as entries:
            sockets = sorted(
                entry.name for entry in entries if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
            )
    except FileNotFoundError:
        return
    except OSError as error:
        failures.append(_failure(folder, error))
        return
    for file in sockets:
        name = os.path.splitext(file)[0]
        if names and name not in names:
            continue
        path = os.path.join(folder, file)
        try:
            device = _parsed(name, _asked(path))
        except ConnectionRefusedError:
            continue  # the program that made it has ended without removing it
        except OSError as error:
            failures.append(_failure(path, error))
        except ValueError as error:
            failures.append(PyagentError(f"cannot read the WireGuard device {name} by {path}: {error}"))
        else:
            yield device


def _failure(path: str, error: OSError) -> PyagentError:
    if isinstance(error, TimeoutError):
        return PyagentError(f"cannot read WireGuard by {path}: no answer within {_TIMEOUT:g} s")
    remedy = f"; {_REFUSED}" if isinstance(error, PermissionError) else ""
    return PyagentError(f"cannot read WireGuard by {path}: {error.strerror or error}{remedy}")


def _asked(path: str) -> bytes:
    """The answer up to the empty line that ends it. Raises OSError, and ValueError where it does not end."""
    deadline = time.monotonic() + _TIMEOUT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opened:
        opened.settimeout(_TIMEOUT)
        opened.connect(path)
        opened.sendall(b"get=1\n\n")
        answer = bytearray()
        while not answer.endswith(b"\n\n") and answer != b"\n":
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            opened.settimeout(left)
            piece = opened.recv(_PIECE)
            answer += piece
            if not piece:
                raise ValueError("the answer ends before it is whole")
            if len(answer) > _MOST:
                raise ValueError(f"the answer is longer than {_MOST >> 20} MiB")
    return bytes(answer)


def _parsed(name: str, answer: bytes) -> Device:
    """Raises ValueError with the line, and without its value."""
    device = Device(name, "userspace")
    peer: Peer | None = None
    seconds = 0
    for place, line in enumerate(answer.decode("utf-8", "replace").split("\n"), start=1):
        if not line:
            break
        key, separator, value = line.partition("=")
        try:
            if not separator:
                raise ValueError
            if key == "errno":
                if code := abs(int(value[:10])):
                    raise OSError(code, os.strerror(code))
            elif key == "public_key":
                if not _KEY.fullmatch(value):
                    raise ValueError
                peer = device.peers[bytes.fromhex(value)] = Peer()
            elif key == "last_handshake_time_sec":
                seconds = _number(value)
            elif key == "last_handshake_time_nsec" and peer is not None:
                peer.handshake = time_of(seconds, _number(value))
                seconds = 0
            elif peer is None:
                _set_device(device, key, value)
            else:
                _set_peer(peer, key, value)
        except ValueError:
            shown = key if separator and key.isidentifier() and len(key) < 50 else "a name and a value"
            raise ValueError(f"line {place} of its answer is not what {shown} can be") from None
    return device


def _set_device(device: Device, key: str, value: str) -> None:
    if key == "listen_port":
        device.port = _number(value)
    elif key == "fwmark":
        device.mark = _number(value)


def _set_peer(peer: Peer, key: str, value: str) -> None:
    if key == "endpoint":
        found = _ENDPOINT.fullmatch(value)
        if found is None:
            raise ValueError
        peer.endpoint = shown_endpoint(found[1] or found[2], int(found[3]))
    elif key == "persistent_keepalive_interval":
        peer.keepalive = checked(_number(value), MOST_SECONDS)
    elif key == "allowed_ip":
        peer.allowed.append(shown_network(value))
    elif key == "rx_bytes":
        peer.received = _number(value)
    elif key == "tx_bytes":
        peer.sent = _number(value)
    elif key == "protocol_version":
        peer.protocol = _number(value)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return checked(int(text))
