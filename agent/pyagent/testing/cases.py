"""Tests of plugins that are data: a folder with a configuration, what the plugin reads, and what it must emit.

In a repository with plugins, `tests/plugins/KIND/NAME/CASE/` and one test:

    import pytest
    from pyagent.testing.cases import Case, find_cases

    @pytest.mark.parametrize("case", find_cases("tests/plugins", plugin_directories=["plugins"]), ids=str)
    def test_case(case: Case, check_case) -> None:
        check_case(case)

`check_case` comes from `pytest_plugins = ["pyagent.testing.pytest_plugin"]` in the repository's conftest.py.
docs/writing-plugins.md says what may be in a case.
"""

import difflib
import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pyagent.api import Metric
from pyagent.testing.comparison import differences, expected_metrics, has_times, written

__all__ = ["Case", "Outcome", "find_cases", "read_case"]

ROOTS = ("proc", "sys", "etc", "var", "run", "dev", "root")
"""Planted trees: a folder of such a name in a case is what HOST_PROC and so on name."""
_SETTINGS = {"server", "varies", "time", "gathers", "step"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case. `DIR`, and `${NAME}` for each of the server's variables, stand for what they are in a run, in all its texts."""

    label: str
    """KIND/NAME/CASE."""
    folder: Path
    config: str
    """The text of the configuration: the plugin's table, or more."""
    expected: bytes | None = b""
    """Line protocol; None: is not compared."""
    errors: tuple[str, ...] | None = ()
    """The lines of the log that are errors or warnings, without times, sorted. None: are not compared."""
    fails: bool | None = None
    """Whether there is an error in the log, where its words are not compared."""
    environ: Mapping[str, str] = field(default_factory=dict)
    plugin_directories: tuple[Path, ...] = ()
    working_directory: Path | None = None
    """Where relative paths begin; None: in the copy of `folder` that the case runs in."""
    server: str = ""
    """The name of a real server, in `pyagent.testing.servers.SERVERS`."""
    recorded: bool = False
    """Its texts have addresses and paths of a recording; `Server.recorded` says what they are here."""
    varies: tuple[str, ...] = ()
    """What is not compared; see `pyagent.testing.comparison.differences`."""
    times: bool | None = None
    """Whether times are compared; None: where every expected line has one."""
    time: int | None = None
    """When it is, ns since the epoch; None: now."""
    gathers: int = 1
    """Before each but the first the clock moves by `step` seconds, and before the second the files of the folder `then` are put
    in place. Expected is what the last one gives."""
    step: float = 10.0
    then: tuple[str, str] = ("then", ".")
    """The folder with the second state of some files, and the one that they go to; both in the case."""
    seconds: float = 0.0
    """For a plugin that does its work between gathers: so long it runs, with a gather every second, all of which count."""
    setup: str = ""
    """A shell script of the case that binds planted files over paths of the host; in a mount namespace of its own, as root."""
    program: str = ""
    """A Python script of the case that serves what the plugin asks for; it prints `ready` when it does."""
    planted: Mapping[str, str] = field(default_factory=dict)
    """Files beside those of `folder`, by their path: programs below `bin/`, and folders where the path ends in a slash."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Files that are to be links, with their targets: a recording may have lost them."""
    input: bytes = b""
    """Line protocol that comes in, for a processor, an aggregator or an output."""
    exchange: Any = None
    requests: Sequence[Mapping[str, Any]] = ()
    messages: Sequence[Mapping[str, Any]] = ()
    published: Sequence[tuple[str, bytes]] = ()
    """Topics and payloads that the server, a broker, is given once the plugin has subscribed."""

    def __str__(self) -> str:
        return self.label

    @property
    def kind(self) -> str:
        return self.label.split("/")[0]


@dataclass
class Outcome:
    """What a run gave."""

    metrics: list[Metric] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """Errors and warnings, `E! [inputs.mem] ...`."""
    problems: list[str] = field(default_factory=list)
    """What recorded conversations say is wrong."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What was written to the files that the folder `expected` of the case names."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What the texts of the case stood for."""


def find_cases(folder: Path | str, *, plugin_directories: Sequence[Path | str] = ()) -> list[Case]:
    """All cases below `folder`/KIND/NAME, sorted. `plugin_directories`: where drop-in files of plugins are.

    Raises ValueError for a case that cannot be read.
    """
    folder = Path(folder)
    found = sorted(path.parent for path in folder.glob("*/*/*/telegraf.conf"))
    directories = tuple(Path(one).resolve() for one in plugin_directories)
    return [read_case(one, "/".join(one.parts[-3:]), plugin_directories=directories) for one in found]


def read_case(folder: Path, label: str, *, plugin_directories: tuple[Path, ...] = ()) -> Case:
    """One case from its folder. Raises ValueError where something in it cannot be read."""
    settings = tomllib.loads(_text(folder / "case.toml"))
    if unknown := settings.keys() - _SETTINGS:
        raise ValueError(f"{folder}/case.toml: unknown {sorted(unknown)[0]!r}; it has {sorted(_SETTINGS)}")
    time = settings.get("time")
    if time is not None and not (isinstance(time, datetime) and time.tzinfo):
        raise ValueError(f"{folder}/case.toml: time must be like 2026-01-02T03:04:05Z")
    return Case(
        label=label,
        folder=folder.resolve(),
        config=_text(folder / "telegraf.conf"),
        expected=_bytes(folder / "expected.out"),
        errors=tuple(_text(folder / "expected.err").splitlines()),
        environ=read_environ(_text(folder / "env")),
        plugin_directories=plugin_directories,
        server=settings.get("server", ""),
        varies=tuple(settings.get("varies", ())),
        time=round(time.timestamp() * 1_000_000) * 1000 if time else None,
        gathers=settings.get("gathers", 2 if (folder / "then").is_dir() else 1),
        step=settings.get("step", 10.0),
        input=_bytes(folder / "input.influx"),
        exchange=_json(folder / "exchange.json"),
        requests=_json(folder / "requests.json") or (),
        messages=_json(folder / "sequence.json") or (),
    )


def read_environ(text: str) -> dict[str, str]:
    """`NAME=VALUE` a line, as a shell reads it."""
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True) if "=" in word)


