"""Scales the values of fields: by a factor and an offset, or from one range to another. The results are floats.

Booleans count as 0 and 1, text as the number that it is. A value that is none stays as it is.
"""

from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, Processor, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo
from pyagent.kit.numbers import divided, parse_float
from pyagent.kit.once import Once
from pyagent.kit.shown import quoted

__all__ = ["Scale", "ScaleOptions", "Scaling"]


class Scaling(Options, frozen=True):
    fields: Annotated[list[str], option("keys of fields, wildcards allowed; empty: none")] = []
    factor: Annotated[float | None, option("what a value is multiplied by; 1 where only `offset` is there")] = None
    offset: Annotated[float | None, option("what is added then")] = None
    input_minimum: Annotated[float | None, option("or else: this value becomes `output_minimum`")] = None
    input_maximum: Annotated[float | None, option("and this one `output_maximum`")] = None
    output_minimum: Annotated[float | None, option("see `input_minimum`")] = None
    output_maximum: Annotated[float | None, option("see `input_maximum`")] = None


class ScaleOptions(Options, frozen=True):
    scaling: Annotated[list[Scaling], option("what is scaled; one table each")] = []

    def remarks(self) -> list[tuple[str, str]]:
        known: set[str] = set()
        twice: dict[str, None] = {}
        for name in (name for table in self.scaling for name in table.fields):
            if name in known:
                twice[name] = None
            known.add(name)
        found = [("scaling", f"names the field {name!r} twice: it is scaled twice") for name in twice]
        if any(not table.fields for table in self.scaling):
            found.append(("scaling", "has a table without `fields`, which scales nothing"))
        return found


class Scale(Processor[ScaleOptions]):
    def setup(self) -> None:
        if not self.options.scaling:
            raise ConfigError("cannot scale anything: add [[processors.scale.scaling]]")
        steps = []
        for number, table in enumerate(self.options.scaling, 1):
            try:
                line = _line(table)
                if table.fields:
                    steps.append((name_filter(table.fields, names=("fields", "")), line))
            except ConfigError as error:
                raise ConfigError(f"scaling {number}: {error}", option="scaling") from None

        def scaled(keys: tuple[str, ...]) -> list[tuple[str, "_Line"]]:
            return [(key, line) for matches, line in steps for key in keys if matches(key)]

        self._scaled = KeysMemo(scaled)
        self._once = Once()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            if found := self._scaled[tuple(metric.fields)]:
                metric.fields = fields = dict(metric.fields)
                for key, (scale, shift, offset) in found:
                    value = fields[key]
                    number = value if type(value) is float else self._number(key, value)
                    if number is not None:
                        fields[key] = scale * (number - shift) + offset
        return metrics

    def _number(self, key: str, value: FieldValue) -> float | None:
        if not isinstance(value, str):
            return float(value)
        number = parse_float(value)
        if number is None and self._once(key):
            self.log.error("cannot scale the field %s: %.80s is no number", quoted(key), quoted(value))
        return number


_Line = tuple[float, float, float]
"""The factor, what is taken off before, and what is added behind."""


def _line(table: Scaling) -> _Line:
    names = f"of {', '.join(table.fields) or 'no fields'}"
    low, high = table.input_minimum, table.input_maximum
    to_low, to_high = table.output_minimum, table.output_maximum
    ranges = [bound is not None for bound in (low, high, to_low, to_high)]
    if any(ranges) and (table.factor is not None or table.offset is not None):
        raise ConfigError(f"cannot use factor or offset {names} beside minimum and maximum: choose one")
    if low is not None and high is not None and to_low is not None and to_high is not None:
        if low == high or to_low == to_high:
            which = "input" if low == high else "output"
            raise ConfigError(f"cannot scale the values {names}: {which} minimum and maximum are equal")
        return divided(to_high - to_low, high - low), low, to_low
    if any(ranges):
        raise ConfigError(f"cannot scale the values {names}: one of the four minimum and maximum values is missing")
    if table.factor is None and table.offset is None:
        raise ConfigError(f"cannot scale the values {names}: it has no factor, offset, minimum or maximum")
    return (1.0 if table.factor is None else table.factor), 0.0, (0.0 if table.offset is None else table.offset)
