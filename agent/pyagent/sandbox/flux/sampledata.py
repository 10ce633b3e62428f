"""The package sampledata: two series of six values, for trying functions out."""

from typing import Any

from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.flux.values import Time, parse_time

SAMPLEDATA: Registry = {}

_START, _STOP = parse_time("2021-01-01T00:00:00Z"), parse_time("2021-01-01T00:01:00Z")
SAMPLEDATA["start"] = lambda context: Time(_START)
SAMPLEDATA["stop"] = lambda context: Time(_STOP)

_NUMBERS = ((-2.18, 10.92, 7.35, 17.53, 15.23, 4.43), (19.85, 4.97, -3.75, 19.77, 13.86, 1.86))
_TEXTS = (
    ("smpl_g9qczs", "smpl_0mgv9n", "smpl_phw664", "smpl_guvzy4", "smpl_5v3cce", "smpl_s9fmgy"),
    ("smpl_b5eida", "smpl_eu4oxp", "smpl_5g7tz4", "smpl_sox1ut", "smpl_wfm757", "smpl_dtn2bv"),
)
_BOOLEANS = ((True, True, False, True, False, False), (False, True, False, True, True, False))
_MISSING = ((1, 3, 4), (0, 4))
"""Where the forms with null have it."""


def _declare(name: str, kind: str, values: Any, convert: Any) -> None:
    @builtin(SAMPLEDATA, name, pipe=None)
    def make(context: Context, includeNull: bool = False) -> Stream:
        tables = []
        for tag, row, missing in zip(("t1", "t2"), values, _MISSING, strict=True):
            found = [None if includeNull and at in missing else convert(value) for at, value in enumerate(row)]
            columns: dict[str, tuple[str, list[Any]]] = {
                "_time": (TIME, [int(_START) + at * 10**10 for at in range(len(row))]),
                "tag": (STRING, [tag] * len(row)),
                "_value": (kind, found),
            }
            order = sorted(columns) if kind in (LONG, UNSIGNED) else list(columns)
            types = {column: columns[column][0] for column in order}
            tables.append(Table({"tag": tag}, types, {column: columns[column][1] for column in order}, len(row)))
        return Stream(tables)


_declare("float", DOUBLE, _NUMBERS, float)
_declare("int", LONG, _NUMBERS, int)
_declare("uint", UNSIGNED, _NUMBERS, lambda value: int(value) % 2**64)
_declare("string", STRING, _TEXTS, str)
_declare("bool", BOOLEAN, _BOOLEANS, bool)
_declare("numericBool", LONG, _BOOLEANS, int)
