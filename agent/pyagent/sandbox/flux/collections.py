"""The packages array, dict, types, json, csv and the smaller ones of values."""

import base64
import hashlib
import hmac
import json
import math
from typing import Any

from pyagent.sandbox import annotated
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, to_time
from pyagent.sandbox.flux.predicates import one_row
from pyagent.sandbox.flux.tables import BOOLEAN, LONG, STRING, TIME, UNSIGNED, Stream, Table, from_rows, type_of
from pyagent.sandbox.flux.values import (
    Callee,
    Dictionary,
    Duration,
    Time,
    Uint,
    go_float,
    long_time,
    to_text,
    truth,
    type_name,
)
from pyagent.sandbox.limits import ROW, made, making, take

ARRAY: Registry = {}
DICT: Registry = {}
TYPES: Registry = {}
RECORD: Registry = {}
JSON: Registry = {}
JSON_PARSE: Registry = {}
HEX: Registry = {}
HASH: Registry = {}
RUNTIME: Registry = {}
CSV: Registry = {}
GENERATE: Registry = {}
DEBUG: Registry = {}

_PART = 100
"""Bytes of a part of a value that is written out; values may share their parts, and each is written."""


def _check_rows(rows: Any) -> None:
    if not isinstance(rows, list) or not rows:
        raise invalid("rows must be non-empty")
    if not all(isinstance(row, dict) for row in rows):
        raise invalid("array.from: rows must be a non-empty array of records")


@builtin(ARRAY, "from", pipe="rows")
@checked(_check_rows)
def array_from(context: Context, rows: Any) -> Stream:
    for row in rows:
        for value in row.values():
            if isinstance(value, Duration):
                raise InfluxError("invalid", "cannot represent the type duration as column data", final=True)
    table = from_rows({}, rows, "array.from")
    order = [name for name in dict.fromkeys(name for row in rows for name in row) if name in table.types]
    return Stream([Table({}, {name: table.types[name] for name in order}, table.data, table.size)])


@builtin(ARRAY, "map", pipe="arr")
def array_map(context: Context, arr: Any, fn: Callee) -> list[Any]:
    one_row(fn, "x")
    return [fn(x=item) for item in _list(arr)]


@builtin(ARRAY, "filter", pipe="arr")
def array_filter(context: Context, arr: Any, fn: Callee) -> list[Any]:
    one_row(fn, "x")
    return [item for item in _list(arr) if truth(fn(x=item))]


@builtin(ARRAY, "concat", pipe="arr")
def array_concat(context: Context, arr: Any, v: Any) -> list[Any]:
    making(8 * (len(_list(arr)) + len(_list(v))))
    return [*arr, *v]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise invalid(f"expected [A] but found {type_name(value)} (argument arr)")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise invalid(f"expected [A: B] but found {type_name(value)} (argument dict)")
    return value


@builtin(DICT, "fromList", pipe=None)
def from_list(context: Context, pairs: Any) -> dict[Any, Any]:
    return Dictionary({pair["key"]: pair["value"] for pair in _list(pairs)})


@builtin(DICT, "get", pipe=None)
def dict_get(context: Context, dict_: Any, key: Any, default: Any) -> Any:
    return _dict(dict_).get(key, default)


@builtin(DICT, "insert", pipe=None)
def dict_insert(context: Context, dict_: Any, key: Any, value: Any) -> dict[Any, Any]:
    making(100 * len(_dict(dict_)))
    return Dictionary({**dict_, key: value})


@builtin(DICT, "remove", pipe=None)
def dict_remove(context: Context, dict_: Any, key: Any) -> dict[Any, Any]:
    return Dictionary({name: value for name, value in _dict(dict_).items() if name != key})


@builtin(TYPES, "isType", pipe=None, result=BOOLEAN)
def is_type(context: Context, v: Any, type: str) -> bool:
    return type_name(v) == type


@builtin(RECORD, "get", pipe=None)
def record_get(context: Context, r: Any, key: str, default: Any) -> Any:
    found = r.get(key) if isinstance(r, dict) else None
    return default if found is None else found


RECORD["any"] = lambda context: {}


@builtin(JSON, "encode", pipe=None)
def json_encode(context: Context, v: Any) -> bytes:
    return json.dumps(_plain(v), separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode(
        "utf-8", "surrogateescape"
    )


def _plain(value: Any) -> Any:
    making(_PART + (len(value) if isinstance(value, str) else 0))
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, Time | Duration):
        return to_text(value)
    if isinstance(value, float) and value == math.trunc(value) and abs(value) < 1e21:
        return int(value)
    if isinstance(value, Callee | Stream | bytes):
        raise invalid(f"cannot encode {type_name(value)} as JSON")
    return value


@builtin(JSON_PARSE, "parse", pipe=None)
def json_parse(context: Context, data: Any) -> Any:
    if not isinstance(data, bytes):
        raise invalid(f"expected bytes but found {type_name(data)} (argument data)")
    try:
        return json.loads(data, parse_int=float)
    except ValueError as error:
        raise invalid(f"cannot parse JSON: {error}") from None


