"""The agent's log: Telegraf's line on a terminal and in files, the journal's priorities under systemd. No secret gets in."""

import logging
import os
import sys
import time

from pyagent.api import redact
from pyagent.config import AgentSettings, PluginPlan

__all__ = ["component_logger", "configure_logging", "plugin_logger"]

TRACE = 5
LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}
_ROOT = "pyagent"


class _Formatter(logging.Formatter):
    """`2026-01-02T03:04:05Z E! [inputs.mem] message`; under the journal `<3>[inputs.mem] message`."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        component = record.name.removeprefix(f"{_ROOT}.") if record.name != _ROOT else "agent"
        text = f"[{component}] {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = redact(text)
        letter, priority = _letter(record.levelno)
        if self._journal:
            # A message of several lines needs the prefix on each.
            return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(record.created))} {letter}! {text}"


def _letter(level: int) -> tuple[str, int]:
    if level >= logging.ERROR:
        return "E", 3
    if level >= logging.WARNING:
        return "W", 4
    if level >= logging.INFO:
        return "I", 6
    return ("D", 7) if level >= logging.DEBUG else ("T", 7)


def configure_logging(*, debug: bool = False, quiet: bool = False) -> None:
    """Log to standard error from now on; safe to call again with other levels."""
    root = logging.getLogger(_ROOT)
    root.setLevel(logging.ERROR if quiet else logging.DEBUG if debug else logging.INFO)
    root.propagate = False
    if not root.handlers:
        # A line that cannot be written must not make a traceback of its own.
        logging.raiseExceptions = False
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Formatter(journal="JOURNAL_STREAM" in os.environ))
        root.addHandler(handler)
        # What libraries say goes the same way, from warnings up.
        logging.getLogger().addHandler(handler)


def apply_settings(settings: AgentSettings, *, debug: bool, quiet: bool) -> None:
    """The levels that the configuration and the command line together ask for; quiet wins."""
    configure_logging(debug=debug or settings.debug, quiet=quiet or settings.quiet)


def component_logger(name: str) -> logging.Logger:
    return logging.getLogger(_ROOT).getChild(name)


def plugin_logger(plan: PluginPlan) -> logging.Logger:
    """The plugin's logger, at its own level where it has one."""
    log = component_logger(plan.label)
    log.setLevel(LEVELS[plan.log_level.lower()] if plan.log_level else logging.NOTSET)
    return log
