"""When inputs are gathered, and what times are rounded to (reference: telegraf 4.2 and 4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.pipeline.schedule import Schedule

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
TUESDAY = 1_795_478_400 * SECOND  # 2026-11-24T00:00:00Z
TIMES = st.integers(min_value=0, max_value=2**62)
INTERVALS = st.integers(min_value=1_000_000, max_value=400 * DAY)


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (0, 10),  # exactly on a multiple: a whole interval is waited
        (3, 10),
        (9.8, 10),
        (9.95, 20),  # within the last 1 % before a multiple: the one after
    ],
)
def test_first_tick_is_the_next_multiple(start: float, first: float) -> None:
    schedule = Schedule(10 * SECOND)
    assert schedule.first(TUESDAY + round(start * SECOND)) == TUESDAY + first * SECOND


def test_a_week_begins_on_monday() -> None:
    assert Schedule(7 * DAY).first(TUESDAY) == TUESDAY + 6 * DAY


def test_offset_shifts_every_tick() -> None:
    schedule = Schedule(10 * SECOND, offset=3 * SECOND)
    tick = schedule.first(TUESDAY + SECOND)
    assert tick == TUESDAY + 3 * SECOND
    assert schedule.next(tick) == TUESDAY + 13 * SECOND


def test_unaligned_ticks_begin_at_once_and_keep_their_phase() -> None:
    schedule = Schedule(10 * SECOND, aligned=False)
    tick = schedule.first(TUESDAY + 3)
    assert tick == TUESDAY + 3
    assert schedule.next(tick + 5) == TUESDAY + 3 + 10 * SECOND


def test_missed_ticks_are_skipped_and_the_phase_is_kept() -> None:
    schedule = Schedule(10 * SECOND)
    schedule.first(TUESDAY)
    assert schedule.next(TUESDAY + 3600 * SECOND + 4 * SECOND) == TUESDAY + 3610 * SECOND


def test_a_clock_set_back_starts_over_from_the_new_time() -> None:
    schedule = Schedule(10 * SECOND)
    schedule.first(TUESDAY)
    assert schedule.next(TUESDAY - 3600 * SECOND + SECOND) == TUESDAY - 3590 * SECOND


@given(TIMES, INTERVALS, st.integers(min_value=0, max_value=DAY))
def test_every_next_tick_is_soon_and_aligned(now: int, interval: int, late: int) -> None:
    schedule = Schedule(interval)
    tick = schedule.first(now)
    assert now < tick <= now + interval + interval // 100 + 1
    when = tick + late
    following = schedule.next(when)
    assert when < following <= when + interval + interval // 100 + 1
    assert (following - tick) % interval == 0


def test_jitter_is_drawn_within_its_bound() -> None:
    schedule = Schedule(10 * SECOND, jitter=SECOND)
    delays = {schedule.delay() for _ in range(100)}
    assert len(delays) > 1
    assert all(0 <= delay < SECOND for delay in delays)
    assert Schedule(10 * SECOND).delay() == 0