@builtin(HEX, "int", pipe=None, result=LONG)
def hex_int(context: Context, v: str) -> int:
    return _from_hex(v, "int")


@builtin(HEX, "uint", pipe=None, result=UNSIGNED)
def hex_uint(context: Context, v: str) -> Uint:
    return Uint(_from_hex(v, "uint"))


def _from_hex(text: str, kind: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise invalid(f'cannot convert string "{text}" to {kind} due to invalid syntax') from None


@builtin(HEX, "string", pipe=None, result=STRING)
def hex_string(context: Context, v: Any) -> str:
    if isinstance(v, bytes):
        return made(v.hex())
    if isinstance(v, int) and not isinstance(v, bool | Time):
        return f"{int(v):x}"
    return v if isinstance(v, str) else to_text(v)


@builtin(HEX, "bytes", pipe=None)
def hex_bytes(context: Context, v: str) -> bytes:
    try:
        return bytes.fromhex(v)
    except ValueError:
        raise invalid(f'cannot convert string "{v}" to bytes due to hex decoding error') from None


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def _hash(name: str) -> None:
    @builtin(HASH, name, pipe=None, result=STRING)
    def digest(context: Context, v: Any) -> str:
        return hashlib.new(name, _raw(v), usedforsecurity=False).hexdigest()


for _name in ("sha256", "sha1", "md5"):
    _hash(_name)


@builtin(HASH, "b64", pipe=None, result=STRING)
def b64(context: Context, v: Any) -> str:
    return made(base64.b64encode(_raw(v)).decode())


@builtin(HASH, "hmac", pipe=None, result=STRING)
def hmac_(context: Context, v: Any, k: Any) -> str:
    return base64.b64encode(hmac.new(_raw(k), _raw(v), hashlib.sha1).digest()).decode()


@builtin(RUNTIME, "version", pipe=None)
def version(context: Context) -> str:
    return "v0.200.0"  # that of InfluxDB 2.9.1


def _check_csv(csv: str = "", file: str = "", mode: str = "annotations", url: str = "") -> None:
    if file or url:
        raise invalid("csv.from: reading files and URLs is not supported by this server; give the text as csv")
    if mode not in ("annotations", "raw"):
        raise invalid(f'csv.from: invalid mode "{mode}"')


@builtin(CSV, "from", pipe=None)
@checked(_check_csv)
def csv_from(context: Context, csv: str = "", file: str = "", mode: str = "annotations", url: str = "") -> Stream:
    return Stream(table for _, tables in annotated.decode(csv, mode == "raw") for table in tables)


@builtin(GENERATE, "from", pipe=None)
def generate_from(context: Context, start: Any, stop: Any, count: int, fn: Callee) -> Stream:
    first, last = to_time(context, start, "start"), to_time(context, stop, "stop")
    if count <= 0 or count > 1_000_000:
        raise invalid("count must be between 1 and 1000000")
    step = (last - first) // count
    take(2 * ROW * count)
    data = {
        "_time": [first + at * step for at in range(count)],
        "_value": [fn(n=at) for at in range(count)],
    }
    kinds = {"_time": TIME, "_value": type_of(data["_value"][0], "generate") or LONG}
    return Stream([Table({}, kinds, data, count)])


def _pass(name: str) -> None:
    @builtin(DEBUG, name)
    def run(context: Context, tables: Stream) -> Stream:
        return Stream(tables.tables)


for _name in ("pass", "opaque", "slurp"):
    _pass(_name)


@builtin(DEBUG, "null", pipe=None)
def null(context: Context, type: str = "") -> None:
    return None


@builtin(DEBUG, "sink")
def sink(context: Context, tables: Stream) -> Stream:
    _ = tables.tables
    return Stream()


def _parts(opened: str, parts: list[str], closed: str, depth: int, comma: str = ",") -> str:
    """A line for each part where there are more than three."""
    if len(parts) <= 3:
        return opened + ", ".join(parts) + closed
    line = "\n" + "    " * depth
    return f"{opened}{line}    {f'{comma}{line}    '.join(parts)}{line}{closed}"


def display_text(value: Any, depth: int = 0) -> str:
    """display(v:): any value as text."""
    making(_PART + (2 * len(value) if isinstance(value, str | bytes) else 0))
    if value is None:
        return "<null>"
    if isinstance(value, Dictionary):
        pairs = [
            f"{display_text(name, depth + 1)}: {display_text(part, depth + 1)}" for name, part in sorted(value.items())
        ]
        return _parts("[", pairs or [":"], "]", depth, ", ")
    if isinstance(value, dict):
        named = [f"{name}: {display_text(part, depth + 1)}" for name, part in sorted(value.items())]
        return _parts("{", named, "}", depth)
    if isinstance(value, list):
        return _parts("[", [display_text(part, depth + 1) for part in value], "]", depth)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Callee):
        return "<function>"
    if isinstance(value, Stream):
        return "<stream>"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, Time):
        return long_time(value)
    return value if isinstance(value, str) else to_text(value)
