"""What the flags of `pyagent write` ask for, and doing it."""

import argparse
import asyncio
import os
import shlex
import signal
import stat
import sys
import time
from typing import Any, cast

from pyagent.api import ConfigError, Duration, PyagentError, Secret, redact
from pyagent.api.units import joined
from pyagent.cli.terminal import harmless
from pyagent.cli.tokens import token_of
from pyagent.cli.write_display import Display
from pyagent.cli.write_flags import mistake, parse_rate, reading_options_of, sources_of
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.reading import ReadingOptions
from pyagent.importer.rejects import ErrorsFile
from pyagent.importer.resume import Progress, Record, state_directory
from pyagent.importer.session import Outcome, Session

__all__ = ["run"]

_DEFAULT_HOST = "http://localhost:8086"


def run(arguments: argparse.Namespace) -> int:
    display = Display(quiet=arguments.quiet)
    try:
        return _Import(arguments, display).run()
    except PyagentError as error:
        display.error(redact(str(error)))
        return 1
    finally:
        display.close()


class _Import:
    """One run of the command. Raises PyagentError; mistakes in the flags end the program."""

    def __init__(self, given: argparse.Namespace, display: Display) -> None:
        self._given = given
        self._display = display
        self._errors: ErrorsFile | None = None
        words: list[str] = list(given.words)
        self._dry = words[:1] == ["dryrun"]
        self._sources = sources_of(given, words[1:] if self._dry else words)
        self._options = reading_options_of(given, dry=self._dry)

    def run(self) -> int:
        try:
            return self._dry_run() if self._dry else self._write()
        finally:
            if self._errors is not None:
                self._errors.close()

    def _open_errors_file(self, size: int | None = None) -> ErrorsFile | None:
        if self._given.errors_file:
            self._errors = ErrorsFile(self._given.errors_file, size)
        return self._errors

    def _check_files(self) -> None:
        """What is read is read once only, and is not the errors file."""
        given = self._given
        asked = [source.target for source in self._sources if source.kind == "stdin"]
        if asked and given.token_file in asked:
            mistake(
                self._given,
                "standard input can be read once only, and both the token and the data are to come from it; write the token "
                "into a file for --token-file, or into INFLUX_TOKEN",
            )
        if not given.errors_file:
            return
        names = [source.target for source in self._sources if source.kind == "file"]
        others: list[tuple[str, str | int]] = [(name, name) for name in names]
        if "-" in [*asked, given.token_file]:
            others.append(("what is read from standard input", 0))
        others += [(name, name) for name in (given.token_file, given.tls_ca) if name not in ("", "-")]
        for name, file in others:
            if _is_same_file(given.errors_file, file):
                mistake(
                    self._given,
                    f"cannot write the refused rows to {harmless(given.errors_file)}: it is the same file as "
                    f"{harmless(name)}, which is read; name another --errors-file",
                )

    def _check_inputs(self) -> None:
        """All are there, before anything is written. Raises ImportFailure."""
        for source in self._sources:
            source.check()

    def _check_record(self, record: Record) -> None:
        path = record.path
        if path is None:
            return
        read = [source.target for source in self._sources if source.kind == "file"]
        for name in (*read, *([self._given.errors_file] if self._given.errors_file else ())):
            if os.path.realpath(name) == os.path.realpath(path) or _is_same_file(name, str(path)):
                mistake(
                    self._given,
                    f"cannot use {harmless(name)}: it is where it is kept how far this import has come; name another file, or "
                    "another --state-directory",
                )

    # Doing it ---------------------------------------------------------------------------------------------------------

    def _dry_run(self) -> int:
        parse_rate(self._given.rate_limit)
        self._check_inputs()
        self._check_files()
        errors = self._open_errors_file()
        session = Session(self._sources, self._options, self._display, errors_file=errors, debug=self._given.debug)
        sys.stdout.flush()
        return self._end(session.dry_run(sys.stdout.buffer.write), session)

    def _write(self) -> int:
        from pyagent.importer.delivery import Delivery, Target, rate_limit

        given = self._given
        rate = parse_rate(given.rate_limit)
        bucket = given.bucket or os.environ.get("INFLUX_BUCKET", "")
        if not bucket:
            mistake(self._given, "no bucket is given; add --bucket NAME")
        host = given.host or os.environ.get("INFLUX_HOST", "") or _DEFAULT_HOST
        org = given.org or os.environ.get("INFLUX_ORG", "")
        patience = self._patience()
        self._check_inputs()
        self._check_files()
        record = self._record(host, org, bucket)
        self._check_record(record)
        before = record.load()
        progress = self._progress(before)
        errors = self._open_errors_file(progress.errors_size)
        target = Target(host, Secret(token_of(given)), org, bucket, given.tls_ca, not given.no_compression)
        options = _with_start(self._options, progress.start)
        session = Session(self._sources, options, self._display, errors_file=errors, debug=given.debug)

        async def main() -> Outcome:
            _end_on_signals()
            delivery = Delivery(
                target,
                rate=rate_limit(*rate) if rate else None,
                patience=patience,
                told=lambda text: self._display.warn(redact(text)),
            )
            return await session.run(delivery, record, progress)

        started = time.monotonic()
        try:
            asyncio.run(main())
        except ConfigError as error:
            raise ImportFailure(str(error)) from None
        except PyagentError as error:
            session.outcome.failure = redact(str(error))
        except (KeyboardInterrupt, asyncio.CancelledError):
            session.outcome.failure = "interrupted"
        if session.outcome.failure:
            if session.begun:
                record.save(progress, sync=True)
                if not record.problem:
                    session.outcome.failure = joined(session.outcome.failure, "--resume goes on from here")
        else:
            record.remove()
        return self._end(session.outcome, session, bucket, time.monotonic() - started)

    def _patience(self) -> float:
        try:
            return Duration(self._given.retry_for).seconds
        except ValueError as error:
            mistake(self._given, f"invalid value for --retry-for: {error}")

    def _record(self, host: str, org: str, bucket: str) -> Record:
        given = self._given
        inputs = [
            os.path.abspath(source.target) if source.kind == "file" else source.target for source in self._sources
        ]
        how = {name: getattr(given, name) for name in vars(given) if name in _CHANGES_ROWS}
        directory = state_directory(given.state_directory or os.environ.get("PYAGENT_STATE_DIRECTORY", ""), os.environ)
        return Record(directory, {"to": [host, org, bucket], "inputs": inputs, "how": how})

    def _progress(self, before: Progress | None) -> Progress:
        if before is None:
            if self._given.resume:
                self._display.note("there is no interrupted import of these files; it begins at their start")
            return Progress(time.time_ns())
        line = max((one.line for one in before.inputs), default=0)
        if self._given.resume:
            self._display.note(
                f"it goes on behind line {line:,}, up to which all is settled"
                if line
                else "the interrupted import had nothing acknowledged; it begins at the start, with the same times for rows "
                "without one"
            )
            return before
        where = f"behind line {line:,}" if line else "before anything was acknowledged"
        self._display.note(f"an import of these files was interrupted {where}; --resume would go on there")
        return Progress(time.time_ns())

    def _end(self, outcome: Outcome, session: Session, bucket: str = "", seconds: float = 0.0) -> int:
        again = ""
        regular = os.path.isfile(self._given.errors_file) if self._given.errors_file else False
        if outcome.rejected and regular and session.repeating is not None and not outcome.failure:
            again = f"mend {self._given.errors_file}, then write it: {self._again(session.repeating)}"
        self._display.finish(outcome, bucket, seconds, bool(self._given.errors_file), again)
        return 1 if outcome.failure or outcome.rejected else 0

    def _again(self, flags: list[str]) -> str:
        """The command that writes the errors file as this one would have."""
        given = self._given
        words = ["pyagent", "write", *(["dryrun"] if self._dry else [])]
        for flag, name in _REPEATED.items():
            value = getattr(given, name)
            for one in value if isinstance(value, list) else [value]:
                words += [flag] if one is True else [flag, one] if one else []
        return shlex.join([*words, *flags, *([] if "--header" in flags else ["--format", "lp"]), given.errors_file])


