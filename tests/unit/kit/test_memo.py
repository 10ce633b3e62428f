"""Answers that are kept."""

import pytest

from pyagent.kit.memo import KeysMemo, Memo


def test_what_is_kept_is_not_asked_again_and_has_a_bound() -> None:
    asked: list[str] = []

    def answer(text: str) -> int:
        asked.append(text)
        return len(text)

    memo = Memo(answer, 20_000)
    assert [memo["a"], memo["a"], memo["bb"]] == [1, 1, 2]
    assert asked == ["a", "bb"]
    for number in range(1000):
        assert memo[f"{number:05}"] == 5
        assert len(memo) < 200
    assert memo["x" * 1000] == 1000
    assert "x" * 1000 not in memo


def test_what_raises_is_not_kept() -> None:
    memo = Memo(int)
    with pytest.raises(ValueError, match="invalid literal"):
        memo["x"]
    assert "x" not in memo


def test_keys_are_kept_up_to_a_bound() -> None:
    asked: list[tuple[str, ...]] = []

    def answer(keys: tuple[str, ...]) -> int:
        asked.append(keys)
        return len(keys)

    memo = KeysMemo(answer)
    assert [memo["a", "b"], memo["a", "b"], memo["b", "a"], memo[()]] == [2, 2, 2, 0]
    assert asked == [("a", "b"), ("b", "a"), ()]
    for number in range(3000):
        assert memo[f"{number}", "x"] == 2
        assert len(memo) <= 2500
    many = tuple(map(str, range(100)))
    assert memo[many] == 100
    assert many not in memo
