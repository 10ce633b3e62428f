"""What changed between two gathers."""

import pytest

from pyagent.kit.since import Change, Since


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def one(since: Since[str], **values: float) -> Change | None:
    with since.gather():
        return since.change("key", values)


def test_differences_and_rates(clock: Clock) -> None:
    since = Since[str](clock)
    assert one(since, a=10, b=1.5) is None
    clock.now += 4
    change = one(since, a=30, b=1.5, c=5)
    assert change is not None
    assert (change.seconds, change.before, change.now) == (4, {"a": 10, "b": 1.5}, {"a": 30, "b": 1.5, "c": 5})
    assert change.differences == {"a": 20, "b": 0}
    assert change.rates == {"a": 5, "b": 0}
    assert not change.restarted


def test_a_counter_that_went_back_began_anew(clock: Clock) -> None:
    since = Since[str](clock)
    one(since, a=1000, b=7)
    clock.now += 2
    change = one(since, a=30, b=8)
    assert change is not None
    assert change.restarted
    assert change.rates == {"a": 15, "b": 0.5}


def test_keys_are_apart_and_one_that_was_gone_is_new(clock: Clock) -> None:
    since = Since[tuple[str, int]](clock)
    for keys, known in [
        ([("a", 1), ("b", 1)], []),
        ([("a", 1)], [("a", 1)]),
        ([("a", 1), ("b", 1)], [("a", 1)]),
        ([("a", 1), ("b", 1)], [("a", 1), ("b", 1)]),
    ]:
        clock.now += 1
        with since.gather():
            assert [key for key in keys if since.change(key, {"v": 1})] == known


def test_a_gather_that_fails_counts_all_the_same(clock: Clock) -> None:
    since = Since[str](clock)

    def fail() -> None:
        with since.gather():
            since.change("key", {"a": 1})
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    clock.now += 1
    assert one(since, a=3) is not None


def test_no_time_no_rate(clock: Clock) -> None:
    since = Since[str](clock)
    one(since, a=1)
    assert one(since, a=2) is None
