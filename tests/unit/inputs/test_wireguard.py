"""The input wireguard, against answers laid out as <linux/wireguard.h> and the protocol of programs have them."""

import errno
import os
import socket
import struct
import sys
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, MetricType, PyagentError
from pyagent.kit.netlink import attribute, attributes, text
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.wireguard import Wireguard
from pyagent_plugins.inputs.wireguard.userspace import _parsed, userspace_devices
from support.netlink_kernel import FakeKernel, Message, done, flipped, gathered_here, generic, refusal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

FAMILY, ROUTE_LINKS = 35, 18
SECRET = bytes(range(1, 33))
FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (0xA1, 0xB2, 0xC3))
FOURTH_NET, SIXTH_NET = ("10.8.0.0", 24), ("fd00::", 64)


def _networks(*networks: tuple[str, int]) -> bytes:
    found = []
    for address, bits in networks:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        parts = attribute(1, struct.pack("=H", family)) + attribute(2, socket.inet_pton(family, address))
        found.append(attribute(0, parts + attribute(3, bytes([bits])), nested=True))
    return attribute(9, b"".join(found), nested=True)


def _peer(key: bytes, *parts: bytes) -> bytes:
    return attribute(0, attribute(1, key) + b"".join(parts), nested=True)


def _whole_peer(key: bytes, endpoint: bytes, *networks: tuple[str, int]) -> bytes:
    return _peer(
        key,
        attribute(2, SECRET),
        attribute(6, struct.pack("=qq", 1582513584, 530013376)),
        attribute(5, struct.pack("=H", 60)),
        attribute(8, struct.pack("=Q", 13540)),
        attribute(7, struct.pack("=Q", 1 << 40)),
        attribute(10, struct.pack("=I", 1)),
        attribute(4, endpoint),
        _networks(*networks),
    )


FOURTH = struct.pack("=H2s4s8x", socket.AF_INET, (51820).to_bytes(2, "big"), bytes([192, 168, 1, 100]))
SIXTH = struct.pack(
    "=H2sI16sI", socket.AF_INET6, (443).to_bytes(2, "big"), 0, socket.inet_pton(socket.AF_INET6, "fe80::1"), 2
)


def _device(name: str, *peers: bytes, settings: bool = True) -> Message:
    """The first message of a device, or, without its settings, one that goes on with its peers."""
    parts = attribute(2, name.encode() + b"\0")
    if settings:
        parts += attribute(1, struct.pack("=I", 7)) + attribute(3, SECRET) + attribute(4, THIRD)
        parts += attribute(6, struct.pack("=H", 58216)) + attribute(7, struct.pack("=I", 51820))
    return generic(FAMILY, parts + attribute(8, b"".join(peers), nested=True), command=0)


def _link(name: str, kind: str) -> Message:
    info = attribute(18, attribute(1, kind.encode() + b"\0"), nested=True)
    return Message(16, struct.pack("=BxHiII", 0, 1, 7, 0, 0) + attribute(3, name.encode() + b"\0") + info)


Datagrams = Iterable[Iterable[Message]]


def _kernel(**devices: Datagrams) -> FakeKernel:
    def answer(kind: int, body: bytes) -> Datagrams:
        if kind == ROUTE_LINKS:
            return [[_link("eth0", "veth"), *(_link(name, "wireguard") for name in devices), done()]]
        name = text(attributes(body[4:])[2])
        return devices.get(name, [[refusal(errno.ENODEV)]])

    return FakeKernel({"wireguard": FAMILY}, answer)


