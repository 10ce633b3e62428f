"""The agent's log: where it goes, and from which level on. How its lines look is in log_lines.py. No secret gets in."""

import contextlib
import copy
import logging
import os
import stat
import sys
import threading
import traceback
import warnings
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import pyagent
from pyagent.api import ConfigError
from pyagent.api.foreign import describe, file_of
from pyagent.config import AgentSettings, PluginPlan
from pyagent.kit.once import Once
from pyagent.runtime.colours import has_colours
from pyagent.runtime.log_lines import ROOT, StructuredLines, TextLines, log_zone, logger_name, message_text

if TYPE_CHECKING:
    from pyagent.runtime.log_file import LogFile
from pyagent.plugin_kinds import KINDS

__all__ = [
    "apply_settings",
    "component_logger",
    "configure_logging",
    "log_unhandled",
    "plugin_logger",
    "thread_logger",
    "to_journal",
]

TRACE = 5
LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}


class _Handler(logging.Handler):
    """Writes to the log file, and to standard error where there is none or it cannot be written. Never raises."""

    def __init__(self) -> None:
        super().__init__()
        self._file: LogFile | None = None
        self._settings: tuple[object, ...] = ()
        self.setFormatter(TextLines(journal=to_journal(), colours=_colours()))

    def apply(self, settings: AgentSettings) -> None:
        """Raises ConfigError, and then nothing has changed."""
        path = "" if settings.logtarget == "stderr" else settings.logfile
        wanted = (
            path,
            settings.logformat,
            settings.structured_log_message_key,
            settings.log_with_timezone,
            settings.logfile_rotation_interval,
            settings.logfile_rotation_max_size,
            settings.logfile_rotation_max_archives,
        )
        if wanted == self._settings:
            return  # a file that was moved away comes back by itself
        lines, file = _lines(settings, stderr=not path), _file(path, settings)
        self.acquire()
        try:
            if self._file is not None:
                self._file.close()
            self._file = file
            self.setFormatter(lines)
            self._settings = wanted
        finally:
            self.release()

    def handle(self, record: logging.LogRecord) -> bool:
        # What is in a message may be a plugin's, with a text that takes for ever to make: here it holds up nobody else, in
        # `emit` all who log.
        if self.formatter is not None and record.levelno >= self.level:
            text = message_text(self.formatter, record)
            record = copy.copy(record)
            record.msg, record.args, record.exc_info = text, None, None
        return super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        # Where even standard error fails there is nowhere left to say it, and nobody must fail for a line of the log.
        with contextlib.suppress(Exception):
            line = self.format(record) + "\n"
            if not self._written_to_file(line):
                sys.stderr.write(line)
                sys.stderr.flush()

    def _written_to_file(self, line: str) -> bool:
        if self._file is None:
            return False
        try:
            self._file.write(line.encode("utf-8", "backslashreplace"))
        except OSError:
            return False
        return True


def _lines(settings: AgentSettings, *, stderr: bool) -> logging.Formatter:
    try:
        zone = log_zone(settings.log_with_timezone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"cannot log in the time zone {settings.log_with_timezone!r}: it is not known; correct log_with_timezone",
            option="log_with_timezone",
        ) from None
    journal = stderr and to_journal()
    if settings.logformat == "structured":
        return StructuredLines(zone, key=settings.structured_log_message_key or "msg", journal=journal)
    return TextLines(zone, journal=journal, colours=stderr and _colours())


