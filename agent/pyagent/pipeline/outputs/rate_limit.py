"""A limit of bytes for each period, for outputs that have one."""

from collections.abc import Sequence

__all__ = ["RateLimit"]


class RateLimit:
    """At most `size` bytes in each `period` seconds. A single line that is larger than that goes alone, in a period of its
    own: it would never go else."""

    def __init__(self, size: int, period: float) -> None:
        self._size = size
        self._period = period
        self._used = 0
        self.next_period = 0.0

    def admit(self, lengths: Sequence[int], now: float) -> int:
        """How many of these lines, of so many bytes each, may be sent now; their bytes are used up by this."""
        if now >= self.next_period:
            self._used, self.next_period = 0, now + self._period
        count, used = 0, self._used
        for length in lengths:
            if used + length > self._size and (used or count):
                break
            count, used = count + 1, used + length
        self._used = used
        return count
