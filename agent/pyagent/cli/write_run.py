"""What the flags of `pyagent write` ask for, and doing it."""

import argparse
import asyncio
import os
import re
import shlex
import signal
import stat
import sys
import time
from typing import Any, NoReturn, cast

from pyagent.api import ConfigError, Duration, PyagentError, Secret, redact
from pyagent.api.units import joined
from pyagent.cli.terminal import harmless
from pyagent.cli.tokens import looks_like_token, token_of
from pyagent.cli.write_display import Display
from pyagent.importer.csv_lines import CsvOptions
from pyagent.importer.inference import Given
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.reading import Format, ReadingOptions
from pyagent.importer.rejects import ErrorsFile
from pyagent.importer.resume import Progress, Record, state_directory
from pyagent.importer.session import Outcome, Session
from pyagent.importer.sources import Source, checked_encoding
from pyagent.importer.times import reader_of, zone_of
from pyagent.lineprotocol import Precision
from pyagent.lineprotocol.results import unit_ns

__all__ = ["parse_rate", "run"]

_DEFAULT_HOST = "http://localhost:8086"
_RATE = re.compile(r"([0-9]*)\s*(B|kB|MB)\s*/\s*([0-9]*)\s*(s|sec|m|min)")
_SIZES = {"B": 1, "kB": 1024, "MB": 1024 * 1024}
_LP = re.compile(r"[^\s,=#]\S*(?<!\\)\s+\S+=\S")


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
        self._sources = self._inputs(words[1:] if self._dry else words)
        self._separator = _unescaped(given.separator)
        self._options = self._reading_options()

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

    def _mistake(self, message: str) -> NoReturn:
        self._given.parser.error(message)
        raise AssertionError

    def _check_files(self) -> None:
        """What is read is read once only, and is not the errors file."""
        given = self._given
        asked = [source.target for source in self._sources if source.kind == "stdin"]
        if asked and given.token_file in asked:
            self._mistake(
                "standard input can be read once only, and both the token and the data are to come from it; write the token "
                "into a file for --token-file, or into INFLUX_TOKEN"
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
                self._mistake(
                    f"cannot write the refused rows to {harmless(given.errors_file)}: it is the same file as "
                    f"{harmless(name)}, which is read; name another --errors-file"
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
                self._mistake(
                    f"cannot use {harmless(name)}: it is where it is kept how far this import has come; name another file, or "
                    "another --state-directory"
                )

    # What is read -----------------------------------------------------------------------------------------------------

    def _inputs(self, words: list[str]) -> list[Source]:
        given = self._given
        if any(map(looks_like_token, words)):
            self._mistake("cannot take a token as an argument: write it into a file and name that with --token-file")
        sources = [Source("file", path) if path != "-" else Source("stdin", "-") for path in given.file]
        for url in given.url:
            if not re.match(r"https?://[^/]", url, re.IGNORECASE):
                self._mistake(f"cannot read from {harmless(url)!r}: it is no address of http or https")
            if re.fullmatch(r"https?://[^/?]*/?", url, re.IGNORECASE):
                self._mistake(f"{harmless(url)} names a server and no file; the server that is written to is --host")
            sources.append(Source("url", url, given.tls_ca))
        for word in words:
            if word == "-":
                sources.append(Source("stdin", word))
            elif word.startswith("@"):
                sources.append(Source("file", word[1:]))
            elif _LP.search(word) and not os.path.exists(word):
                sources.append(Source("text", word))
            else:
                sources.append(Source("file", word))
        if sum(source.kind == "stdin" for source in sources) > 1:
            self._mistake("standard input can be read once only")
        if not sources and sys.stdin.isatty():
            self._mistake("no file is given; name one, or - for standard input")
        return sources or [Source("stdin", "-")]

    def _reading_options(self) -> ReadingOptions:
        given = self._given
        for name, value, known in (
            ("--format", given.format, ("csv", "lp")),
            ("--compression", given.compression, ("none", "gzip")),
            ("--precision", given.precision, ("ns", "us", "ms", "s")),
            ("--decimal", given.decimal, (".", ",")),
        ):
            if value and value not in known:
                self._mistake(f"invalid value {harmless(value)!r} for {name}: write {' or '.join(known)}")
        if given.skipHeader < 0 or given.max_line_length < 0:
            self._mistake("--skipHeader and --max-line-length take no negative numbers")
        if len(self._separator) > 1:
            self._mistake(f"invalid value {harmless(self._separator)!r} for --separator: write one character")
        precision = cast("Precision", given.precision or "ns")
        headers = tuple(given.header)
        longest = given.max_line_length
        try:
            zone = zone_of(given.timezone)
        except ValueError as error:
            raise ImportFailure(f"cannot use --timezone: {error}; write one like Europe/Berlin or +0200") from None
        csv = CsvOptions(
            headers=headers,
            skip=given.skipHeader,
            separator=self._separator.encode(),
            longest=0 if self._dry else longest,
            most_held=max(longest, 16_000_000),
            ignore_types_in_header=given.xIgnoreDataTypeInColumnName,
            keep_duplicates=given.keep_duplicates,
            zone=zone,
        )
        return ReadingOptions(
            format=cast("Format", given.format),
            encoding=checked_encoding(given.encoding),
            compression=given.compression,
            csv=csv,
            given=self._about_columns(),
            precision=precision,
            unit=unit_ns(precision),
            dry=self._dry,
        )

    def _about_columns(self) -> Given:
        given = self._given
        types: dict[str, str] = {}
        for text in given.type:
            name, equals, kind = text.rpartition("=")
            if not equals:
                self._mistake(f"invalid value {harmless(text)!r} for --type: write NAME=TYPE")
            types[name] = kind
        if given.time_format:
            reader_of(given.time_format, zone_of(""))
        tags = [*given.tag, *(name for name in given.tag_columns.split(",") if name)]
        return Given(
            measurement=given.measurement,
            time=given.time_column,
            tags=tags,
            types=types,
            form=given.time_format,
            zone=given.timezone,
            decimal=given.decimal,
            separator=self._separator,
            unit=unit_ns(given.precision or "ns"),
            precise=bool(given.precision),
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
            self._mistake("no bucket is given; add --bucket NAME")
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
            self._mistake(f"invalid value for --retry-for: {error}")

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


def parse_rate(text: str) -> tuple[int, float] | None:
    """`5 MB / 5 min` as bytes and seconds; None for an empty text. Raises ImportFailure."""
    if not text:
        return None
    match = _RATE.fullmatch(text.strip())
    size = int(match[1] or 1) * _SIZES[match[2]] if match else 0
    seconds = int(match[3] or 1) * (60 if match[4].startswith("m") else 1) if match else 0
    if not size or not seconds:
        raise ImportFailure(
            f"cannot use --rate-limit {harmless(text)!r}: write one like '5 MB / 5 min', with B, kB or MB in s, sec, m or min"
        )
    return size, float(seconds)


def _unescaped(text: str) -> str:
    return {"\\t": "\t", "tab": "\t"}.get(text, text)
