"""Running a command of the command line in this process, for the tests of this folder."""

import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pyagent import cli

__all__ = ["Done", "pyagent"]


@dataclass
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def pyagent(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Done]]:
    """Calls `pyagent WORDS`; nothing of the host's own configuration is seen."""
    for name in ("PYAGENT_CONFIG", "TELEGRAF_CONFIG", "TELEGRAF_CONFIG_PATH", "PYAGENT_PLUGIN_DIRECTORY", "HOME"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGHUP)
    loggers = [logging.getLogger("pyagent"), logging.getLogger()]
    handlers, propagate, level = [log.handlers[:] for log in loggers], loggers[0].propagate, loggers[0].level
    loggers[0].handlers.clear()

    def run(*words: str) -> Done:
        try:
            status = cli.main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Done(status, out, err)

    yield run
    signal.signal(signal.SIGHUP, before)
    for log, kept in zip(loggers, handlers, strict=True):
        log.handlers[:] = kept
    loggers[0].propagate = propagate
    loggers[0].setLevel(level)
