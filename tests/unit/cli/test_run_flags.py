"""The agent's flags: what they ask of a run, and what they print instead of one."""

from collections.abc import Callable

import pytest
from commands import Done

from pyagent import __version__, cli
from pyagent.runtime import process
from pyagent.runtime.settings import RunSettings

Run = Callable[..., Done]


class Runs(list[RunSettings]):
    """The runs that were asked for; `during` is called in each."""

    during: Callable[[], object] = staticmethod(lambda: None)

    def __call__(self, settings: RunSettings) -> int:
        self.append(settings)
        self.during()
        return 0


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    monkeypatch.setattr(process, "run", runs)
    return runs


def test_the_defaults(pyagent: Run, runs: Runs) -> None:
    assert pyagent().status == 0
    (settings,) = runs
    assert not settings.watch_files
    assert settings.strict_env
    names = ("old_env", "test", "once", "debug", "quiet", "print_plugin_sources")
    assert [name for name in names if getattr(settings, name)] == []


def test_what_is_given(pyagent: Run, runs: Runs) -> None:
    done = pyagent(
        *("-config=a.conf, b.conf", "--config", "http://localhost/x", "-config-directory", "conf.d"),
        *("--old-env-behavior", "--non-strict-env-handling", "--print-plugin-config-source=true"),
        *("--watch-config", "poll", "--watch-interval", "500ms", "--watch-debounce-interval", "2s"),
        *("--input-filter", "mem:cpu", "--aggregator-filter", "x", "--processor-filter", "y", "--section-filter", "z"),
        *("--secretstore-filter", "s", "--test=false", "-debug"),
    )
    assert (done.status, done.err) == (0, "")
    (settings,) = runs
    assert settings.configs == ("a.conf", "b.conf", "http://localhost/x")
    assert settings.config_directories == ("conf.d",)
    assert settings.old_env
    assert not settings.strict_env
    assert settings.print_plugin_sources
    assert (settings.watch_files, settings.watch_files_interval, settings.watch_debounce) == ("poll", 0.5, 2.0)
    assert settings.input_filter == ("mem", "cpu")
    assert settings.debug
    assert not settings.test


def test_any_other_way_to_watch_is_the_kernels(pyagent: Run, runs: Runs) -> None:
    pyagent("--watch-config", "psychic")
    assert runs[0].watch_files == "notify"


def test_flags_without_an_effect_are_taken_and_told(pyagent: Run, runs: Runs) -> None:
    done = pyagent("--pprof-addr", "nowhere", "--unprotected", "--password", "hunter22")
    assert done.status == 0
    assert len(runs) == 1
    assert done.err.count(" W! [agent] --") == 3
    assert "hunter22" not in done.err


@pytest.mark.parametrize(
    ("words", "variables", "warned"),
    [
        (("--when-full", "drop_newest", "--drain-order", "newest"), {}, ()),
        ((), {"PYAGENT_WHEN_FULL": "drop_newest", "PYAGENT_DRAIN_ORDER": "newest"}, ()),
        (
            ("--buffer-overflow", "newest", "--drain", "newest"),
            {},
            (
                "--buffer-overflow is now --when-full, with drop_oldest or drop_newest; the old name goes with the next version",
                "--drain is now --drain-order; the old name goes with the next version",
            ),
        ),
        (
            ("--drain-order", "newest"),
            {"PYAGENT_BUFFER_OVERFLOW": "newest", "PYAGENT_DRAIN": "oldest"},
            ("PYAGENT_BUFFER_OVERFLOW is now PYAGENT_WHEN_FULL, with", "PYAGENT_DRAIN is now PYAGENT_DRAIN_ORDER;"),
        ),
    ],
)
def test_flags_by_their_names_of_before_are_taken_with_a_warning(
    pyagent: Run,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    variables: dict[str, str],
    warned: tuple[str, ...],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = pyagent(*words)
    assert done.status == 0
    assert (runs[0].when_full, runs[0].drain_order) == ("drop_newest", "newest")
    lines = done.err.splitlines()
    assert len(lines) == len(warned)
    assert all(f" W! [agent] {text}" in line for text, line in zip(warned, lines, strict=True))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--when-full", "oldest"), ("--when-full", "'drop_oldest' or 'drop_newest'", "'oldest'")),
        (("--drain", "both"), ("--drain is 'oldest' or 'newest', not 'both'",)),
        (("--watch-interval", "5"), ("--watch-interval", "'5'")),
        (("--watch-debounce-interval", "-5s"), ("--watch-debounce-interval",)),
        (("--test-wait", "abc"), ("--test-wait", "abc")),
        (("--config-url-watch-interval", "soon"), ("--config-url-watch-interval", "soon")),
        (("--test=maybe",), ("--test", "maybe")),
        (("--Version",), ("--Version", "--version")),
        (("--config", "a.conf", "extra"), ("extra",)),
        (("--nope", "config", "check"), ("--nope",)),
        (("help", "nope"), ("nope",)),
        (("nope",), ("nope",)),
    ],
)
def test_mistakes(pyagent: Run, runs: Runs, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    done = pyagent(*words)
    assert (done.status, done.out, list(runs)) == (1, "", [])
    (line,) = done.err.splitlines()
    assert line.startswith("E! ")
    assert all(text in line for text in named)


@pytest.mark.parametrize("words", [("--version",), ("-version",), ("version", "x"), ("--debug", "--version")])
def test_the_version(pyagent: Run, runs: Runs, words: tuple[str, ...]) -> None:
    assert pyagent(*words) == Done(0, f"pyagent {__version__}\n", "")
    assert not runs


def test_help(pyagent: Run) -> None:
    text = pyagent("--help")
    assert (text.status, text.err) == (0, "")
    assert pyagent("help") == text
    assert pyagent("-h") == text
    for command in cli.COMMANDS:
        assert command in text.out
    assert pyagent("help", "config") == pyagent("config", "check", "--help")
    assert "--section-filter" in pyagent("help", "config").out
