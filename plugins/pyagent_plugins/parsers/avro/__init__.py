"""Messages of Avro, in binary or in JSON, by a schema in the configuration or in a Confluent schema registry.

A message is one record, or an array of them; each makes a metric.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, Secret, option
from pyagent.api.units import format_number
from pyagent.kit.numbers import shortest_float32
from pyagent.kit.problems import Problems
from pyagent.kit.timestamps import parse_timestamp
from pyagent_plugins.parsers.avro.registry import SchemaRegistry, registry
from pyagent_plugins.parsers.avro.schema import Float32, Reader, Schema, Union, compile_schema

__all__ = ["Avro", "AvroOptions"]

_SINGLE_OBJECT = b"\xc3\x01"
"""The two bytes before a fingerprint of the schema, of 8 bytes."""


class AvroOptions(Options, frozen=True):
    avro_format: Annotated[Literal["", "binary", "json"], option("form of the messages (empty: binary)")] = ""
    avro_schema: Annotated[str, option("the schema, in JSON; either this or avro_schema_registry")] = ""
    avro_schema_registry: Annotated[
        Secret, option("URL of a registry that has the schemas, which may hold a user and a password")
    ] = Secret("")
    avro_schema_registry_cert: Annotated[
        str,
        option("file with the authority of the registry's certificate (empty: those of the system)", reads_path=True),
    ] = ""
    avro_measurement: Annotated[str, option("measurement (empty: as the schema calls its records)")] = ""
    avro_measurement_field: Annotated[str, option("field of the record whose value is the measurement")] = ""
    avro_tags: Annotated[list[str], option("fields of the record that become tags")] = []
    avro_fields: Annotated[list[str], option("fields of the record to keep ([]: all that are no tags)")] = []
    avro_timestamp: Annotated[str, option("field of the record with the time (empty: the present)")] = ""
    avro_timestamp_format: Annotated[
        Literal["", "unix", "unix_ms", "unix_us", "unix_ns"], option("unit of that time (empty: unix)")
    ] = ""
    avro_field_separator: Annotated[str, option("between the parts of the names of what is nested")] = ""
    avro_union_mode: Annotated[
        Literal["", "flatten", "nullable", "any"],
        option(
            "values of unions. flatten: the name of the type is a part of the name; nullable, any: it is not (empty: flatten)"
        ),
    ] = ""
    metric_name: Annotated[str, option("measurement where the record and the schema give none")] = ""


class Avro(Parser[AvroOptions]):
    may_wait = True

    def setup(self) -> None:
        self._problems = Problems(self.log)
        options = self.options
        url = options.avro_schema_registry.reveal()
        if bool(options.avro_schema) == bool(url):
            problem = "exactly one of 'avro_schema' and 'avro_schema_registry' must be there"
            raise ConfigError(problem, option="avro_schema" if url else None)
        self._schema: Schema | None = None
        self._registry: SchemaRegistry | None = None
        try:
            name = "avro_schema_registry" if url else "avro_schema"
            if url:
                self._registry = registry(url, options.avro_schema_registry_cert)
            else:
                self._schema = compile_schema(options.avro_schema)
        except OSError as error:
            problem = f"cannot read {options.avro_schema_registry_cert!r}: {error.strerror or error}"
            raise ConfigError(problem, option="avro_schema_registry_cert") from None
        except ValueError as error:
            raise ConfigError(f"the option {name!r}: {error}", option=name) from None
        self._is_json = options.avro_format == "json"
        self._unwraps = options.avro_union_mode in ("nullable", "any")
        self._layout = options.avro_timestamp_format or "unix"

    def parse(self, data: bytes) -> list[Metric]:
        try:
            schema, message = self._of_message(data)
            value = self._read(schema, message)
            if isinstance(value, list):
                return self._list(value, schema)
            if isinstance(value, dict) and not isinstance(value, Union):
                return [self._metric(value, schema)]
            raise ValueError("the message is neither a record nor an array of them")
        except ValueError as error:
            raise ParseError(str(error)) from None
        except RecursionError:
            raise ParseError("the message is nested too deeply") from None

    def _of_message(self, data: bytes) -> tuple[Schema, bytes]:
        """Raises ValueError."""
        if self._registry is not None:
            if len(data) < 5 or data[0] != 0:
                raise ValueError(
                    "the message does not begin with a byte 0 and the number of a schema, as a registry has it"
                )
            return self._registry.schema(int.from_bytes(data[1:5])), data[5:]
        assert self._schema is not None
        if data.startswith(_SINGLE_OBJECT) and data[2:10] == self._schema.fingerprint:
            return self._schema, data[10:]
        return self._schema, data

    def _read(self, schema: Schema, message: bytes) -> Any:
        if not self._is_json:
            return schema.type.binary(Reader(message))
        try:
            document, _ = json.JSONDecoder().raw_decode(message.decode().lstrip())
        except json.JSONDecodeError as error:
            raise ValueError(
                f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
            ) from None
        return schema.type.textual(document)

    def _list(self, values: list[Any], schema: Schema) -> list[Metric]:
        metrics = []
        for number, value in enumerate(values, 1):
            try:
                if not isinstance(value, dict) or isinstance(value, Union):
                    raise ValueError("it is no record")
                metrics.append(self._metric(value, schema))
            except ValueError as error:
                self._problems.add("item", f"item {number} of an array is left out: {error}")
        return metrics

    def _metric(self, record: dict[str, Any], schema: Schema) -> Metric:
        """Raises ValueError."""
        options = self.options
        tags = dict(self.default_tags)
        for name in options.avro_tags:
            for key, value in self._flat(name, record.get(name)):
                if value is not None:
                    tags[key] = _text(value)
        names = options.avro_fields or [name for name in record if name not in tags]
        found = [pair for name in names for pair in self._flat(name, record.get(name))]
        if not found:
            raise ValueError("the record has no field that is kept")
        fields = {key: plain for key, value in found if (plain := _field(value)) is not None}
        time = self.now()
        if options.avro_timestamp:
            time = self._time(record.get(options.avro_timestamp))
        tags = {key: text for key, text in tags.items() if text}
        return Metric(self._measurement(record, schema), tags, fields, time)

    def _measurement(self, record: dict[str, Any], schema: Schema) -> str:
        options = self.options
        given = record.get(options.avro_measurement_field) if options.avro_measurement_field else None
        if given is not None and not isinstance(given, dict | list) and (text := _text(given)):
            return text
        name = options.avro_measurement or schema.measurement or options.metric_name
        if not name:
            raise ValueError("the schema has no name for a measurement; set avro_measurement")
        return name

    def _time(self, value: Any) -> int:
        if isinstance(value, Union):
            [value] = value.values()
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            problem = "is missing" if value is None else "is no number"
            raise ValueError(f"the time {self.options.avro_timestamp!r} of the record {problem}")
        return parse_timestamp(self._layout, value)

    def _flat(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if self._unwraps and isinstance(value, Union):
            [(kind, content)] = value.items()
            if kind == "null" and self.options.avro_union_mode == "nullable":
                return
            value = content
        yield from _flatten(name, value, self.options.avro_field_separator)


def _flatten(name: str, value: Any, separator: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{name}{separator}{key}", item, separator)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flatten(f"{name}{separator}{index}", item, separator)
    else:
        yield name, value


def _field(value: Any) -> FieldValue | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Float32):
        return float(value)
    found: FieldValue | None = value
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Float32):
        return shortest_float32(value)
    return format_number(value) if isinstance(value, float) else str(value)
