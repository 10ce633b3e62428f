"""What a script may import, by path: functions of this server, and those that are written in Flux (folder `stdlib`)."""

from functools import cache
from pathlib import Path
from typing import Any

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.collections import (
    ARRAY,
    CSV,
    DEBUG,
    DICT,
    GENERATE,
    HASH,
    HEX,
    JSON,
    JSON_PARSE,
    RECORD,
    RUNTIME,
    TYPES,
)
from pyagent.sandbox.flux.dates import DATE, SYSTEM, TIMEZONE
from pyagent.sandbox.flux.evaluate import Code, Package, Scope, compile_node
from pyagent.sandbox.flux.experiments import EXPERIMENTAL
from pyagent.sandbox.flux.influx import INFLUX
from pyagent.sandbox.flux.joins import EXPERIMENTAL_JOIN, JOIN
from pyagent.sandbox.flux.library import Context, Registry
from pyagent.sandbox.flux.maths import BITWISE, MATH
from pyagent.sandbox.flux.sampledata import SAMPLEDATA
from pyagent.sandbox.flux.schema import SCHEMA
from pyagent.sandbox.flux.syntax import Import, parse, place
from pyagent.sandbox.flux.texts import REGEXP, STRINGS
from pyagent.sandbox.flux.tracking import EVENTS, INTERPOLATE
from pyagent.sandbox.flux.universe import UNIVERSE
from pyagent.sandbox.flux.unusable import UNUSABLE

PACKAGES: dict[str, Registry] = {
    "array": ARRAY,
    "bitwise": BITWISE,
    "contrib/bonitoo-io/hex": HEX,
    "contrib/qxip/hash": HASH,
    "contrib/tomhollingworth/events": EVENTS,
    "csv": CSV,
    "date": DATE,
    "dict": DICT,
    "experimental": {**EXPERIMENTAL, **EXPERIMENTAL_JOIN},
    "experimental/bitwise": BITWISE,
    "experimental/json": JSON_PARSE,
    "experimental/record": RECORD,
    "generate": GENERATE,
    "influxdata/influxdb": {"from": UNIVERSE["from"], **INFLUX},
    "influxdata/influxdb/schema": SCHEMA,
    "influxdata/influxdb/v1": SCHEMA,
    "internal/debug": DEBUG,
    "interpolate": INTERPOLATE,
    "join": JOIN,
    "json": JSON,
    "math": MATH,
    "regexp": REGEXP,
    "runtime": RUNTIME,
    "sampledata": SAMPLEDATA,
    "strings": STRINGS,
    "system": SYSTEM,
    "timezone": TIMEZONE,
    "types": TYPES,
}

_FOLDER = Path(__file__).with_name("stdlib")


@cache
def _script(path: str) -> list[tuple[syntax.Node, str, Code | None]]:
    """The statements of a package that is written in Flux: each with the name that it gives, and its code."""
    file = _FOLDER / f"{path}.flux"
    if not file.is_file():
        return []
    return [
        (node, getattr(node, "name", ""), compile_node(node.value) if isinstance(node, syntax.Assign) else None)
        for node in parse(file.read_text(encoding="utf-8"), located=False)
    ]


def package(node: Import, context: Context, universe: Scope) -> Package:
    """What an import gives.

    Raises:
        InfluxError: InfluxDB has no such package.
    """
    path = node.path
    if path not in PACKAGES and path not in UNUSABLE and not _script(path):
        raise InfluxError("invalid", f"error {place(node.at)}: invalid import path {path}", final=True)
    members: dict[str, Any] = {name: bind(context) for name, bind in PACKAGES.get(path, {}).items()}
    return Package(path, defined(path, members, context, universe))


def defined(path: str, members: dict[str, Any], context: Context, universe: Scope) -> dict[str, Any]:
    """These members, and those that the package's text defines."""
    scope = Scope(Scope(universe, {"universe": universe.values}), members)
    for node, name, code in _script(path):
        if isinstance(node, Import):
            scope.values[name] = package(node, context, universe)
        elif code is not None:
            scope.values[name] = code(scope)
    return scope.values
