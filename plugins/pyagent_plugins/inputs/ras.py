"""Errors of the hardware that rasdaemon recorded.

Reads its SQLite database. Names and types are those of Telegraf 1.40.
"""

import os
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Annotated
from urllib.parse import quote

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    counters,
    option,
)
from pyagent.api.files import readable_path
from pyagent.kit.timestamps import parse_timestamp

__all__ = ["Ras", "RasOptions"]

_DATABASE = "/var/lib/rasdaemon/ras-mc_event.db"


class RasOptions(Options, frozen=True):
    db_path: Annotated[str, option("the database of rasdaemon", reads_path=True)] = _DATABASE


_OF_SOCKETS = {
    "memory_read_corrected_errors": "memory reads, corrected",
    "memory_read_uncorrectable_errors": "memory reads, not corrected",
    "memory_write_corrected_errors": "memory writes, corrected",
    "memory_write_uncorrectable_errors": "memory writes, not corrected",
    "cache_l0_l1_errors": "caches of level 0 and 1",
    "tlb_instruction_errors": "buffer of instructions' addresses",
    "processor_base_errors": "the processor: all that follow but the bus",
    "processor_bus_errors": "the bus",
    "internal_timer_errors": "internal timer",
    "smm_handler_code_access_violation_errors": "access of the SMM handler",
    "internal_parity_errors": "internal parity",
    "frc_errors": "functional redundancy check",
    "external_mce_errors": "an external cause",
    "microcode_rom_parity_errors": "parity of the microcode",
    "unclassified_mce_errors": "not classified",
}
_OF_SERVER = {"cache_l2_errors": "caches of level 2", "upi_errors": "links between processors (UPI)"}
_BASE = {
    "Internal Timer error": "internal_timer_errors",
    "SMM Handler Code Access Violation": "smm_handler_code_access_violation_errors",
    "Internal parity error": "internal_parity_errors",
    "FRC error": "frc_errors",
    "External error": "external_mce_errors",
    "Microcode ROM parity error": "microcode_rom_parity_errors",
}
_UNCLASSIFIED = ("Unclassified", "Internal unclassified")
_QUERY = "SELECT id, timestamp, error_msg, mcistatus_msg, socketid FROM mce_record WHERE id > ? ORDER BY id"
_LAYOUT = "2006-01-02 15:04:05 -0700"
_BUSY = 1.0
"""Seconds to wait for rasdaemon when it writes."""


class Ras(Input[RasOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "ras",
            "Errors in the database. Those of a socket with its tag, those of the whole server without.",
            tags={"socket_id": "the socket of the processor"},
            fields=counters("int", "1", **_OF_SOCKETS, **_OF_SERVER),
            charts=(
                Chart("Memory errors", tuple(_OF_SOCKETS)[:4]),
                Chart("Processor errors", ("processor_base_errors", "processor_bus_errors", "cache_l0_l1_errors")),
            ),
        ),
    )

    def setup(self) -> None:
        self._path = self.options.db_path or _DATABASE
        self._last = 0
        self._sockets: dict[int, Counter[str]] = {0: Counter()}
        self._server: Counter[str] = Counter()

    def gather(self, acc: Accumulator) -> None:
        if not os.path.exists(self._path):
            raise PyagentError(
                f"cannot read the database {self._path}: there is no such file; install and start rasdaemon with --record,"
                " or set `db_path`"
            )
        if not os.path.isfile(self._path):
            raise PyagentError(f"cannot read the database {self._path}: it is no regular file")
        for number, error, status, socket in self._new():
            self._last = number
            if "No Error" not in error:
                self._count(error, status, socket)
        for socket, counts in self._sockets.items():
            values = {name: counts[name] for name in _OF_SOCKETS}
            acc.add("ras", values, {"socket_id": str(socket)}, kind=MetricType.COUNTER)
        acc.add("ras", {name: self._server[name] for name in _OF_SERVER}, kind=MetricType.COUNTER)

    def _new(self) -> list[tuple[int, str, str, int]]:
        """Number, error, status and socket of each record that came since; all of them are read before one counts."""
        try:
            with readable_path(self._path) as path:
                address = f"file:{quote(os.path.abspath(path))}?mode=ro"
                with closing(sqlite3.connect(address, uri=True, timeout=_BUSY)) as database:
                    database.text_factory = lambda data: data.decode("utf-8", "replace")
                    rows = database.execute(_QUERY, (self._last,)).fetchall()
        except OSError as error:
            raise PyagentError(f"cannot read the database {self._path}: {error.strerror}") from None
        except (sqlite3.Error, OverflowError) as error:
            raise PyagentError(f"cannot read the database {self._path}: {error}") from None
        found = []
        for number, time, message, status, socket in rows:
            try:
                if not isinstance(time, str) or not isinstance(socket, int | str) or message is None or status is None:
                    raise ValueError("a column is empty or of another type")
                parse_timestamp(_LAYOUT, time)
                found.append((number, str(message), str(status), int(socket)))
            except ValueError as cause:
                raise PyagentError(f"cannot read the database {self._path}: record {number}: {cause}") from None
        return found

    def _count(self, error: str, status: str, socket: int) -> None:
        counts = self._sockets.setdefault(socket, Counter())
        corrected = "corrected" if "Corrected_error" in status else "uncorrectable"
        for access in ("read", "write"):
            if f"Memory {access} error" in error:
                counts[f"memory_{access}_{corrected}_errors"] += 1
        base = [name for words, name in _BASE.items() if words in error]
        if any(words in error for words in _UNCLASSIFIED):
            base.append("unclassified_mce_errors")
        for name in base:
            counts[name] += 1
            counts["processor_base_errors"] += 1
        if "Error" in error:
            if "Instruction TLB" in error:
                counts["tlb_instruction_errors"] += 1
            if "BUS" in error:
                counts["processor_bus_errors"] += 1
            if "CACHE Level-0" in error or "CACHE Level-1" in error:
                counts["cache_l0_l1_errors"] += 1
            if "CACHE Level-2" in error:
                self._server["cache_l2_errors"] += 1
        if "UPI:" in error:
            self._server["upi_errors"] += 1