WHOLE = [
    [_device("wg0", _whole_peer(FIRST, FOURTH, FOURTH_NET, SIXTH_NET), _whole_peer(SECOND, SIXTH, ("0.0.0.0", 0)))],
    [_device("wg0", _peer(SECOND, _networks(("::", 0), ("192.0.2.7", 32))), _peer(THIRD), settings=False)],
    [done()],
]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of sockets, which is not there at first."""
    monkeypatch.setenv("HOST_RUN", str(tmp_path))
    return tmp_path / "wireguard"


def _gathered(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, **options: object) -> list[Metric]:
    kernel.install(monkeypatch)
    metrics = run_input(Wireguard, options)
    assert_declared(Wireguard, metrics)
    return metrics


def test_a_device_and_peers_over_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(wg0=WHOLE)
    metrics = _gathered(kernel, monkeypatch)
    device = "wireguard_device,name=wg0,type=linux_kernel"
    peers = [f"wireguard_peer,device=wg0,public_key={b64encode(key).decode()}" for key in (FIRST, SECOND, THIRD)]
    told = [line.replace("\\=", "=") for line in lines(metrics)]
    kept = "persistent_keepalive_interval_ns=60000000000i,protocol_version=1i"
    counted = "last_handshake_time_ns=1582513584530013376i,rx_bytes=1099511627776i,tx_bytes=13540i"
    expected = [
        f"{device} firewall_mark=51820i,listen_port=58216i",
        f"{device} peers=3i",
        f'{peers[0]} allowed_ips=2i,allowed_peer_cidr="10.8.0.0/24,fd00::/64",endpoint="192.168.1.100:51820",{kept}',
        f"{peers[0]} {counted}",
        f'{peers[1]} allowed_ips=3i,allowed_peer_cidr="0.0.0.0/0,::/0,192.0.2.7/32",endpoint="[fe80::1]:443",{kept}',
        f"{peers[1]} {counted}",
        f"{peers[2]} allowed_ips=0i,persistent_keepalive_interval_ns=0i,protocol_version=0i",
        f"{peers[2]} last_handshake_time_ns=0i,rx_bytes=0i,tx_bytes=0i",
    ]
    assert sorted(told) == sorted(expected)
    assert [metric.kind for metric in metrics] == [MetricType.UNTYPED, MetricType.GAUGE] * 4
    # A list of one device by its name, which ends with a zero byte.
    assert kernel.asked[1] == (FAMILY, 0x301, bytes.fromhex("00010000") + struct.pack("=HH", 8, 2) + b"wg0\0")


@pytest.mark.parametrize(
    ("sockaddr", "shown"),
    [
        (struct.pack("=H2s4s8x", 2, b"\0\1", b"\x7f\0\0\1"), "127.0.0.1:1"),
        (struct.pack("=H2sI16sI", 10, b"\xff\xff", 0, bytes(10) + b"\xff\xff\1\2\3\4", 0), "1.2.3.4:65535"),
        (struct.pack("=H2sI16sI", 10, b"\0\1", 0, bytes(12) + b"\1\2\3\4", 0), "[::102:304]:1"),
    ],
)
def test_endpoints(sockaddr: bytes, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = _gathered(_kernel(wg0=[[_device("wg0", _whole_peer(FIRST, sockaddr)), done()]]), monkeypatch)
    assert metrics[2].fields["endpoint"] == shown


def test_devices_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(wg0=WHOLE, wg1=[[_device("wg1"), done()]])
    metrics = _gathered(kernel, monkeypatch, devices=["wg1"])
    assert {metric.tags["name"] for metric in metrics} == {"wg1"}
    with pytest.raises(PyagentError) as raised:
        _gathered(kernel, monkeypatch, devices=["wg1", "wg7", "a-name-that-is-too-long"])
    assert str(raised.value) == (
        "cannot read the WireGuard device 'a-name-that-is-too-long': there is none of this name;"
        " cannot read the WireGuard device 'wg7': there is none of this name"
    )


def test_a_kernel_without_devices_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel().install(monkeypatch)
    assert run_input(Wireguard) == []


def test_a_device_that_goes_away_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(wg0=[[refusal(errno.ENODEV)]], wg1=[[_device("wg1"), done()]], veth=[[refusal(errno.EOPNOTSUPP)]])
    assert {metric.tags["name"] for metric in _gathered(kernel, monkeypatch)} == {"wg1"}


def test_what_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(wg0=[[refusal(errno.EPERM)]])
    with pytest.raises(
        PyagentError, match=r"^cannot read WireGuard: Operation not permitted; give the agent .*CAP_NET_ADMIN"
    ):
        _gathered(kernel, monkeypatch, devices=["wg0"])
    without = FakeKernel({}, lambda kind, body: [])
    with pytest.raises(
        PyagentError, match=r"cannot read WireGuard: the kernel does not have it; load the module wireguard"
    ):
        _gathered(without, monkeypatch)


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        (_peer(FIRST[:31]), "a key of 31 bytes"),
        (attribute(0, b"", nested=True), "the kernel's answer has no attribute 1"),
        (_peer(FIRST, attribute(4, b"\xff")), "an endpoint of 1 bytes"),
        (_peer(FIRST, attribute(6, b"\xff")), "a time of 1 bytes"),
        (_peer(FIRST, attribute(6, struct.pack("=qq", 1 << 62, 0))), "a time of 4611686018427387904 s and 0 ns"),
        (_peer(FIRST, attribute(6, struct.pack("=qq", -5, 0))), "a time of -5 s and 0 ns"),
        (_peer(FIRST, attribute(7, bytes(3))), "a number of 3 bytes"),
        (_peer(FIRST, attribute(7, b"\xff" * 8)), "a number of 18446744073709551615"),
        (_peer(FIRST, _networks(("10.0.0.0", 33))), "does not appear to be an IPv4 or IPv6 network"),
        (
            _peer(FIRST, attribute(9, attribute(0, attribute(1, struct.pack("=H", 2)) + attribute(2, bytes(16))))),
            "an address of 16 bytes of the family 2",
        ),
    ],
)
def test_answers_that_are_none(peer: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PyagentError, match=message):
        _gathered(_kernel(wg0=[[_device("wg0", peer), done()]]), monkeypatch)


def _secrets(message: str) -> list[str]:
    return [shown for shown in (SECRET.hex(), repr(SECRET), b64encode(SECRET).decode()) if shown in message]


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_answer_gives_metrics_or_one_error(place: int, bits: int) -> None:
    kernel = _kernel(wg0=WHOLE)
    kernel.damage = lambda data: flipped(data, place, bits)
    with pytest.MonkeyPatch.context() as monkeypatch:
        kernel.install(monkeypatch)
        with suppress(PyagentError):
            gathered_here(make_input(Wireguard))


def test_an_answer_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = make_input(Wireguard, {"devices": ["wg0"]})
    whole = WHOLE[0][0].packed(2)
    for size in range(1, len(whole), 3):
        kernel = _kernel(wg0=[WHOLE[0], [done()]])
        kernel.damage = lambda data, size=size: data[:size]
        kernel.install(monkeypatch)
        with pytest.raises(PyagentError, match=r"the kernel's answer cannot be understood") as raised:
            gathered_here(plugin)
        assert _secrets(str(raised.value)) == []


# Programs ----------------------------------------------------------------------------------------------------------------

ANSWER = f"""private_key={SECRET.hex()}
listen_port=12912
fwmark=7
public_key={FIRST.hex()}
preshared_key={SECRET.hex()}
allowed_ip=192.168.4.4/32
allowed_ip=fd00::5/64
endpoint=[fe80::3%eth0]:51820
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=25
protocol_version=1
public_key={SECOND.hex()}
endpoint=182.122.22.19:3233
last_handshake_time_sec=1582513584
last_handshake_time_nsec=5
errno=0

