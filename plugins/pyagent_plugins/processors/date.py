"""Adds the time of metrics as a tag or a field.

It is written by a layout: the month, the hour, a date.
"""

from typing import Annotated

from pyagent.api import ConfigError, Duration, Metric, Options, Processor, option
from pyagent.kit.layouts import TimeLayout
from pyagent.kit.timestamps import load_zone

__all__ = ["Date", "DateOptions"]

_UNITS = {"unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}


class DateOptions(Options, frozen=True):
    tag_key: Annotated[str, option("tag for it")] = ""
    field_key: Annotated[str, option("field for it; this or tag_key, not both")] = ""
    date_format: Annotated[
        str, option("a layout of Go's reference time; for a field also unix, unix_ms, unix_us or unix_ns, integers")
    ] = ""
    date_offset: Annotated[Duration, option("added to the time; may be negative")] = Duration(0)
    timezone: Annotated[str, option("an IANA name, or Local")] = "UTC"


class Date(Processor[DateOptions]):
    def setup(self) -> None:
        options = self.options
        if options.field_key and options.tag_key:
            raise ConfigError("cannot use field_key beside tag_key; set one of them", option="field_key")
        if not options.field_key and not options.tag_key:
            raise ConfigError("cannot add a date: there is no field_key and no tag_key; set one of them")
        try:
            zone = load_zone(options.timezone)
        except ValueError as error:
            raise ConfigError(f"cannot use the timezone: {error}", option="timezone") from None
        self._unit = _UNITS.get(options.date_format, 0) if options.field_key else 0
        self._layout = TimeLayout(options.date_format, zone)
        self._last: tuple[int, str] = (0, self._layout.format(0))

    def process(self, metrics: list[Metric]) -> list[Metric]:
        tag, field, offset = self.options.tag_key, self.options.field_key, self.options.date_offset
        layout = self._layout
        last, text = self._last
        for metric in metrics:
            time = metric.time + offset
            if unit := self._unit:
                metric.fields = {**metric.fields, field: _count(time, unit)}
                continue
            if (grain := time // layout.grain) != last:
                last, text = grain, layout.format(time)
            if tag:
                metric.tags = {**metric.tags, tag: text}
            else:
                metric.fields = {**metric.fields, field: text}
        self._last = last, text
        return metrics


def _count(time: int, unit: int) -> int:
    """Seconds are rounded down, others towards 1970, as there."""
    return time // unit if time >= 0 or unit == 1_000_000_000 else -(-time // unit)
