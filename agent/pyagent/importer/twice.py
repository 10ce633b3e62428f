"""Times that a clock shows twice, because it is set back at the end of summer time."""

from datetime import UTC, timedelta, timezone

from pyagent.importer.times import earlier_showing, reader_of
from pyagent.kit.timestamps import Zone

__all__ = ["Twice"]

_EXACT = ("", "number", "RFC3339", "RFC3339Nano")
"""Forms of times in which nothing depends on a clock."""
_ELSEWHERE = timezone(timedelta(minutes=37))
"""Where no clock is like one that is meant."""
_MOST_SERIES = 100_000
_DAY = 86_400_000_000_000


class Twice:
    """Which of the two moments is meant: the later one, unless the rows of a sheet come in the order of their times."""

    def __init__(self, zone: Zone, form: str = "") -> None:
        """`form`: of the times, see `times.reader_of`."""
        self.found = False
        """The last time was such a one."""
        self._zone = UTC if form in _EXACT else zone
        self._elsewhere = reader_of(form, _ELSEWHERE)
        self._ordered = self._descending = False
        self._last: dict[bytes, tuple[int, bool]] = {}
        """By series: the last such time as the later of its moments, and whether the hour has begun again."""

    def by_order(self, *, descending: bool) -> None:
        """The rows of a series come in the order of their times."""
        self._ordered, self._descending = True, descending

    @property
    def told(self) -> str:
        """What a person should know of it."""
        if self._ordered:
            return (
                "the clock was set back, and showed these times twice: the rows are taken in their order, up to a time that "
                "has come before as summer time, from there on as standard time"
            )
        return (
            "the clock was set back, and showed these times twice: the later moment, in standard time, is taken; times with "
            "their offset, such as +02:00, say which is meant"
        )

    def of(self, series: bytes, text: bytes, time: int) -> int:
        """`time`: of the text, the later one, ns."""
        self.found = False
        if self._zone is UTC or (back := earlier_showing(self._zone, time)) is None or self._elsewhere(text) == time:
            return time  # for the last reason: the text names its zone
        self.found = True
        if not self._ordered:
            return time
        last, again = self._last.get(series, (None, False))
        if last is None or abs(time - last) > _DAY:
            again = False
        elif (time >= last) if self._descending else (time <= last):
            again = True
        if len(self._last) >= _MOST_SERIES:
            self._last.clear()
        self._last[series] = time, again
        return time if again != self._descending else time - back