"""


@contextmanager
def _program(path: Path, *pieces: bytes, asked: list[bytes] | None = None) -> Iterator[None]:
    """A program that serves a device; `pieces` are what it sends, one after the other."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as opened:
                question = opened.recv(100)
                if asked is not None:
                    asked.append(question)
                for piece in pieces:
                    opened.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    path.unlink()


def test_a_device_that_a_program_serves(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    whole = ANSWER.encode()
    with _program(run / "wg1.sock", whole[:100], whole[100:], asked=asked):
        device, peers, first, traffic, second, later = _gathered(
            FakeKernel({}, lambda kind, body: []), monkeypatch, devices=["wg1"]
        )
    assert asked == [b"get=1\n\n"]
    assert device.tags == {"name": "wg1", "type": "userspace"}
    assert (device.fields, peers.fields) == ({"listen_port": 12912, "firewall_mark": 7}, {"peers": 2})
    assert first.fields == {
        "persistent_keepalive_interval_ns": 25_000_000_000,
        "protocol_version": 1,
        "allowed_ips": 2,
        "allowed_peer_cidr": "192.168.4.4/32,fd00::/64",
        "endpoint": "[fe80::3%eth0]:51820",
    }
    assert traffic.fields == {"last_handshake_time_ns": 0, "rx_bytes": 2224, "tx_bytes": 38333}
    assert second.fields["endpoint"] == "182.122.22.19:3233"
    assert later.fields["last_handshake_time_ns"] == 1582513584_000000005


def test_programs_beside_the_kernel(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended without removing its socket, and files that are no sockets, do not count."""
    run.mkdir()
    (run / "wg9.name").write_text("utun3")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run / "wg8.sock"))
    with _program(run / "wg1.sock", ANSWER.encode()):
        metrics = _gathered(_kernel(wg0=[[_device("wg0"), done()]]), monkeypatch)
    assert {metric.tags["name"]: metric.tags["type"] for metric in metrics if "name" in metric.tags} == {
        "wg0": "linux_kernel",
        "wg1": "userspace",
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "the answer ends before it is whole"),
        (b"errno=0\n", "the answer ends before it is whole"),
        (b"errno=-2\n\n", "No such file or directory"),
        (
            b"private_key=" + SECRET.hex().encode() + b"\nlisten_port=x\n\n",
            "line 2 of its answer is not what listen_port",
        ),
        (SECRET.hex().encode() + b"\n\n", "line 1 of its answer is not what a name and a value can be"),
        (SECRET.hex().encode() + b"=1\nlisten_port=-1\n\n", "line 2 of its answer is not what listen_port can be"),
        (b"public_key=" + SECRET.hex().encode() + b"0\n\n", "line 1 of its answer is not what public_key can be"),
    ],
)
def test_answers_of_programs_that_are_none(
    answer: bytes, message: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _program(run / "wg1.sock", answer), pytest.raises(PyagentError) as raised:
        _gathered(_kernel(), monkeypatch)
    assert message in str(raised.value)
    assert f"{run}/wg1.sock" in str(raised.value)
    assert _secrets(str(raised.value)) == []


@pytest.mark.parametrize(
    "line",
    [
        "rx_bytes=9223372036854775808",
        "endpoint=1.2.3.4:65536",
        "endpoint=host:1",
        "endpoint=1.2.3.4",
        "allowed_ip=1.2.3/8",
        "persistent_keepalive_interval=65536",
        "persistent_keepalive_interval=off",
        "last_handshake_time_nsec=1000000000",
    ],
)
def test_values_that_cannot_be(line: str) -> None:
    with pytest.raises(ValueError, match=rf"line 2 of its answer is not what {line.partition('=')[0]} can be"):
        _parsed("wg0", f"public_key={FIRST.hex()}\n{line}\n\n".encode())


@given(st.one_of(st.binary(max_size=300), st.integers(0, 600).map(lambda size: ANSWER.encode()[:size])))
def test_any_answer_is_a_device_or_one_error(answer: bytes) -> None:
    with suppress(ValueError, OSError):
        _parsed("wg0", answer)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_no_message_shows_a_secret(place: int, bits: int) -> None:
    try:
        _parsed("wg0", flipped(ANSWER.encode(), place, bits))
    except (ValueError, OSError) as error:
        shown = str(error)
    else:
        shown = ""
    assert _secrets(shown) == []


def test_rights_that_are_missing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pyagent_plugins.inputs.wireguard.userspace.os.scandir", refused)
    with pytest.raises(
        PyagentError, match=rf"^cannot read WireGuard by {run}: Permission denied; give the agent's account"
    ):
        _gathered(_kernel(), monkeypatch)


def test_a_program_that_does_not_answer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps when the program is asked."""
    now = iter([0.0])
    monkeypatch.setattr("pyagent_plugins.inputs.wireguard.userspace.time.monotonic", lambda: next(now, 6.0))
    failures: list[Exception] = []
    with _program(run / "wg1.sock", b"errno=0\n"):
        assert list(userspace_devices([], failures)) == []
    assert [str(failure) for failure in failures] == [f"cannot read WireGuard by {run}/wg1.sock: no answer within 5 s"]
