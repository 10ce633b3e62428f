"""Lines of the systemd journal, as they come.

Runs `journalctl --follow`. A line counts as read when the outputs' queues hold it, not before; where it was read to is kept, so
that it goes on there after a reload and a restart. Telegraf has no such input: tags and fields are named as those of its input
`syslog`.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pyagent.api import (
    About,
    Accumulator,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Metric,
    Options,
    PyagentError,
    QueueFull,
    fields,
    option,
)
from pyagent.kit.long_running import LongRunning
from pyagent.kit.notices import Notices
from pyagent.kit.positions import Positions
from pyagent.kit.shown import quoted
from pyagent_plugins.inputs.journald.entries import SEVERITIES, Maker, read_entry

__all__ = ["Journald", "JournaldOptions"]

LONGEST = 1 << 20
"""Bytes of an entry as journalctl prints it; what is longer is left out."""
_AT_ONCE = 1000
"""Entries that are handed on together."""
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.25
_FIRST_ANSWER = 0.8
"""Seconds for which the first gather waits for something, for --once and --test."""
_STOP_GRACE = 0.1
_NAME = re.compile(r"[A-Z0-9_]{1,64}")
_PATTERN = re.compile(r"[A-Z0-9_*?]{1,64}")
_CURSOR = re.compile(r"[A-Za-z0-9=;]{1,400}")
_ALL_BOOTS = (("--merge", "--boot=all"), ("--boot=all",), ("--merge",), ())
"""Since version 250 of systemd `--follow` means the current boot alone. Up to 257 `--merge` undoes it, from 258 on
`--boot=all`, which the oldest do not know."""
_NOT_ALL_BOOTS = re.compile("boot.*(descriptor|merge|all)|merge.*(boot|supported)", re.IGNORECASE)
_REFUSED = re.compile("stderr: .*(insufficient permissions|not seeing messages|permission denied)", re.IGNORECASE)
_HINT = re.compile(r"(stderr: )?(Hint: |\s+)")
_REMEDY = (
    "cannot read all of the journal: this account may not; add it to the group systemd-journal (usermod --append --groups"
    " systemd-journal pyagent), or give the unit the drop-in journal.conf, and restart the agent"
)


class JournaldOptions(Options, frozen=True):
    start_at: Annotated[
        Literal["beginning", "end"], option("where to begin, where it was not read before: at the oldest line, or now")
    ] = "end"
    max_age: Annotated[
        Duration, option("with start_at = beginning: no lines that are older (0s: whatever their age)", ge=0)
    ] = Duration(0)
    current_boot_only: Annotated[bool, option("no lines of earlier boots, also not of those not read yet")] = False
    include_units: Annotated[
        list[str], option("only lines of and about these units; .service may be left off, * and ? are wildcards")
    ] = []
    exclude_units: Annotated[list[str], option("no lines of these units")] = []
    identifiers: Annotated[list[str], option("only lines with these identifiers (SYSLOG_IDENTIFIER)")] = []
    priority: Annotated[
        str, option("only lines of this priority or a more urgent one, such as warning; or a range, crit..notice")
    ] = ""
    include_matches: Annotated[
        dict[str, list[str]], option("only lines whose fields have these values: one of each field's")
    ] = {}
    exclude_matches: Annotated[dict[str, list[str]], option("no lines in which a field has one of these values")] = {}
    journal_tags: Annotated[
        list[str],
        option("further fields of the journal that become tags, such as _SYSTEMD_SLICE; * and ? are wildcards"),
    ] = []
    journal_fields: Annotated[
        list[str], option("further fields of the journal that become fields, such as CODE_FILE; * and ? are wildcards")
    ] = []
    journal_directory: Annotated[
        str, option("a folder with journals, such as those of other hosts; empty: this host's", executes=True)
    ] = ""
    namespace: Annotated[str, option("the namespace of the journal; empty: the default one")] = ""
    journalctl_path: Annotated[str, option("the program", executes=True)] = "journalctl"
    restart_delay: Annotated[Duration, option("pause before journalctl is started again when it has ended", ge=0)] = (
        Duration("10s")
    )


class Journald(Input[JournaldOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "journald",
            "A line of the journal.",
            tags={
                "appname": "the program's name for itself (SYSLOG_IDENTIFIER), or its file's name",
                "facility": "kern, user, mail, daemon, auth, ...; where the line has one",
                "hostname": "the host that the line is of",
                "severity": "emerg, alert, crit, err, warning, notice, info or debug",
                "unit": "the unit of systemd that wrote it, or that systemd writes about",
                "user_unit": "the unit of an account's own systemd",
            },
            fields=fields("str", "", message="the text", msgid="what kind of message (MESSAGE_ID)")
            | fields("int", "1", severity_code="0 (emerg) to 7 (debug)", facility_code="0 (kern) to 23 (local7)")
            | fields("str", "", procid="the process, as it says itself")
            | fields("int", "1", pid="the process", uid="its account")
            | {"timestamp": Field("int", "ns", "when the program wrote it, as far as the journal knows")},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        for name in ("journal_tags", "journal_fields"):
            for pattern in getattr(options, name):
                _check(pattern, _PATTERN, name)
        for name in ("include_matches", "exclude_matches"):
            for field in getattr(options, name):
                _check(field, _NAME, name)
        if options.priority and not _is_priority(options.priority):
            problem = f"cannot use the priority {options.priority!r}; use one of {', '.join(SEVERITIES)}, or 0 to 7"
            raise ConfigError(problem, option="priority")
        units = [_unit(unit) for unit in options.include_units]
        # journalctl looks for the units that match when it is started, and takes none that come later.
        self._chosen_here = units if any("*" in unit or "?" in unit for unit in units) else []
        self._maker = Maker(
            options.journal_tags,
            options.journal_fields,
            self._chosen_here,
            [_unit(unit) for unit in options.exclude_units],
            options.exclude_matches,
        )
        self._program = LongRunning(
            [options.journalctl_path or "journalctl"],
            self._received,
            self.log,
            environment=["LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="],
            restart_delay=options.restart_delay.seconds,
            ended=self._program_ended,
            may_be_missing=True,
            arguments=self._arguments,
            tell=self._said,
        )
        self._fixed = self._filters()
        self._all_boots = 0
        self._program_ended()
        self._acc: Accumulator | None = None
        self._handing_on: asyncio.Task[None] | None = None
        self._expected = ""
        self._refused = False

    def _filters(self) -> list[str]:
        options = self.options
        return [
            *([f"--directory={options.journal_directory}"] if options.journal_directory else []),
            *([f"--namespace={options.namespace}"] if options.namespace else []),
            *(f"--unit={_unit(unit)}" for unit in options.include_units if not self._chosen_here),
            *(f"--identifier={identifier}" for identifier in options.identifiers),
            *([f"--priority={options.priority}"] if options.priority else []),
            *(f"{field}={value}" for field, values in options.include_matches.items() for value in values),
        ]

    # The input --------------------------------------------------------------------------------------------------------

    def obstacles(self) -> Sequence[str]:
        return [self._cannot_run()] if self._program.obstacle() else []

    async def start(self, acc: Accumulator) -> None:
        if self._acc is None:
            source = f"{self.options.journal_directory}\0{self.options.namespace}"
            positions = Positions("journald", repr((self._fixed, self.log.name)))
            kept = positions.get(source)  # before anything counts as begun: where it cannot be read, it is tried again
            self._source, self._positions = source, positions
            self._acc = acc
            self._loop = asyncio.get_running_loop()
            self._notices = Notices(self.log)
            self._came = asyncio.Event()
            self._first = True
            if kept is None:
                self._begin(self._source in positions.damaged)
            else:
                self._keep(kept)  # as its own, should it be another's
        try:
            await self._program.start()
        except PyagentError:
            raise PyagentError(self._cannot_run()) from None

    async def gather(self, acc: Accumulator) -> None:
        """Start the program where it was missing before. The first time what is there is waited for."""
        if self._acc is None or asyncio.get_running_loop() is not self._loop:
            return
        await self.start(self._acc)
        if self._first:
            self._first = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), _FIRST_ANSWER)

    async def stop(self) -> None:
        if self._acc is None:
            return
        await self._program.stop(_STOP_GRACE)
        if self._handing_on is not None:
            # What is on its way into the queues may be there already: not waited for, it would be read again.
            await asyncio.wait([self._handing_on])
        self._notices.finish()

    def _cannot_run(self) -> str:
        return (
            f"cannot run {self._program.name!r}: there is no such program; it is of the package systemd: install it, or name it"
            " in `journalctl_path`"
        )

    # Where to read ----------------------------------------------------------------------------------------------------

    def _begin(self, damaged: bool = False) -> None:
        """Where nothing was read before, or nobody knows how far."""
        now, age = time.time_ns() // 1000, self.options.max_age // 1000
        if damaged:
            self.log.error("the record of how far the journal was read is damaged; it is read from its beginning")
        if self.options.start_at == "end" and not damaged:
            self._keep({"since": now})
        else:
            self._keep({"since": max(now - age, 0)} if age else {})

    async def _arguments(self) -> Sequence[str]:
        if self._handing_on is not None:  # it may count still
            await asyncio.wait([self._handing_on])
        # `--follow` first: what comes behind it takes the boot back that it sets.
        arguments = ["--follow", "--output=json", "--all", "--no-pager", "--no-tail"]
        matches: list[str] = []
        if self.options.current_boot_only:
            arguments.append("--boot")
        else:
            arguments += _ALL_BOOTS[self._all_boots]
            elsewhere = self.options.journal_directory or "_MACHINE_ID" in self.options.include_matches
            if "--merge" in arguments and not elsewhere and (machine := _machine()):
                matches = [f"_MACHINE_ID={machine}"]  # --merge takes those of containers and other hosts, too
        if (needed := self._maker.needed()) is not None:
            arguments.append(f"--output-fields={','.join(needed)}")
        return [*arguments, *self._from_here(), *self._fixed, *matches]

    def _from_here(self) -> list[str]:
        record = self._positions.get(self._source) or {}
        cursor, since = record.get("cursor"), record.get("since")
        self._expected = ""
        if isinstance(cursor, str) and _CURSOR.fullmatch(cursor):
            # The entry itself comes first: one that is not there any more shows by that. With --after-cursor an entry would
            # be lost then.
            self._expected = cursor
            return [f"--cursor={cursor}"]
        if isinstance(since, int) and 0 <= since < 1 << 53:
            return [f"--since=@{since // 1_000_000}.{since % 1_000_000:06}"]
        return []

    def _keep(self, record: dict[str, Any]) -> None:
        error = self._positions.put(self._source, record)
        if error is not None:
            self._notices.add("position", f"cannot keep how far the journal was read: {error}", logging.ERROR)

    # What journalctl writes -------------------------------------------------------------------------------------------

    def _program_ended(self) -> None:
        self._rest = bytearray()
        self._skips = False

    async def _received(self, data: bytes) -> None:
        lines = self._lines(data)
        for start in range(0, len(lines), _AT_ONCE):
            if self._program.stopping:  # what comes behind a portion that was given up must not count
                return
            # On its own: this one is ended when the program has ended.
            self._handing_on = asyncio.create_task(self._hand_on(lines[start : start + _AT_ONCE]))
            await asyncio.shield(self._handing_on)

    def _lines(self, data: bytes) -> list[bytes]:
        begin, end, data = data.partition(b"\n")
        self._rest += begin
        if len(self._rest) > LONGEST:
            if not self._skips:
                self._notices.add("long", f"an entry has more than {LONGEST:,} bytes as JSON; it is left out")
            self._skips = True
            self._rest.clear()
        if not end:
            return []
        lines = [] if self._skips else [bytes(self._rest)]
        self._skips = False
        *more, rest = data.split(b"\n")
        self._rest = bytearray(rest)
        return lines + more

    async def _hand_on(self, lines: Sequence[bytes]) -> None:
        metrics: list[Metric] = []
        cursor = ""
        for line in lines:
            if not line or line.startswith(b"-- "):
                continue
            try:
                entry = read_entry(line)
                if self._expected:
                    expected, self._expected = self._expected, ""
                    if _same(expected, entry.cursor):
                        continue
                    self._has_gone(expected, entry.cursor)
                metric = self._maker.metric(entry)
            except (ValueError, TypeError, RecursionError) as error:
                shown = quoted(line[:80].decode("utf-8", "replace"))
                self._notices.add("entry", f"cannot read an entry of the journal: {error}; it begins with {shown}")
                continue
            cursor = entry.cursor
            if metric is not None:
                metrics.append(metric)
        if cursor and await self._deliver(metrics):
            self._refused = False
            self._keep({"cursor": cursor})
            self._came.set()

    async def _deliver(self, metrics: list[Metric]) -> bool:
        """Whether the outputs' queues hold them."""
        assert self._acc is not None
        pause = _FIRST_PAUSE
        while metrics:
            try:
                await self._acc.deliver(metrics)
                break
            except QueueFull as full:
                if self._program.stopping:
                    return False
                if self._notices.is_due("wait"):
                    self._notices.add("wait", f"the journal has to wait: {str(full).partition(';')[0]}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)
            except Exception as error:
                self._notices.add("BUG", f"BUG: cannot hand on entries of the journal: {error!r}", logging.ERROR)
                return False
        return True

    def _has_gone(self, expected: str, found: str) -> None:
        if self.options.current_boot_only and _part(expected, "b") != _part(found, "b"):
            return
        self._notices.add(
            "gone",
            "the entry up to which the journal was read is not there any more, or not among those that are asked for: entries"
            " may be missing between it and the next one, from which it is read on; keep the journal for longer"
            " (SystemMaxUse in journald.conf)",
        )

    def _said(self, level: int, text: str) -> None:
        """Standard error, and that it has ended."""
        if _REFUSED.search(text):
            if not self._refused:
                self._refused = True
                self.log.error("%s", _REMEDY)
            return
        if "Failed to seek to cursor" in text:
            since = _behind(self._positions.get(self._source))
            if since is None:
                self._begin()
            else:
                self._keep({"since": since})
            text += ": where the journal was read to cannot be found; it is read on by the time"
        elif not self.options.current_boot_only and _NOT_ALL_BOOTS.search(text):
            self._all_boots = (self._all_boots + 1) % len(_ALL_BOOTS)
        elif self._refused or _HINT.match(text):
            return  # the lines behind it, and its end
        said = text.removeprefix("stderr: ")
        self._notices.add(said[:40], said if said is text else f"`{self._program.name}` says: {said}", level)


def _check(text: str, allowed: re.Pattern[str], option_name: str) -> None:
    if not allowed.fullmatch(text):
        problem = f"cannot use {text[:80]!r} as a field of the journal: they have letters A to Z, digits and _"
        raise ConfigError(problem, option=option_name)


def _is_priority(text: str) -> bool:
    ends = text.split("..")
    return len(ends) <= 2 and all(end in SEVERITIES or (len(end) == 1 and end in "01234567") for end in ends)


def _unit(name: str) -> str:
    return name if "." in name or not name else f"{name}.service"


def _machine() -> str:
    with suppress(OSError), open("/etc/machine-id", encoding="ascii", errors="replace") as file:
        text = file.read(100).strip()
        if re.fullmatch("[0-9a-f]{32}", text):
            return text
    return ""


def _part(cursor: str, name: str) -> str:
    return next((part for part in cursor.split(";") if part.startswith(f"{name}=")), "")


def _same(one: str, other: str) -> bool:
    """Whether they are of one entry: the journal's number for it, and of the file that it was written to."""
    return one == other or all(_part(one, name) == _part(other, name) != "" for name in ("s", "i"))


def _behind(record: dict[str, Any] | None) -> int | None:
    """Where to begin when there is no such cursor: microseconds, behind its time."""
    with suppress(ValueError):
        return int(_part(str((record or {}).get("cursor")), "t")[2:], 16) + 1
    return None
