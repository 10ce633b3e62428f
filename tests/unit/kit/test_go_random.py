"""Numbers that Go's `math/rand` gives for the same seed."""

from pyagent.kit.go_random import GoRandom


def test_the_numbers_of_a_seed_are_those_of_go() -> None:
    random = GoRandom(1)
    assert [random.int63() for _ in range(3)] == [5577006791947779410, 8674665223082153551, 6129484611666145821]
    random = GoRandom(42)
    assert [random.int63() for _ in range(3)] == [3440579354231278675, 608747136543856411, 5571782338101878760]


def test_they_go_on_behind_the_first_state() -> None:
    random = GoRandom(1)
    for _ in range(4999):
        random.int63()
    assert random.int63() == 8051710853663165465


def test_smaller_numbers() -> None:
    random = GoRandom(1)
    assert [random.below(100) for _ in range(8)] == [81, 87, 47, 59, 81, 18, 25, 40]
    random = GoRandom(1)
    assert [random.below(16) for _ in range(8)] == [1, 15, 7, 11, 1, 6, 9, 12]
    random = GoRandom(1)
    assert [f"{random.float32():.7f}" for _ in range(3)] == ["0.6046603", "0.9405091", "0.6645601"]
