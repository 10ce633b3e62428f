"""Lists of names to include and to exclude."""

from typing import Any

import pytest

from pyagent.api import ConfigError
from pyagent.kit.filter import name_filter

NAMES = ["eth0", "eth1", "lo", "veth0"]


@pytest.mark.parametrize(
    ("include", "exclude", "passing"),
    [
        ([], [], NAMES),
        (["eth*"], [], ["eth0", "eth1"]),
        ([], ["*eth*"], ["lo"]),
        (["*eth?"], ["veth*", "eth1"], ["eth0"]),
        (["lo", "eth0"], ["lo"], ["eth0"]),
        (["none"], [], []),
    ],
)
def test_names(include: list[str], exclude: list[str], passing: list[str]) -> None:
    assert list(filter(name_filter(include, exclude), NAMES)) == passing


def test_what_empty_lists_mean() -> None:
    assert not name_filter([], [], include_all=False)("eth0")
    assert not name_filter(["eth0"], [], exclude_all=True)("eth0")
    assert name_filter(["eth0"], ["lo"], exclude_all=True)("eth0")


def test_separators() -> None:
    wanted = name_filter(["cpu.*.count"], separators=".")
    assert wanted("cpu.user.count")
    assert not wanted("cpu.user.x.count")


@pytest.mark.parametrize(("include", "exclude", "option"), [(["[a"], [], "names"), ([], ["[]"], "names_not")])
def test_a_pattern_that_is_none(include: Any, exclude: Any, option: str) -> None:
    with pytest.raises(ConfigError, match=f"^cannot use {option}: cannot read the pattern ") as caught:
        name_filter(include, exclude, names=("names", "names_not"))
    assert caught.value.option == option
