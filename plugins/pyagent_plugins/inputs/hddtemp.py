"""Temperatures of disks, from the daemon hddtemp."""

from typing import Annotated

from pyagent.api import Accumulator, Chart, Field, Input, Measurement, Options, option
from pyagent.kit.connection import ServerAddress, connected
from pyagent.kit.numbers import parse_integer
from pyagent.kit.shown import quoted

__all__ = ["Hddtemp", "HddtempOptions"]


class HddtempOptions(Options, frozen=True):
    address: Annotated[str, option("the daemon, HOST:PORT")] = "127.0.0.1:7634"
    devices: Annotated[list[str], option("disks such as sda (* or []: all)")] = []


_TIMEOUT = 10.0
_PIECES = 5
"""`|/dev/sda|MODEL|36|C|` for each disk: nothing, and four words."""


class Hddtemp(Input[HddtempOptions]):
    measurements = (
        Measurement(
            "hddtemp",
            "The temperature of a disk; 0 where the daemon has none, and `status` says why.",
            tags={
                "device": "the disk, such as sda",
                "model": "its model",
                "unit": "C or F; * where there is no temperature",
                "status": "why there is no temperature: SLP asleep, NA not available, UNK not known, ERR an error",
                "source": "the host of the daemon",
            },
            fields={"temperature": Field("int", "1", "in the unit of the tag")},
            charts=(Chart("Temperatures", ("temperature",)),),
        ),
    )

    def setup(self) -> None:
        self._address = ServerAddress.of(self.options.address, default_port=7634, option="address")

    async def gather(self, acc: Accumulator) -> None:
        async with connected(self._address, timeout=_TIMEOUT) as connection:
            pieces = (await connection.rest()).decode("utf-8", "replace").split("|")
            for start in range(0, len(pieces) - _PIECES + 1, _PIECES):
                before, device, model, text, unit = pieces[start : start + _PIECES]
                if before.strip():
                    connection.fail(f"{quoted(before[:40])} stands before the disk {quoted(device[:40])}")
                if not unit:
                    connection.fail(f"the answer ends within a disk, after {quoted(text[:40])}")
                self._add(device.rpartition("/")[2], model, text, unit, acc)
            rest = pieces[len(pieces) - len(pieces) % _PIECES :]
            if len(rest) > 1 or (rest and rest[0].strip()):
                connection.fail(f"the answer ends within a disk, at {quoted('|'.join(rest)[:80])}")

    def _add(self, device: str, model: str, text: str, unit: str, acc: Accumulator) -> None:
        wanted = self.options.devices
        if wanted and "*" not in wanted and device not in wanted:
            return
        number = parse_integer(text)
        known = number is not None and -(2**31) <= number < 2**31
        tags = {
            "device": device,
            "model": model,
            "unit": unit,
            "status": "" if known else text,
            "source": self._address.path or self._address.host,
        }
        acc.add(
            "hddtemp",
            {"temperature": number if known else 0},
            {name: value for name, value in tags.items() if value},
        )
