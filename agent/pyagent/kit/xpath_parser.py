"""What the parsers of XPath share: options, and metrics of nodes. Each of them reads documents of its format."""

import base64
import math
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, Uint, option
from pyagent.kit.filter import name_filter
from pyagent.kit.numbers import INT64_MIN, go_float, parse_integer
from pyagent.kit.page_room import PageRoom
from pyagent.kit.timestamps import Zone, load_zone, parse_timestamp
from pyagent.kit.xpath import Context, Effort, Query
from pyagent.kit.xpath_builder import compile_xpath
from pyagent.kit.xpath_nodes import go_text, named_path, own_name

__all__ = ["XPathOptions", "XPathParser"]


class Selection(Options, frozen=True):
    metric_name: Annotated[
        str, option("XPath of the measurement, a text in quotes for a fixed one; empty: the plugin's name")
    ] = ""
    metric_selection: Annotated[str, option("XPath of the nodes of which each makes a metric; empty: the document")] = (
        ""
    )
    timestamp: Annotated[str, option("XPath of the time; without one it is the present")] = ""
    timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, a name such as RFC3339, or a layout of Go's reference time")
    ] = ""
    timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    tags: Annotated[dict[str, str], option("XPath of the value of each tag")] = {}
    fields: Annotated[
        dict[str, str], option("XPath of the value of each field; text without number() or boolean()")
    ] = {}
    fields_int: Annotated[dict[str, str], option("the same for integers")] = {}
    fields_bytes_as_hex: Annotated[list[str], option("fields of bytes that become hexadecimal text; wildcards")] = []
    fields_bytes_as_base64: Annotated[list[str], option("fields of bytes that become text in base64; wildcards")] = []
    field_selection: Annotated[str, option("XPath of the nodes of which each makes a field")] = ""
    field_name: Annotated[str, option("XPath of its name; empty: that of the node")] = ""
    field_value: Annotated[str, option("XPath of its value; empty: that of the node")] = ""
    field_name_expansion: Annotated[bool, option("names begin with those of the nodes above, joined by _")] = False
    tag_selection: Annotated[str, option("XPath of the nodes of which each makes a tag")] = ""
    tag_name: Annotated[str, option("XPath of its name; empty: that of the node")] = ""
    tag_value: Annotated[str, option("XPath of its value; empty: that of the node")] = ""
    tag_name_expansion: Annotated[bool, option("names begin with those of the nodes above, joined by _")] = False


class XPathOptions(Options, frozen=True):
    xpath: Annotated[list[Selection], option("what to take of a document")] = []
    xpath_native_types: Annotated[
        bool, option("values keep the types that they have in the document; without effect for XML")
    ] = False
    xpath_allow_empty_selection: Annotated[bool, option("a document without a node to select is no error")] = False
    xpath_print_document: Annotated[bool, option("log each document as a tree, at level debug")] = False
    xpath_trace: Annotated[bool, option("log which part of an expression finds nothing", deprecated="log_level")] = (
        False
    )


O_co = TypeVar("O_co", bound=XPathOptions, covariant=True)
Is = Callable[[str], bool]


