"""How much a page of metrics may become in memory: a few bytes of text, or of Protocol Buffers, are a metric already."""

from pyagent.api.errors import TooMuch

__all__ = ["PageRoom", "check_room", "most_made", "too_much"]

METRIC_BYTES, VALUE_BYTES = 500, 80
"""About what a metric takes, and what each of its tags and fields adds to that; as native/exposition.hpp has them."""
_MOST = 256 << 20
_MOST_TIMES = 32


def most_made(size: int) -> int:
    """Bytes of memory that a page of so many bytes may become, about: a large page of usual lines becomes less."""
    return max(_MOST, 8 * size)


def check_room(size: int, metrics: int, values: int) -> None:
    """Before so many metrics, with so many tags and fields in all, are made of a text of so many bytes: most formats have them
    in a few bytes. What people write has longer names and values, and so may be larger. Raises TooMuch."""
    most = max(_MOST, _MOST_TIMES * size)
    if METRIC_BYTES * metrics + VALUE_BYTES * values > most:
        raise too_much(most)


def too_much(most: int) -> TooMuch:
    return TooMuch(f"it holds too many metrics: they take more than {most >> 20} MiB; divide it, or leave some out")


class PageRoom:
    """What is left for one page."""

    __slots__ = ("_left", "_most")

    def __init__(self, size: int) -> None:
        self._left = self._most = most_made(size)

    def take(self, values: int, metrics: int = 1) -> None:
        """Counts so many metrics, or what becomes them, and so many tags and fields. Raises TooMuch."""
        self._left -= METRIC_BYTES * metrics + VALUE_BYTES * values
        if self._left < 0:
            raise too_much(self._most)
