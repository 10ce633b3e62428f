"""Answers that are kept."""

import pytest

from pyagent.kit.memo import Memo


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