def _file(path: str, settings: AgentSettings) -> "LogFile | None":
    if not path:
        return None
    from pyagent.runtime.log_file import LogFile

    try:
        return LogFile(
            path,
            interval=settings.logfile_rotation_interval.seconds,
            max_size=settings.logfile_rotation_max_size,
            max_archives=settings.logfile_rotation_max_archives,
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(
            f"cannot open the log file {path}: {reason}; correct logfile in [agent]", option="logfile"
        ) from None


def to_journal() -> bool:
    """Whether standard error is the journal, as that of a service is; what is started from a service's terminal inherits the
    variable alone."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # it may be closed since the start
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _colours() -> bool:
    """Whether standard error shows colours. A file and the journal have none, whatever FORCE_COLOR says."""
    try:
        to_file = stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):
        to_file = True
    return not to_file and not to_journal() and has_colours(sys.stderr)


def _handler() -> _Handler:
    root = logging.getLogger(ROOT)
    handler = next((handler for handler in root.handlers if isinstance(handler, _Handler)), None)
    if handler is None:
        handler = _Handler()
        root.propagate = False
        root.addHandler(handler)
        # What libraries say goes the same way, from warnings up.
        logging.getLogger().addHandler(handler)
        logging.addLevelName(TRACE, "TRACE")
    return handler


def configure_logging(*, debug: bool = False, quiet: bool = False) -> None:
    """Log to standard error from now on; safe to call again with other levels."""
    _handler()
    logging.getLogger(ROOT).setLevel(logging.ERROR if quiet else logging.DEBUG if debug else logging.INFO)


def apply_settings(settings: AgentSettings, *, debug: bool, quiet: bool) -> None:
    """Log where, how and from which level on the configuration and the command line together say; quiet wins.

    Raises ConfigError where the log file cannot be opened, and then nothing has changed.
    """
    _handler().apply(settings)
    configure_logging(debug=debug or settings.debug, quiet=quiet or settings.quiet)


def log_unhandled() -> None:
    """What nobody caught, in a thread or in the main one, goes the way of the log: with its secrets masked."""

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
            component_logger("agent").critical("cannot go on here: %s", kind.__name__, exc_info=(kind, error, trace))

    once = Once()

    def tell_of_thread(failure: "threading.ExceptHookArgs") -> None:
        """Of the agent's own threads all is told; a plugin's may fail at each gather, and alone."""
        files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(failure.exc_traceback)]
        began = next((file for file in files if file != threading.__file__), "")
        error = failure.exc_value
        if error is None or began.startswith(_OWN):
            tell(failure.exc_type, error, failure.exc_traceback)
            return
        if issubclass(failure.exc_type, KeyboardInterrupt | SystemExit):
            return
        owners = (name for name, known in _plugins.items() if any(map(partial(_is_of, known), files)))
        owner = next(owners, "")
        what = describe(error, files[-1:])
        log = component_logger(owner) if owner else thread_logger()
        if once(f"{owner} {what}"):
            whose = "its own" if owner else "code that a plugin runs"
            log.error("an exception has ended a thread of %s, logged once: %s", whose, what)
        log.debug("traceback of that thread", exc_info=error)

    def tell_ignored(failure: "sys.UnraisableHookArgs") -> None:
        """What a `__del__` raises, at each object of its class."""
        if sys.is_finalizing():
            return
        error = failure.exc_value
        what = describe(error) if error is not None else failure.exc_type.__name__
        if once(what):
            thread_logger().error("an exception that Python ignores, logged once: %s", what, exc_info=error)

    def tell_warning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        what = f"{filename}:{lineno}: {category.__name__}: {message}"
        if once(what):
            thread_logger().warning("%s", what)

    sys.excepthook = tell
    sys.unraisablehook = tell_ignored
    warnings.showwarning = tell_warning
    threading.excepthook = tell_of_thread


_OWN = os.path.join(os.path.dirname(pyagent.__file__), "")
_plugins: dict[str, str] = {}
"""The file of each plugin, or its folder, by the plugin's name."""


def _is_of(known: str, file: str) -> bool:
    return file == known or (known.endswith("/") and file.startswith(known))


def component_logger(name: str) -> logging.Logger:
    return logging.getLogger(logger_name(name))


def thread_logger() -> logging.Logger:
    """That of the plugin whose thread this is; the agent's in any other."""
    name = threading.current_thread().name
    return component_logger(name if name.partition(".")[0] in KINDS else "agent")


def plugin_logger(plan: PluginPlan) -> logging.Logger:
    """The plugin's logger, at its own level where it has one."""
    log = component_logger(plan.label)
    log.setLevel(LEVELS[plan.log_level.lower()] if plan.log_level else logging.NOTSET)
    if file := file_of(plan.plugin):
        _plugins[plan.label.partition("::")[0]] = file
    return log
