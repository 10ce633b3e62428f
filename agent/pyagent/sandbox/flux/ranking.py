"""The largest and the smallest: top(), bottom(), highestMax() and so on."""

from collections.abc import Callable
from typing import Any

from pyagent.sandbox.flux.aggregates import SIMPLE, aggregate, select
from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.tables import Stream
from pyagent.sandbox.flux.universe import group, limit, sort

RANKING: Registry = {}


def _ranked(context: Context, tables: Stream, n: int, columns: Any, desc: bool) -> Stream:
    ordered = sort(context, tables, columns=columns, desc=desc)
    made: Stream = limit(context, ordered, n=n)
    return made


@builtin(RANKING, "top")
def top(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    return _ranked(context, tables, n, columns, True)


@builtin(RANKING, "bottom")
def bottom(context: Context, tables: Stream, n: int, columns: Any = None) -> Stream:
    return _ranked(context, tables, n, columns, False)


def _extreme(
    context: Context, tables: Stream, n: int, column: str, groups: Any, of: Callable[[Stream], Stream], desc: bool
) -> Stream:
    reduced = of(group(context, tables, columns=groups or []))
    return _ranked(context, group(context, reduced, columns=[]), n, [column], desc)


@builtin(RANKING, "highestMax")
def highest_max(context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "max", column), True)


@builtin(RANKING, "highestAverage")
def highest_average(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(
        context, tables, n, column, groupColumns, lambda stream: aggregate(stream, SIMPLE["mean"], column), True
    )


@builtin(RANKING, "highestCurrent")
def highest_current(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "last", column), True)


@builtin(RANKING, "lowestMin")
def lowest_min(context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "min", column), False)


@builtin(RANKING, "lowestAverage")
def lowest_average(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(
        context, tables, n, column, groupColumns, lambda stream: aggregate(stream, SIMPLE["mean"], column), False
    )


@builtin(RANKING, "lowestCurrent")
def lowest_current(
    context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None
) -> Stream:
    return _extreme(context, tables, n, column, groupColumns, lambda stream: select(stream, "last", column), False)
