"""State of AMD's graphics processors.

Runs `rocm-smi --json`. Names and types are those of Telegraf 1.40.
"""

import os
import re
from typing import Annotated, Any

import msgspec

from pyagent.api import About, Accumulator, Duration, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.numbers import parse_finite, parse_integer

__all__ = ["AmdRocmSmi", "AmdRocmSmiOptions"]


class AmdRocmSmiOptions(Options, frozen=True):
    bin_path: Annotated[str, option("the program; where it is not there, that of PATH", executes=True)] = (
        "/opt/rocm/bin/rocm-smi"
    )
    timeout: Annotated[Duration, option("how long it may take")] = Duration("5s")


_ARGUMENTS = (
    "-o -l -m -M -g -c -t -u -i -f -p -P -s -S -v --showreplaycount --showpids --showdriverversion --showmemvendor --showfwinfo"
    " --showproductname --showserial --showuniqueid --showbus --showpendingpages --showpagesinfo --showmeminfo all"
    " --showretiredpages --showunreservablepages --showmemuse --showvoltage --showtopo --showtopoweight --showtopohops"
    " --showtopotype --showtoponuma --json"
)
_TOTAL, _USED = "VRAM Total Memory (B)", "VRAM Total Used Memory (B)"
_INTEGERS = {
    "fan_speed": ("percent", "speed of the fan", ("Fan speed (%)",)),
    "memory_total": ("bytes", "memory", (_TOTAL,)),
    "memory_used": ("bytes", "memory in use", (_USED,)),
    "utilization_gpu": ("percent", "at work", ("GPU use (%)",)),
    "utilization_memory": ("percent", "memory in use", ("GPU Memory Allocated (VRAM%)", "GPU memory use (%)")),
    "clocks_current_sm": ("MHz", "clock of the processor", ("sclk clock speed:",)),
    "clocks_current_memory": ("MHz", "clock of the memory", ("mclk clock speed:",)),
    "clocks_current_display": ("MHz", "clock of the display engine", ("dcefclk clock speed:",)),
    "clocks_current_fabric": ("MHz", "clock of the fabric", ("fclk clock speed:",)),
    "clocks_current_system": ("MHz", "clock of the system", ("socclk clock speed:",)),
}
"""Unit, meaning and keys of each; the last key that holds a number counts."""
_FLOATS = {
    "temperature_sensor_edge": ("C", "temperature at the edge", "Temperature (Sensor edge) (C)"),
    "temperature_sensor_junction": ("C", "temperature at the junction", "Temperature (Sensor junction) (C)"),
    "temperature_sensor_memory": ("C", "temperature of the memory", "Temperature (Sensor memory) (C)"),
    "power_draw": ("W", "power", "Average Graphics Package Power (W)"),
}
_DIGIT = re.compile("[+-]?[0-9]")
_TEXTS = {"card_series": "Card series", "card_model": "Card model", "card_vendor": "Card vendor"}
_KEYS = {
    *(key for _, _, keys in _INTEGERS.values() for key in keys),
    *(key for _, _, key in _FLOATS.values()),
    *_TEXTS.values(),
    "Device ID",
    "GPU ID",
    "Unique ID",
    "Driver version",
}


class AmdRocmSmi(Input[AmdRocmSmiOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "amd_rocm_smi",
            "Each card. Fields that it does not have are left out.",
            tags={"name": "the card, such as card0", "gpu_id": "its model's id", "gpu_unique_id": "its own id"},
            fields={name: Field("int", unit, text) for name, (unit, text, _) in _INTEGERS.items()}
            | {name: Field("float", unit, text) for name, (unit, text, _) in _FLOATS.items()}
            | {name: Field("str", "", f"first word of its {key[5:]}") for name, key in _TEXTS.items()}
            | {
                "memory_free": Field("int", "bytes", "memory not in use"),
                "driver_version": Field("int", "1", "of the driver, without dots"),
            },
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(timeout=self.options.timeout.seconds)

    def gather(self, acc: Accumulator) -> None:
        path = self.options.bin_path
        # A driver may be installed later on.
        program = path if path and os.path.exists(path) else find_program("rocm-smi", "bin_path", package="rocm-smi")
        cards = _read(self._commands.run([program, *_ARGUMENTS.split()]).stdout)
        version = cards.get("system", {}).get("Driver version", "").replace(".", "")
        for name, card in cards.items():
            if "card" in name:
                _add(acc, name, card, version)

    async def stop(self) -> None:
        self._commands.stop()


def _add(acc: Accumulator, name: str, card: dict[str, str], version: str) -> None:
    tags = {
        "name": name,
        "gpu_id": card.get("GPU ID") or card.get("Device ID", ""),
        "gpu_unique_id": card.get("Unique ID", ""),
    }
    found: dict[str, int | float | str | None] = {"driver_version": parse_integer(_word(version))}
    for field, (unit, _, keys) in _INTEGERS.items():
        for key in keys:
            text = card.get(key, "")
            value = parse_integer(_word(text.strip("(Mhz)") if unit == "MHz" else text))
            if value is not None:
                found[field] = value
    # What is not there, or is a word, counts as 0, as Telegraf has it.
    texts = [card.get(key, "") for key in (_TOTAL, _USED)]
    total, used = (parse_integer(text if _DIGIT.match(text) else "0") for text in texts)
    found["memory_free"] = None if total is None or used is None else total - used
    found |= {field: parse_finite(_word(card.get(key, ""))) for field, (_, _, key) in _FLOATS.items()}
    found |= {field: _word(card.get(key, "")) or None for field, key in _TEXTS.items()}
    values = {field: value for field, value in found.items() if value is not None}
    acc.add("amd_rocm_smi", values, {tag: text for tag, text in tags.items() if text})


def _word(text: str) -> str:
    """The first."""
    return text.split(None, 1)[0] if text.strip() else ""


def _read(data: bytes) -> dict[str, dict[str, str]]:
    try:
        document: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise PyagentError(f"cannot read the output of rocm-smi: {error}: {data[:80]!r}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise PyagentError(f"cannot read the output of rocm-smi: it is no object: {data[:80]!r}")
    cards = {}
    for name, card in document.items():
        if not isinstance(card, dict):
            raise PyagentError(f"cannot read the output of rocm-smi: {name[:80]!r} is no object")
        cards[name] = {key: text for key, text in card.items() if key in _KEYS and text is not None}
        for key, text in cards[name].items():
            if not isinstance(text, str):
                raise PyagentError(
                    f"cannot read the output of rocm-smi: {key!r} of {name[:80]!r} is no text: {text!r:.80}"
                )
    return cards
