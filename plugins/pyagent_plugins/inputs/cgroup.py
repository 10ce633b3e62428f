"""Statistics of control groups.

The files are those that are named. Names and types are those of Telegraf 1.40.
"""

import os
import re
from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, option
from pyagent.api.files import path_of
from pyagent.kit.each import joined_failures
from pyagent.kit.globpath import match_files
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.procfs import read_bytes

__all__ = ["Cgroup", "CgroupOptions"]

Values = dict[str, int | float | str]


class CgroupOptions(Options, frozen=True):
    paths: Annotated[
        list[str],
        option("folders of groups, such as /sys/fs/cgroup/system.slice/*; wildcards may be used", reads_path=True),
    ] = []
    files: Annotated[list[str], option("names of files in them, such as memory.*; wildcards may be used")] = []


_KEY = r"[0-9A-Za-z:_.]+"
_VALUE = r"(?:max|[0-9.-]+)"
_LINE_OF_VALUES = re.compile(rf"(?:(?>{_VALUE}) ?)+\n")
_VALUES = re.compile(_VALUE)
_LINE_OF_KEYS = re.compile(rf"(?:{_KEY} )+{_VALUE}")
_LINE_OF_PAIRS = re.compile(rf"{_KEY}(?: {_KEY}={_VALUE})+")
_ONLY_PAIRS = re.compile(rf"{_KEY}={_VALUE}(?: {_KEY}={_VALUE})* ?\n")
_MAX = (1 << 63) - 1
"""What `max` is: without a bound."""
_SPECIAL = re.compile(r"([*?\[\]{}\\])")


class Cgroup(Input[CgroupOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "cgroup",
            "One group; fields have the names of the files, with the keys in these behind a dot.",
            tags={"path": "the group's folder"},
            open=True,
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: a host may have hundreds of groups.
        failures: list[Exception] = []
        try:
            for pattern in self.options.paths:
                for folder in _matches(pattern):
                    if os.path.isdir(folder):
                        self._group(acc, folder, failures)
        except PyagentError as error:
            failures.append(error)
        if failures:
            raise joined_failures(failures)

    def _group(self, acc: Accumulator, folder: str, failures: list[Exception]) -> None:
        found: Values = {}
        prefix = path_of(_SPECIAL.sub(r"\\\1", folder), folder)
        try:
            for pattern in self.options.files:
                for path in _matches(os.path.join(prefix, os.path.basename(pattern))):
                    data = b"" if os.path.isdir(path) else read_bytes(path)
                    name, text = os.path.basename(path), data.decode("utf-8", "backslashreplace")
                    values = _parsed(name, text)
                    if values is not None:
                        found |= values
                    else:
                        first = text.partition("\n")[0][:60]
                        failures.append(
                            PyagentError(
                                f"cannot read {path}: line 1: its format is unknown: {first}; leave {name} out of `files`"
                            )
                        )
        except PyagentError as error:
            failures.append(error)
            return
        if found:
            acc.add("cgroup", found, {"path": folder})


def _matches(pattern: str) -> list[str]:
    try:
        return match_files(pattern)
    except ValueError as error:
        raise PyagentError(str(error)) from None


def _parsed(name: str, text: str) -> Values | None:
    """The fields of a file; None where it has none of the formats."""
    if not text:
        return {}
    if not text.endswith("\n"):
        return None
    lines = text[:-1].split("\n")
    if all(map(_VALUES.fullmatch, lines)):
        if len(lines) == 1:
            return {name: _value(lines[0])}
        return {f"{name}.{place}": _value(line) for place, line in enumerate(lines)}
    if _LINE_OF_VALUES.fullmatch(text):
        return {f"{name}.{place}": _value(word) for place, word in enumerate(_VALUES.findall(text))}
    if all(map(_LINE_OF_KEYS.fullmatch, lines)):
        rows = [line.split(" ") for line in lines]
        return {".".join((name, *words[:-1])): _value(words[-1]) for words in rows}
    if all(map(_LINE_OF_PAIRS.fullmatch, lines)):
        split = [line.split(" ") for line in lines]
        return {f"{name}.{first}.{key}": value for first, *words in split for key, value in _pairs(words)}
    if _ONLY_PAIRS.fullmatch(text):
        return {f"{name}.{key}": value for key, value in _pairs(text.split())}
    return None


def _pairs(words: list[str]) -> list[tuple[str, int | float | str]]:
    return [(key, _value(value)) for key, _, value in (word.partition("=") for word in words)]


def _value(text: str) -> int | float | str:
    if (number := parse_integer(text)) is not None:
        return number
    if text == "max":
        return _MAX
    fraction = parse_finite(text)
    return text if fraction is None else fraction
