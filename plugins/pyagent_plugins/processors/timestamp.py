"""Writes the time that a field has in another format.

A field that cannot be read by the source's format stays as it is.
"""

from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, Processor, option
from pyagent.kit.layouts import TimeLayout, is_layout
from pyagent.kit.numbers import INT64_MIN
from pyagent.kit.timestamps import Zone, load_zone, parse_time

__all__ = ["Timestamp", "TimestampOptions"]

_UNITS = {"unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}


class TimestampOptions(Options, frozen=True):
    field: Annotated[str, option("the field; it gets the result")] = ""
    source_timestamp_format: Annotated[
        str, option("its format: unix, unix_ms, unix_us, unix_ns, or a layout of Go's reference time")
    ] = ""
    source_timestamp_timezone: Annotated[
        str, option("zone of times that name none: an IANA name or Local; empty: UTC")
    ] = ""
    destination_timestamp_format: Annotated[str, option("format of the result, one of the same")] = ""
    destination_timestamp_timezone: Annotated[str, option("zone of the result, where it is a text; empty: UTC")] = ""


class Timestamp(Processor[TimestampOptions]):
    def setup(self) -> None:
        options = self.options
        source = self._format("source_timestamp_format", options.source_timestamp_format)
        destination = self._format("destination_timestamp_format", options.destination_timestamp_format)
        self._source, self._wraps = source, source in _UNITS
        self._zone = self._load("source_timestamp_timezone", options.source_timestamp_timezone)
        zone = self._load("destination_timestamp_timezone", options.destination_timestamp_timezone)
        self._unit = _UNITS.get(destination, 0)
        self._text = TimeLayout(destination, zone).format

    def process(self, metrics: list[Metric]) -> list[Metric]:
        field = self.options.field
        for metric in metrics:
            if (value := metric.fields.get(field)) is not None:
                try:
                    metric.fields = {**metric.fields, field: self._converted(value)}
                except ValueError:
                    continue
        return metrics

    def _converted(self, value: FieldValue) -> int | str:
        time = parse_time(self._source, value, self._zone)
        if self._wraps:
            time = _within_64_bits(time)
        unit = self._unit
        if not unit:
            return self._text(time)
        if unit == 1_000_000_000:
            return time // unit
        time = _within_64_bits(time)
        # Towards 1970, as there.
        return time // unit if time >= 0 else -(-time // unit)

    def _format(self, option: str, text: str) -> str:
        if not text:
            raise ConfigError(f"the option {option!r} is missing; it has no default", option=option)
        if text not in _UNITS and not is_layout(text):
            message = f"the option {option!r} cannot be {text!r}: no part of it stands for a part of a time"
            raise ConfigError(f"{message}; write a layout such as 2006-01-02T15:04:05Z07:00", option=option)
        return text

    def _load(self, option: str, name: str) -> Zone:
        try:
            return load_zone(name)
        except ValueError as error:
            raise ConfigError(f"the option {option!r}: {error}", option=option) from None


def _within_64_bits(time: int) -> int:
    """What a number of nanoseconds becomes there, that 64 bits do not hold."""
    return (time - INT64_MIN) % 2**64 + INT64_MIN
