"""Temperatures of the hardware.

/sys/class/hwmon, or else /sys/class/thermal. Names and types are those of Telegraf 1.40.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import escape, glob
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Input,
    Measurement,
    Options,
    PyagentError,
    fields,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_float
from pyagent.kit.once import Once
from pyagent.kit.procfs import host_path

__all__ = ["Temp", "TempOptions"]

_FORMATS = ("", "v1", "v2")


class TempOptions(Options, frozen=True):
    metric_format: Annotated[
        str, option("v2: names such as coretemp_core_0; v1: such as coretemp_core0_input, also of thresholds")
    ] = "v2"
    add_device_tag: Annotated[bool, option("add the tag `device`, for devices with the same name")] = False
    always_gather_zones: Annotated[bool, option("the thermal zones, too, where hwmon has sensors")] = False


_PER_DEGREE = 1000.0
_MOST = 1e9
_LONGEST = 4096
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""A sensor that sleeps must not hold the agent."""


class Temp(Input[TempOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "temp",
            "One sensor, or with v1 one of its thresholds.",
            tags={"sensor": "its chip and its label", "device": "what it belongs to, with add_device_tag"},
            fields=fields("float", "°C", temp="temperature"),
            charts=(Chart("Temperatures", ("temp",)),),
        ),
    )

    def setup(self) -> None:
        if self.options.metric_format not in _FORMATS:
            message = f"cannot use {self.options.metric_format!r}: it is not v1 or v2"
            raise ConfigError(message, option="metric_format")
        self._v1 = self.options.metric_format == "v1"
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: some chips take milliseconds to answer.
        failures: list[Exception] = []
        sensors = list(self._hwmon())
        if not sensors or self.options.always_gather_zones:
            sensors += self._zones(failures)
        for sensor in sensors:
            self._add(acc, sensor)
        if failures:
            raise joined_failures(failures)

    def _add(self, acc: Accumulator, sensor: "_Sensor") -> None:
        name = sensor.name
        if sensor.label:
            name += "_" + sensor.label.replace(" ", "" if self._v1 else "_")
        values = {"_input" if self._v1 else "": sensor.temperature}
        if self._v1:
            values |= {f"_{threshold}": value for threshold, value in sensor.thresholds.items()}
        device = (sensor.device or None) if self.options.add_device_tag else None
        for suffix, value in values.items():
            acc.add("temp", {"temp": value}, {"sensor": (name + suffix) or None, "device": device})

    def _hwmon(self) -> "Iterator[_Sensor]":
        chips = os.path.join(escape(host_path("sys", "class/hwmon")), "hwmon*")
        # Old kernels have them one folder below.
        inputs = glob(os.path.join(chips, "temp*_input")) or glob(os.path.join(chips, "device", "temp*_input"))
        for path in sorted(inputs):
            folder, file = os.path.split(path)
            prefix = file.partition("_")[0]
            try:
                text = _read(path)
            except OSError as error:
                self.log.debug("cannot read %s: %s", path, error.strerror)
                continue
            value = _temperature(text)
            if value is None:
                shown = text.strip()[:80]
                is_word = bool(shown) and shown.isascii() and shown.isprintable() and parse_float(shown) is None
                if self._once(path):
                    what = "counts as 0, as in Telegraf" if is_word else "is left out"
                    self.log.warning("cannot read %s: line 1: it is no temperature but %r, and %s", path, shown, what)
                if not is_word:
                    continue
                value = 0.0
            device = _target(os.path.join(folder, "device"))
            yield _Sensor(
                name=_text(os.path.join(folder, "name")).strip() or device,
                temperature=value,
                label=_text(os.path.join(folder, f"{prefix}_label")).strip().lower(),
                device=device,
                thresholds=_thresholds(folder, prefix) if self._v1 else {},
            )

    def _zones(self, failures: list[Exception]) -> "Iterator[_Sensor]":
        for path in sorted(glob(os.path.join(escape(host_path("sys", "class/thermal")), "thermal_zone*"))):
            for name in ("type", "temp"):
                try:
                    text = _read(os.path.join(path, name))
                except OSError as error:
                    if not (name == "temp" and error.errno == errno.EAGAIN):  # the hardware sleeps
                        failures.append(PyagentError(f"cannot read {os.path.join(path, name)}: {error.strerror}"))
                    break
                if name == "type":
                    kind = text.strip()
                elif (value := _temperature(text)) is not None:
                    yield _Sensor(kind, value)
                elif self._once(path):
                    self.log.warning("cannot read %s/temp: line 1: it is no temperature, and is left out", path)


@dataclass(frozen=True, slots=True)
class _Sensor:
    name: str
    temperature: float
    label: str = ""
    device: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)


def _thresholds(folder: str, prefix: str) -> dict[str, float]:
    """What else the chip says about a sensor: all of it divided as a temperature, as Telegraf does, also alarms of 0 and 1."""
    found = {}
    for path in sorted(glob(os.path.join(escape(folder), f"{escape(prefix)}_*"))):
        name = os.path.basename(path).partition("_")[2]
        if name not in ("label", "input") and (value := _temperature(_text(path))) is not None:
            found[name] = value
    return found


def _temperature(text: str) -> float | None:
    """Degrees. None for what is none: no number, one that is cut, or a million degrees."""
    value = parse_float(text.strip())
    if value is None or not text.endswith("\n") or not abs(value) < _MOST:
        return None
    return value / _PER_DEGREE


def _target(path: str) -> str:
    """The name of what a link leads to, or nothing. A copy of /sys that lost its links has their targets as texts."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return os.path.basename(_text(path).strip())


def _text(path: str) -> str:
    """Empty where it cannot be read."""
    try:
        return _read(path)
    except OSError:
        return ""


def _read(path: str) -> str:
    descriptor = os.open(path, _READ)
    try:
        return os.read(descriptor, _LONGEST).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