_REPEATED = {
    "--host": "host", "--org": "org", "--bucket": "bucket", "--token-file": "token_file", "--tls-ca": "tls_ca",
    "--precision": "precision", "--time-column": "time_column", "--tag": "tag", "--tag-columns": "tag_columns",
    "--type": "type", "--time-format": "time_format", "--timezone": "timezone", "--decimal": "decimal",
    "--keep-duplicates": "keep_duplicates", "--xIgnoreDataTypeInColumnName": "xIgnoreDataTypeInColumnName",
}  # fmt: skip
"""Flags that hold for the refused rows as well, and the names of their values."""

_CHANGES_ROWS = {
    "format", "encoding", "compression", "precision", "header", "skipHeader", "measurement", "time_column", "tag",
    "tag_columns", "type", "time_format", "timezone", "separator", "decimal", "keep_duplicates", "max_line_length",
    "xIgnoreDataTypeInColumnName",
}  # fmt: skip
"""Flags with which the same file becomes other lines."""


def _with_start(options: ReadingOptions, start: int) -> ReadingOptions:
    from dataclasses import replace

    return replace(options, start=start)


def _is_same_file(one: str, other: str | int) -> bool:
    """Whether both are one regular file, by whatever names."""
    try:
        first, second = os.stat(one), os.stat(other)
    except OSError:
        return False
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)


def _end_on_signals() -> None:
    """SIGTERM as Ctrl-C: what is settled is recorded."""
    loop = asyncio.get_running_loop()
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