class XPathParser(Parser[O_co]):
    """`read` gives the root of a document."""

    def setup(self) -> None:
        self._effort, self._room = Effort(), PageRoom(0)
        self._queries: dict[str, Query | ValueError] = {}
        self._plans: list[tuple[Selection, Zone, Is, Is]] = []
        for selection in self.options.xpath:
            try:
                zone = load_zone(selection.timezone)
            except ValueError as error:
                raise ConfigError(f"the option 'timezone': {error}", option="xpath") from None
            is_hex = name_filter(selection.fields_bytes_as_hex, names=("fields_bytes_as_hex", ""), include_all=False)
            is_base64 = name_filter(
                selection.fields_bytes_as_base64, names=("fields_bytes_as_base64", ""), include_all=False
            )
            self._plans.append((selection, zone, is_hex, is_base64))

    def read(self, data: bytes) -> Any:
        """Raises ParseError and ValueError."""
        raise NotImplementedError

    def parse(self, data: bytes) -> list[Metric]:
        now = self.now()
        self._effort, self._room = Effort(len(data)), PageRoom(len(data))
        metrics = []
        try:
            document = self.read(data)
            if self.options.xpath_print_document:
                self.log.debug("the document: %s", _shown(document))
            for selection, zone, is_hex, is_base64 in self._plans:
                query = self._query(selection.metric_selection or "/")
                nodes = []
                for node in query.select(Context(document, document, self._effort)):
                    self._room.take(0)
                    nodes.append(node)
                if not nodes and not self.options.xpath_allow_empty_selection:
                    self._trace(document, selection.metric_selection)
                    raise ParseError(f"nothing is selected by {selection.metric_selection or '/'!r}")
                for node in nodes:
                    metrics.append(self._metric(document, node, selection, zone, is_hex, is_base64, now))
                    self._room.take(len(selection.tags) + len(selection.fields) + len(selection.fields_int), metrics=0)
        except RecursionError:
            raise ParseError("the document or an expression is nested too deeply") from None
        except ValueError as error:
            raise ParseError(str(error)) from None
        return metrics

    def _trace(self, node: Any, text: str) -> None:
        if self.options.xpath_trace:
            while "/" in text.strip("/"):
                text = text.rpartition("/")[0]
                found = sum(1 for _ in self._query(text).select(Context(node, node, self._effort)))
                self.log.debug("%r finds %d nodes", text, found)

    def _query(self, text: str) -> Query:
        """Compiled when it is wanted: as in Telegraf a mistake in one costs the document, and no other work."""
        query = self._queries.get(text)
        if query is None:
            try:
                query = compile_xpath(text)
            except ValueError as error:
                query = error
            self._queries[text] = query
        if isinstance(query, ValueError):
            raise query
        return query

    def _value(self, document: Any, node: Any, text: str) -> Any:
        """A value, None where the expression finds no node."""
        query = self._queries.get(text)
        if query is None or isinstance(query, ValueError):
            query = self._query(text)
        top = document if text[:1] == "/" else node
        at = Context(top, top, self._effort)
        value = query.evaluate(at)
        if value is not query and not isinstance(value, Query):
            return value
        found = query.first(at)
        if found is None:
            return None
        return found.native() if self.options.xpath_native_types else at.text(found)

    def _metric(
        self, document: Any, node: Any, selection: Selection, zone: Zone, is_hex: Is, is_base64: Is, now: int
    ) -> Metric:
        name, time = self.measurement, now
        try:
            at = "metric_name"
            if selection.metric_name:
                name = self._value(document, node, selection.metric_name)
                if not isinstance(name, str):
                    raise ValueError("it gives no text; write a fixed name as \"'name'\"")
            at = "timestamp"
            if selection.timestamp:
                given = self._value(document, node, selection.timestamp)
                if given is not None:
                    if not isinstance(given, str | int | float):
                        raise ValueError(f"it gives {type(given).__name__}")
                    time = parse_timestamp(selection.timestamp_format or "unix", given, zone)
            at = "tag_selection"
            tags: dict[str, str] = {}
            if selection.tag_selection:
                numbers: dict[str, int] = {}
                for key, value in self._selected(document, node, selection, tag=True):
                    tags[_free(key, tags, numbers)] = _tag_text(value)
            for key, text in selection.tags.items():
                at = f"tags.{key}"
                value = self._value(document, node, text)
                if value is not None:
                    tags[key] = _tag(value)
            if self.default_tags:
                tags.update(self.default_tags)
            at = "field_selection"
            fields: dict[str, FieldValue] = {}
            if selection.field_selection:
                taken: dict[str, Any] = {}
                numbers = {}
                for key, value in self._selected(document, node, selection, tag=False):
                    taken[_free(key, taken, numbers)] = value
                for key, value in taken.items():
                    self._put(fields, key, value, is_hex, is_base64)
            for key, text in selection.fields_int.items():
                at = f"fields_int.{key}"
                value = self._value(document, node, text)
                if value is not None:
                    fields[key] = _integer(value)
            for key, text in selection.fields.items():
                at = f"fields.{key}"
                self._put(fields, key, self._value(document, node, text), is_hex, is_base64)
        except ValueError as error:
            raise ValueError(f"{at}: {error}") from None
        return Metric(name, tags, fields, time)

    def _put(self, fields: dict[str, FieldValue], name: str, value: Any, is_hex: Is, is_base64: Is) -> None:
        kind = type(value)
        if kind is str or kind is float or kind is bool:
            fields[name] = value
        elif kind is bytes:
            if is_hex(name):
                fields[name] = value.hex()
            elif is_base64(name):
                fields[name] = base64.b64encode(value).decode()
            else:
                fields[name] = value.decode("utf-8", "surrogateescape")
        elif kind is list or kind is dict:
            fields[name] = go_text(value)
        elif isinstance(value, int) and -(2**63) <= value < 2**64:
            fields[name] = value
        else:
            fields.pop(name, None)

    def _selected(self, document: Any, node: Any, selection: Selection, *, tag: bool) -> list[tuple[str, Any]]:
        if tag:
            chosen, name_text, value_text = selection.tag_selection, selection.tag_name, selection.tag_value
            expand = selection.tag_name_expansion
        else:
            chosen, name_text, value_text = selection.field_selection, selection.field_name, selection.field_value
            expand = selection.field_name_expansion
        pairs = []
        for found in self._query(chosen).select(Context(node, node, self._effort)):
            if name_text:
                name = self._value(document, found, name_text)
                if not isinstance(name, str):
                    raise ValueError(f"the name by {name_text!r} is no text")
            else:
                name = f"{found.prefix}:{found.name}" if found.prefix else found.name
            if not name:
                name = own_name(found, with_parent=not expand)
            if expand and (path := named_path(found, node)):
                name = f"{path}_{name}"
            self._room.take(1, metrics=0)
            pairs.append((name, self._value(document, found, value_text or ".")))
        return pairs


def _free(name: str, taken: dict[str, Any], numbers: dict[str, int]) -> str:
    """The name, with a number where it is taken. `numbers`: the last one of each name, as a document may have many nodes."""
    if name not in taken:
        return name
    number = numbers.get(name, 1)
    while f"{name}_{number}" in taken:
        number += 1
    numbers[name] = number
    return f"{name}_{number}"


def _tag_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        from pyagent.api.units import format_number

        return format_number(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, int):
        return str(int(value))
    raise ValueError("the value is no single one")


def _tag(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value).replace("e", "E") if math.isfinite(value) else go_float(value)
    raise ValueError(f"a value of type {_type(value)} cannot be a tag; use string()")


def _type(value: Any) -> str:
    return "uint" if isinstance(value, Uint) else type(value).__name__


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return int(value) if abs(value) < 2**63 else INT64_MIN
    if isinstance(value, str):
        number = parse_integer(value)
        if number is None or not -(2**53) <= number < 2**53:
            raise ValueError(f"{value!r:.80} is no integer within 54 bits")
        return number
    raise ValueError(f"a value of type {_type(value)} cannot be an integer here")


def _shown(node: Any) -> str:
    children = [*node.children]
    if not children:
        return node.text()[:200] if node.name == node.text() or node.kind != 1 else f"<{node.name}/>"
    inner = "".join(map(_shown, children[:1000]))
    return f"<{node.name or 'element'}>{inner}</{node.name or 'element'}>"