def problems_of(case: Case, outcome: Outcome) -> list[str]:
    """Everything in which a run differs from what the case expects, as lines to show; none where all is well."""
    found = list(outcome.problems)
    if case.expected is not None:
        wanted = expected_metrics(in_run(case.expected, outcome.texts))
        found += differences(wanted, outcome.metrics, varies=case.varies, times=case.times)
    if case.errors is not None:
        errors = [in_run(line.encode(), outcome.texts).decode() for line in case.errors]
        diff = difflib.unified_diff(sorted(errors), sorted(outcome.log), "expected.err", "logged", lineterm="", n=0)
        found += [line for line in diff if not line.startswith("@@")]
    if case.fails is not None and case.fails != any(line.startswith("E! ") for line in outcome.log):
        found.append("an error is expected, and none was logged" if case.fails else f"logged: {outcome.log}")
    for name, wanted_bytes in expected_files(case).items():
        if (got := outcome.files.get(name, b"")) != in_run(wanted_bytes, outcome.texts):
            found.append(f"the file {name} holds {got!r}, expected {wanted_bytes!r}")
    return found


def expected_files(case: Case) -> dict[str, bytes]:
    """The files below the folder `expected` of the case, by name: what the plugin has to write."""
    folder = case.folder / "expected"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def update(case: Case, outcome: Outcome) -> str:
    """Write what a run gave into the expected files of the case; returns a diff of what has changed, "" where nothing has.

    Values that vary stay as they were where nothing else differs. Times are written where the case has a `time`, or had them.
    """
    if outcome.problems:
        raise AssertionError("cannot update the case: " + "; ".join(outcome.problems))
    old = expected_metrics(in_run(case.expected or b"", outcome.texts))
    times = case.time is not None or has_times(old) if case.times is None else case.times
    texts: dict[str, bytes] = {}
    if not old or differences(old, outcome.metrics, varies=case.varies, times=times):
        texts["expected.out"] = written(outcome.metrics, times=times)
    texts["expected.err"] = "".join(f"{line}\n" for line in sorted(outcome.log)).encode()
    for name in expected_files(case):
        texts[f"expected/{name}"] = outcome.files.get(name, b"")
    changes: list[str] = []
    for name, text in texts.items():
        path = case.folder / name
        before, after = _bytes(path), as_written(text, outcome.texts)
        if before == after:
            continue
        changes += difflib.unified_diff(
            before.decode("utf-8", "replace").splitlines(),
            after.decode("utf-8", "replace").splitlines(),
            f"{case}/{name}",
            f"{case}/{name}",
            lineterm="",
        )
        if after or name == "expected.out":
            path.write_bytes(after)
        else:
            path.unlink()
    return "\n".join(changes)


def in_run(text: bytes, texts: Mapping[str, str]) -> bytes:
    """A text of the case as it is in a run."""
    for name, value in texts.items():
        text = re.sub(_word(name), lambda _, value=value: value.encode(), text)  # type: ignore[misc]  # bound for the linter
    return text


def as_written(text: bytes, texts: Mapping[str, str]) -> bytes:
    """A text of a run as it stands in the case."""
    for name, value in sorted(texts.items(), key=lambda item: -len(item[1])):
        if value:
            text = re.sub(_word(value), lambda _, name=name: name.encode(), text)  # type: ignore[misc]
    return text


def _word(text: str) -> bytes:
    """A pattern for a text that is no part of a longer word."""
    return (
        rb"(?<![A-Za-z0-9_])" * text[0].isalnum() + re.escape(text.encode()) + rb"(?![A-Za-z0-9_])" * text[-1].isalnum()
    )


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "surrogateescape")


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes()) if path.exists() else None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
