"""Files that a page gives: annotated CSV, any CSV and line protocol into a bucket, as `pyagent write` reads them."""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Final

from aiohttp import web

from pyagent.importer.pieces import ImportFailure, Piece
from pyagent.importer.reading import Reading, ReadingOptions
from pyagent.importer.sources import Source
from pyagent.lineprotocol.results import unit_ns
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import caller, reply, state_of
from pyagent.sandbox.ids import parse_id
from pyagent.sandbox.permissions import allowed
from pyagent.sandbox.points import PRECISIONS
from pyagent.sandbox.resources.write import store_lines
from pyagent.sandbox.state import State

MOST_LINES: Final = 256 * 2**20
"""Bytes of line protocol that one file may become: a small compressed one may be a very large one."""
MOST_REASONS: Final = 20
"""Refused rows that are told."""
_LONGEST_NAME: Final = 200
_DROPPED: Final = re.compile(r" dropped=(\d+)")


async def upload(request: web.Request) -> web.Response:
    """The body into the bucket ?bucket=ID; ?name= is the file's, ?precision= that of times that are numbers.

    Answers how many lines were written and rows refused, the first reasons with their lines, and why it ended early if so.
    """
    state, query = state_of(request), request.query
    bucket = state.documents.get("buckets", parse_id(query.get("bucket", "")))
    if bucket is None:
        raise not_found("bucket")
    if not allowed(caller(request), "write", "buckets", bucket["orgID"], bucket["id"]):
        raise InfluxError("forbidden", "insufficient permissions for write")
    precision = query.get("precision") or "ns"
    if precision not in PRECISIONS:
        raise invalid("invalid precision; valid precision units are ns, us, ms, and s")
    body = await request.read()
    with tempfile.TemporaryDirectory(prefix="pyagent-upload-") as folder:
        path = Path(folder) / _file_name(query.get("name", ""))
        await asyncio.to_thread(path.write_bytes, body)
        del body
        options = ReadingOptions(precision=precision, unit=unit_ns(precision))  # type: ignore[arg-type]  # it is one of them
        done = await _Upload(state, bucket, Reading(Source("file", str(path)), options)).run()
    text = str(path)
    return reply(
        request,
        {name: value.replace(text, path.name) if isinstance(value, str) else value for name, value in done.items()},
    )


def _file_name(given: str) -> str:
    """The last part, as a name of a file here: a CSV without annotations takes its measurement from it."""
    name = given.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    raw = name.encode("utf-8", "replace")
    name = raw[-_LONGEST_NAME:].decode("utf-8", "ignore")
    return name if name.strip(". ") else "upload"


class _Upload:
    def __init__(self, state: State, bucket: Document, reading: Reading) -> None:
        self._state = state
        self._bucket = bucket
        self._reading = reading
        self._written = self._refused = self._size = 0
        self._reasons: list[str] = []

    async def run(self) -> Document:
        failure, pieces = "", self._reading.pieces()
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                await self._store(piece)
                if piece.failure:
                    raise ImportFailure(piece.failure)
        except ImportFailure as error:
            failure = str(error)
        finally:
            await asyncio.to_thread(pieces.close)
        return {
            "written": self._written,
            "refused": self._refused,
            "reasons": self._reasons,
            "notes": [*self._reading.notes, *self._reading.warnings.texts()],
            "failure": failure,
        }

    async def _store(self, piece: Piece) -> None:
        """Raises ImportFailure."""
        for row in piece.rejected:
            self._refuse(1, f"line {row.line}: {row.message}")
        self._size += len(piece.data)
        if self._size > MOST_LINES:
            raise ImportFailure(
                f"stopped after {self._written:,} lines: the file becomes more than {MOST_LINES >> 20} MiB of line protocol; "
                "write it with: pyagent write"
            )
        if not piece.count:
            return
        try:
            await store_lines(self._state, self._bucket, piece.data, "ns")
        except InfluxError as error:
            # A partial write says how many it refused; all else refuses all.
            dropped = _DROPPED.search(error.message)
            refused = int(dropped[1]) if dropped else piece.count
            self._refuse(refused, f"line {piece.first_line} and those behind it: {error.message}")
            self._written += piece.count - refused
        else:
            self._written += piece.count

    def _refuse(self, count: int, reason: str) -> None:
        self._refused += count
        if len(self._reasons) < MOST_REASONS:
            self._reasons.append(reason)
