"""Counters of InfiniBand ports.

Linux: /sys/class/infiniband. Names and types are those of Telegraf 1.40.
"""

import os
from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, Uint, counters, option
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.once import Once
from pyagent.kit.procfs import host_path, read_text

__all__ = ["Infiniband", "InfinibandOptions"]


class InfinibandOptions(Options, frozen=True):
    gather_rdma: Annotated[bool, option("add the counters of the hardware (RDMA)")] = False


class Infiniband(Input[InfinibandOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "infiniband",
            "Each port; a field for each counter that its driver has.",
            tags={"device": "the device", "port": "the number of its port"},
            fields=counters(
                "uint",
                "1",
                port_rcv_data="received, words of four bytes",
                port_xmit_data="sent, words of four bytes",
                port_rcv_packets="packets received",
                port_xmit_packets="packets sent",
                symbol_error="errors on the lanes",
                link_downed="how often the link failed",
                link_error_recovery="how often it recovered",
            ),
            open=True,
        ),
    )

    def setup(self) -> None:
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        root = host_path("sys", "class/infiniband")
        # A device is a link to its folder.
        devices = [name for name in _names(root) if os.path.islink(os.path.join(root, name))]
        if not devices:
            raise PyagentError(
                f"cannot read {root}: there is no InfiniBand device; remove this input, or load its driver"
            )
        for device in devices:
            for port in _names(os.path.join(root, device, "ports")):
                if parse_unsigned(port) is None:
                    raise PyagentError(f"cannot read {root}/{device}/ports: {port!r} is no number of a port")
                for folder in ("counters", "hw_counters") if self.options.gather_rdma else ("counters",):
                    found = self._counters(os.path.join(root, device, "ports", port, folder))
                    if found:
                        acc.add("infiniband", found, {"device": device, "port": port})

    def _counters(self, folder: str) -> dict[str, Uint]:
        found = {}
        for name in _names(folder):
            path = os.path.join(folder, name)
            try:
                text = read_text(path)
            except PyagentError:
                continue  # a folder, or one that the driver does not count
            value = parse_unsigned(text)
            if value is not None:
                found[name] = Uint(value)
            elif self._once(path):
                self.log.warning("cannot read %s: it is no number but %r; it is left out", path, text[:80])
        return found


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
