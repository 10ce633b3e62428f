"""Sets of numbers, against sets of Python."""

from hypothesis import given
from hypothesis import strategies as st

from pyagent.buffer.log.offsets import uncovered

NUMBERS = st.integers(0, 30)


@given(start=NUMBERS, stop=NUMBERS, ranges=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5))
def test_what_no_range_covers_is_counted(start: int, stop: int, ranges: list[tuple[int, int]]) -> None:
    covered = {number for first, last in ranges for number in range(first, last)}
    assert uncovered(start, stop, ranges) == len(set(range(start, stop)) - covered)
