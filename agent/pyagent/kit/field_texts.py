"""Values of fields as texts, and texts about series that are kept: what serializers do for each metric.

texts = FieldTexts(text=quoted)
line = ",".join([texts[type(value)](value) for value in metric.fields.values()])
"""

from collections.abc import Callable
from decimal import Decimal
from math import isfinite, isnan
from typing import Any, TypeVar

from pyagent.api.metric import FieldValue, Metric, Uint

__all__ = ["FieldTexts", "SeriesMemo", "finite_text", "float_text", "milliseconds", "value_text"]

T = TypeVar("T")
_Write = Callable[[Any], str]
_BOOLEANS = {True: "true", False: "false"}


def float_text(value: float) -> str:
    """The fewest digits that read back as the number, without an exponent, as Telegraf writes it where it stands alone."""
    text = repr(value)
    if text[-2:] == ".0":
        return text[:-2]
    if "e" not in text and "n" not in text:
        return text
    if not isfinite(value):
        return "NaN" if isnan(value) else f"{value:+}".title()
    return format(Decimal(text), "f")


def finite_text(value: float) -> str:
    """The same; empty for NaN and infinities."""
    return float_text(value) if isfinite(value) else ""


def value_text(value: FieldValue) -> str:
    """A field's value as Telegraf writes it where it stands alone."""
    if isinstance(value, bool):
        return _BOOLEANS[value]
    if isinstance(value, float):
        return float_text(value)
    return str(value)


def milliseconds(time: int) -> int:
    """Of ns, cut towards 0, as integers are divided in Telegraf."""
    return time // 1_000_000 if time >= 0 else -(-time // 1_000_000)


class FieldTexts(dict[type, _Write]):
    """How values are written, by their type: `texts[type(value)](value)`."""

    def __init__(
        self,
        *,
        text: _Write = str,
        number: _Write = float_text,
        boolean: _Write = _BOOLEANS.__getitem__,
        whole: _Write = int.__repr__,
    ) -> None:
        super().__init__({str: text, float: number, bool: boolean, int: whole, Uint: whole})

    def __missing__(self, kind: type) -> _Write:
        # A subclass, of a plugin from outside.
        return next(self[base] for base in (bool, int, float, str) if issubclass(kind, base))


_MOST_SERIES = 4000
_MOST_CHARACTERS = 1 << 20


class SeriesMemo(dict[tuple[str, tuple[tuple[str, str], ...]], T]):
    """What is made of the name and the tags of metrics, kept: `memo.of(metric)` is `answer(metric)`. It holds 4000 series
    at the most, and about a megabyte of their texts, then begins anew."""

    def __init__(self, answer: Callable[[Metric], T]) -> None:
        super().__init__()
        self._answer = answer
        self._characters = 0

    def of(self, metric: Metric) -> T:
        key = (metric.name, tuple(metric.tags.items()))
        found = self.get(key)
        if found is None:
            found = self._answer(metric)
            size = len(metric.name) + sum([len(name) + len(value) for name, value in key[1]])
            if size <= _MOST_CHARACTERS // 100:
                self._characters += size
                if len(self) >= _MOST_SERIES or self._characters > _MOST_CHARACTERS:
                    self.clear()
                    self._characters = size
                self[key] = found
        return found
