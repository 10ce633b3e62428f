"""Times for rows of one series and time that are all to be kept."""

__all__ = ["FreeTimes"]

_MOST_SERIES = 100_000
"""Series whose last time is known."""


class FreeTimes:
    def __init__(self) -> None:
        self._last: dict[bytes, tuple[int, int]] = {}
        """By series: the time of its last row, and that which it was given."""

    def of(self, series: bytes, time: int) -> int:
        """The time, or the next nanosecond that no row of the series with that time has."""
        asked, given = self._last.get(series, (None, 0))
        used = given + 1 if asked == time else time
        if len(self._last) >= _MOST_SERIES and series not in self._last:
            self._last.clear()
        self._last[series] = (time, used)
        return used
