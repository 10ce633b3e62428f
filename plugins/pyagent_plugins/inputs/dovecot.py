"""Statistics of Dovecot, from its plugin old-stats."""

from typing import Annotated

from pyagent.api import Accumulator, Chart, ConfigError, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.connection import Connection, ServerAddress, connected
from pyagent.kit.each import for_each, joined_failures
from pyagent.kit.numbers import parse_integer
from pyagent.kit.shown import quoted

__all__ = ["Dovecot", "DovecotOptions"]


class DovecotOptions(Options, frozen=True):
    servers: Annotated[list[str], option("HOST:PORT, or paths of unix sockets ([]: port 24242 of this host)")] = []
    type: Annotated[str, option("what to tell apart: user, domain, ip, or global for all in one")] = ""
    filters: Annotated[list[str], option("which of them, wildcards allowed; networks for ip ([]: all)")] = []


_PORT = 24242
_TIMEOUT = 5.0
_TYPES = ("user", "domain", "ip", "global")
_SECONDS = {"user_cpu": "of a processor for programs", "sys_cpu": "of one for the kernel", "clock_time": "that it took"}
_TIMES = ("reset_timestamp", "last_update")
"""Telegraf leaves them out, as no field can hold a time."""
_COUNTS = {
    "num_logins": "logins",
    "num_cmds": "commands",
    "min_faults": "page faults without a disk",
    "maj_faults": "page faults with one",
    "vol_cs": "context switches of their own accord",
    "invol_cs": "context switches that were forced",
    "read_count": "reads",
    "write_count": "writes",
    "mail_lookup_path": "files opened or looked at",
    "mail_lookup_attr": "looks at attributes of files",
    "mail_read_count": "mails read",
    "mail_cache_hits": "hits of the cache of mails",
    "auth_successes": "logins that succeeded",
    "auth_master_successes": "logins of masters that succeeded",
    "auth_failures": "logins that failed",
    "auth_db_tempfails": "logins that failed as the database did",
    "auth_cache_hits": "hits of the cache of logins",
    "auth_cache_misses": "misses of it",
}
_BYTES = {
    "disk_input": "read from disks",
    "disk_output": "written to disks",
    "read_bytes": "read",
    "write_bytes": "written",
    "mail_read_bytes": "of mails read",
}


class Dovecot(Input[DovecotOptions]):
    measurements = (
        Measurement(
            "dovecot",
            "What all sessions, or those of a user, a domain or an address, have used since the statistics began anew.",
            tags={
                "server": "its host, or the path of its socket",
                "type": "the option",
                "user": "with type user",
                "domain": "with type domain",
                "ip": "with type ip",
            },
            fields={name: Field("int", "1", text, counter=True) for name, text in _COUNTS.items()}
            | {name: Field("int", "bytes", text, counter=True) for name, text in _BYTES.items()}
            | {name: Field("float", "s", text, counter=True) for name, text in _SECONDS.items()}
            | {"num_connected_sessions": Field("int", "1", "sessions that are open; not with type user")},
            open=True,
            charts=(
                Chart("Sessions", ("num_connected_sessions",)),
                Chart("Logins", ("num_logins", "auth_failures")),
                Chart("Commands", ("num_cmds",)),
                Chart("Processor time", ("user_cpu", "sys_cpu"), stacked=True),
                Chart("Disks", ("disk_input", "disk_output")),
            ),
        ),
    )

    def setup(self) -> None:
        options = self.options
        if options.type not in _TYPES:
            raise ConfigError(f"cannot use the type {options.type!r}; there are {', '.join(_TYPES)}", option="type")
        for text in options.filters:
            if "\t" in text or "\n" in text:
                raise ConfigError(f"cannot use the filter {text!r}: it has a tab or a line break", option="filters")
        servers = [ServerAddress.of(text, default_port=_PORT) for text in options.servers or [f"127.0.0.1:{_PORT}"]]
        self._questions = [(server, text) for server in servers for text in options.filters or [""]]

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._questions, lambda question: self._ask(*question, acc))

    async def _ask(self, server: ServerAddress, only: str, acc: Accumulator) -> None:
        kind = self.options.type
        async with connected(server, timeout=_TIMEOUT) as connection:
            await connection.send(_request(kind, only))
            head = (await connection.line()).decode("utf-8", "replace").split("\t")
            if head[0].startswith("-"):
                connection.fail(f"it refuses `EXPORT {kind}`: {quoted(head[0][:80])}")
            rows = await _rows(connection)
        failures: list[Exception] = []
        for number, row in enumerate(rows, start=2):
            found, problem = _fields(kind, head, row)
            if problem:
                failures.append(PyagentError(f"cannot read {server}: line {number} of its answer: {problem}"))
            if found:
                tags = {"server": server.path or server.host, "type": kind}
                if kind != "global":
                    tags[kind] = row[0]
                acc.add("dovecot", found, {name: value for name, value in tags.items() if value})
        if failures:
            raise joined_failures(failures)


def _request(kind: str, only: str) -> bytes:
    return "\t".join(["EXPORT", kind, *([f"{kind}={only}"] if only else [])]).encode() + b"\n"


async def _rows(connection: Connection) -> list[list[str]]:
    """Until an empty line, or the end."""
    rows: list[list[str]] = []
    while True:
        try:
            line = await connection.line()
        except PyagentError:
            if rest := await connection.rest():
                connection.fail(f"the answer ends within the line {quoted(rest[:80])}")
            return rows
        if not line:
            return rows
        rows.append(line.decode("utf-8", "replace").split("\t"))


def _fields(kind: str, head: list[str], row: list[str]) -> tuple[dict[str, int | float], str]:
    """The fields, and what is wrong."""
    if len(row) != len(head):
        return {}, f"it has {len(row)} columns, and the heading {len(head)}"
    found: dict[str, int | float] = {}
    problem = ""
    for name, text in zip(head, row, strict=True):
        if name == kind or name in _TIMES:
            continue
        whole, _, part = text.partition(".")
        seconds, micros = parse_integer(whole), parse_integer(part.ljust(6, "0"))
        if seconds is None or micros is None:
            problem = problem or f"{name} is {quoted(text[:40])}"
        else:
            found[name] = seconds + micros / 1_000_000 if name in _SECONDS else seconds
    return found, problem
