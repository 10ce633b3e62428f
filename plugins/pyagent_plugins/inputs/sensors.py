"""Temperatures, voltages and fans, by lm-sensors.

Runs `sensors -A -u`. Names and types are those of Telegraf 1.40.
"""

import re
from typing import Annotated

from pyagent.api import About, Accumulator, Duration, Input, Measurement, Options, PyagentError, fields, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.numbers import parse_finite
from pyagent.kit.procfs import rows_of

__all__ = ["Sensors", "SensorsOptions"]


class SensorsOptions(Options, frozen=True):
    remove_numbers: Annotated[bool, option("leave numbers out of the names of fields: temp_input for temp1_input")] = (
        True
    )
    timeout: Annotated[Duration, option("how long sensors may take")] = Duration("5s")


_NUMBERS = re.compile("[0-9]+")


class Sensors(Input[SensorsOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "sensors",
            "What each feature of a chip reads; a field is named as its subfeature.",
            tags={"chip": "the chip, such as coretemp-isa-0000", "feature": "the feature, such as core_0"},
            fields=fields("float", "C", temp_input="temperature")
            | fields("float", "V", in_input="voltage")
            | fields("float", "rpm", fan_input="turns of a fan")
            | fields("float", "W", power_average="power")
            | fields("float", "A", curr_input="current"),
            open=True,
        ),
    )

    def setup(self) -> None:
        self._program = find_program("sensors", package="lm-sensors")
        self._commands = Commands(timeout=self.options.timeout.seconds)

    def gather(self, acc: Accumulator) -> None:
        output = self._commands.run([self._program, "-A", "-u"])
        chip, feature, last, empty = "", "", 0, True
        found: dict[str, float] = {}

        def flush() -> None:
            if found:
                acc.add("sensors", dict(found), {"chip": chip, "feature": feature})
                found.clear()

        for row in rows_of("the output of `sensors -A -u`", output.stdout):
            if row.number != last + 1 or not chip:  # an empty line ends a chip
                flush()
                chip, feature = row.text.strip("\r"), ""
            elif not row.text.startswith("  "):
                flush()
                feature = row.text.strip().replace(" ", "_").lower().rstrip(":")
            elif not feature:
                row.fail("it stands under no feature")
            else:
                name, colon, text = row.text.partition(":")
                value = parse_finite(text.partition(":")[0].strip()) if colon else None
                if value is None:
                    row.fail("it is not as in 'temp1_input: 75.000'")
                name = name.strip()
                found[_NUMBERS.sub("", name) if self.options.remove_numbers else name] = value
                empty = False
            last = row.number
        flush()
        if empty:
            raise PyagentError("cannot read the output of `sensors -A -u`: it has no values; run sensors-detect")

    async def stop(self) -> None:
        self._commands.stop()
