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


def _of_each_group(name: str, value: Callable[[Stream, str], Stream], highest: bool) -> None:
    """Of each group one row, by `value`; of these the `n` highest or lowest."""

    @builtin(RANKING, name)
    def extreme(context: Context, tables: Stream, n: int, column: str = "_value", groupColumns: Any = None) -> Stream:
        return _extreme(context, tables, n, column, groupColumns, lambda stream: value(stream, column), highest)


def _mean(stream: Stream, column: str) -> Stream:
    return aggregate(stream, SIMPLE["mean"], column)


_of_each_group("highestMax", lambda stream, column: select(stream, "max", column), True)
_of_each_group("highestAverage", _mean, True)
_of_each_group("highestCurrent", lambda stream, column: select(stream, "last", column), True)
_of_each_group("lowestMin", lambda stream, column: select(stream, "min", column), False)
_of_each_group("lowestAverage", _mean, False)
_of_each_group("lowestCurrent", lambda stream, column: select(stream, "last", column), False)
