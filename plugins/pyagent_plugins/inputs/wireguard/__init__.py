"""Devices of WireGuard and their peers.

Asks the kernel by netlink, and programs that serve devices in its place by their sockets. Names and types are those of
Telegraf 1.40.
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    counters,
    fields,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.netlink import UnknownFamily
from pyagent_plugins.inputs.wireguard.devices import Device, Peer
from pyagent_plugins.inputs.wireguard.kernel import kernel_devices
from pyagent_plugins.inputs.wireguard.userspace import userspace_devices

__all__ = ["Wireguard", "WireguardOptions"]

_NANOSECONDS = 1_000_000_000


class WireguardOptions(Options, frozen=True):
    devices: Annotated[list[str], option("names of the devices ([]: all)")] = []


class Wireguard(Input[WireguardOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "wireguard_device",
            "A device.",
            tags={"name": "its name", "type": "linux_kernel, or userspace where a program serves it"},
            fields=fields(
                "int",
                "1",
                listen_port="its UDP port",
                firewall_mark="mark of the packets that it sends",
                peers="how many peers it has",
            ),
            charts=(Chart("Peers", ("peers",)),),
        ),
        Measurement(
            "wireguard_peer",
            "A peer of a device.",
            tags={"device": "the device", "public_key": "its public key, in base64"},
            fields=fields(
                "int",
                "ns",
                persistent_keepalive_interval_ns="a packet goes to it so often; 0: never",
                last_handshake_time_ns="time since 1970 at the last handshake; 0: there was none",
            )
            | fields("int", "1", protocol_version="of WireGuard", allowed_ips="how many networks it may send from")
            | fields("str", "", endpoint="ADDRESS:PORT it was last seen at", allowed_peer_cidr="these networks")
            | counters("int", "bytes", rx_bytes="received from it", tx_bytes="sent to it"),
            charts=(Chart("Traffic of peers", ("rx_bytes", "tx_bytes")),),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        found: set[str] = set()
        for device in self._devices(failures):
            if device.name not in found:
                found.add(device.name)
                _add(acc, device)
        unknown = [failure for failure in failures if isinstance(failure, UnknownFamily)]
        if unknown and found.issuperset(self.options.devices) and found:
            failures.remove(unknown[0])  # programs serve all that is asked for
        elif unknown or not failures:
            failures += [
                PyagentError(f"cannot read the WireGuard device {name!r}: there is none of this name")
                for name in self.options.devices
                if name not in found
            ]
        if failures:
            raise joined_failures(failures)

    def _devices(self, failures: list[Exception]) -> Iterator[Device]:
        """Those of the kernel, then the others."""
        try:
            yield from kernel_devices(self.options.devices)
        except PyagentError as error:
            failures.append(error)
        yield from userspace_devices(self.options.devices, failures)


def _add(acc: Accumulator, device: Device) -> None:
    tags = {"name": device.name, "type": device.kind}
    acc.add("wireguard_device", {"listen_port": device.port, "firewall_mark": device.mark}, tags)
    acc.add("wireguard_device", {"peers": len(device.peers)}, tags, kind=MetricType.GAUGE)
    for key, peer in device.peers.items():
        _add_peer(acc, peer, {"device": device.name, "public_key": b64encode(key).decode()})


def _add_peer(acc: Accumulator, peer: Peer, tags: dict[str, str]) -> None:
    settings: dict[str, Any] = {
        "persistent_keepalive_interval_ns": peer.keepalive * _NANOSECONDS,
        "protocol_version": peer.protocol,
        "allowed_ips": len(peer.allowed),
    }
    if peer.endpoint:
        settings["endpoint"] = peer.endpoint
    if peer.allowed:
        settings["allowed_peer_cidr"] = ",".join(peer.allowed)
    acc.add("wireguard_peer", settings, tags)
    counted = {"last_handshake_time_ns": peer.handshake, "rx_bytes": peer.received, "tx_bytes": peer.sent}
    acc.add("wireguard_peer", counted, tags, kind=MetricType.GAUGE)
