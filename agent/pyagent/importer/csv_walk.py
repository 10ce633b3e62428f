"""The first pass through the rows of a CSV table: what its columns hold, and which rows are of one time."""

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter

from pyagent.importer.annotations import Table
from pyagent.importer.columns import Rows
from pyagent.importer.dialects import Plain
from pyagent.importer.pieces import Failure, ImportFailure
from pyagent.importer.time_column import Given, Seen, clock_column, time_column, timeless, with_times

__all__ = ["about_order", "go_through"]

_BLOCK = 2000
"""Rows whose columns are looked at together."""
_MOST_SEEN = 1_000_000
"""Rows among which those of one time are looked for."""
_MOST_DOUBLES = 10_000
"""That are looked at one by one."""


def go_through(rows: Iterator[list[str]], seen: Seen, given: Given) -> None:
    width = len(seen.header)
    watched = [i for i, label in enumerate(seen.header) if label in given.tags or label == "_measurement"]
    key: Callable[[list[str]], object] | None = None
    known: set[object] = set()
    block: list[list[str]] = []
    telling: int | None = None

    def settle() -> None:
        nonlocal key, telling
        if telling is None:
            telling = timeless(block, seen.header, given)
        if telling >= 0:
            # A total or a row of units is refused alone: what it holds is no matter for the types of the others.
            block[:] = with_times(block, telling)
        if not block:
            return
        for content, cells in zip(seen.contents, zip(*block, strict=True), strict=True):
            content.add(cells)
        if key is None:
            key = _series_and_time(seen, given, watched)
        if key is not None:
            if given.zone:
                _keep_doubles(block, key, known, seen)
            else:
                before = len(known)
                known.update(map(key, block))
                seen.doubles += len(block) - (len(known) - before)
            if len(known) > _MOST_SEEN:
                known.clear()
        seen.rows += len(block)
        seen.ends = [*seen.ends[:1], block[-1]] if seen.ends else [block[0], block[-1]]
        block.clear()

    header = seen.header
    with suppress(csv.Error):  # told by the second pass, with its place
        for row in rows:
            if len(row) == width:
                if row == header or row[0].startswith("# error : "):
                    continue
                block.append(row)
                if len(block) >= _BLOCK:
                    settle()
            else:
                seen.others = len(row)
    settle()


def _keep_doubles(block: list[list[str]], key: Callable[[list[str]], object], known: set[object], seen: Seen) -> None:
    for row in block:
        one = key(row)
        if one in known:
            seen.doubles += 1
            if len(seen.double_rows) < _MOST_DOUBLES:
                seen.double_rows.append(row)
        known.add(one)


def about_order(seen: Seen, plain: Plain) -> None:
    """Whether the rows go back in time; those of an hour that came twice are no doubles."""
    rows = Rows(Table(lambda _: None, columns=[*plain.columns], extras=[*plain.extras]), plain.settings, lambda _: None)

    def moment(row: list[str]) -> int:
        found = rows.moment([cell.strip().encode("utf-8", "surrogateescape") for cell in row])
        return 0 if found is None else found

    with suppress(Failure):
        plain.descending = bool(seen.ends) and moment(seen.ends[0]) > moment(seen.ends[-1])
    for row in seen.double_rows:
        with suppress(Failure):
            moment(row)
            seen.doubles -= rows.twice.found


def _series_and_time(seen: Seen, given: Given, watched: list[int]) -> Callable[[list[str]], object] | None:
    """What tells the points of rows apart, as the first rows look; None where their time is not known yet."""
    try:
        time = time_column(seen, given)
    except ImportFailure:
        return None
    clock = clock_column(seen, given, time)
    return itemgetter(time, *([clock.index] if clock is not None else []), *watched)
