"""One value, such as a small command's output.

It becomes one field.
"""

import base64
from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.kit.numbers import parse_boolean, parse_float, parse_integer

__all__ = ["Value", "ValueOptions"]


class ValueOptions(Options, frozen=True):
    data_type: Annotated[
        str, option("integer, float, string, boolean, base64, auto_integer or auto_float; empty: integer")
    ] = ""
    value_field_name: Annotated[str, option("name of the field")] = "value"


_TYPES = {
    "": "integer",
    "int": "integer",
    "integer": "integer",
    "float": "float",
    "long": "float",
    "str": "string",
    "string": "string",
    "base64": "base64",
    "bool": "boolean",
    "boolean": "boolean",
    "auto_integer": "auto_integer",
    "auto_float": "auto_float",
}


class Value(Parser[ValueOptions]):
    def setup(self) -> None:
        kind = _TYPES.get(self.options.data_type)
        if kind is None:
            problem = f"unknown data_type {self.options.data_type!r}; use one of {', '.join(filter(None, _TYPES))}"
            raise ConfigError(problem, option="data_type")
        self._kind = kind

    def parse(self, data: bytes) -> list[Metric]:
        text = data.decode("utf-8", "surrogateescape").strip("\0").strip()
        if self._kind != "string":
            words = text.split()
            if not words:
                return []
            text = words[-1]
        value = base64.b64encode(data).decode() if self._kind == "base64" else _converted(self._kind, text)
        fields = {self.options.value_field_name or "value": value}
        return [Metric(self.measurement, dict(self.default_tags), fields, self.now())]


def _converted(kind: str, text: str) -> FieldValue:
    value: FieldValue | None = text
    if kind.endswith("integer"):
        value = parse_integer(text)
    elif kind.endswith("float"):
        value = parse_float(text)
    elif kind == "boolean":
        value = parse_boolean(text)
    if value is None:
        if not kind.startswith("auto_"):
            raise ParseError(f"{text[:80]!r} is not of the type {kind}")
        value = text
    return value
