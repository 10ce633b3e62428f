"""Pieces of line protocol to a server: by the agent's own output and its sender, with its back-off and its search for the lines
that are refused."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pyagent.api import Batch, Duration, PyagentError, Reject, Retry, Secret, TooLarge
from pyagent.api.units import joined
from pyagent.buffer import OutputQueue
from pyagent.config import OutputPlan
from pyagent.importer.pieces import Piece, Rejected
from pyagent.lineprotocol import Encoded
from pyagent.pipeline.failures import reason_of
from pyagent.pipeline.outputs.rate_limit import RateLimit
from pyagent.pipeline.outputs.sender import Sender
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB, InfluxDBOptions

__all__ = ["Delivery", "Target", "Undelivered", "rate_limit"]

_BATCH = 20_000
"""Lines of a request, at the most."""
_TIMEOUT = Duration("30s")
_LEAST_TIMEOUT = 5.0
"""Seconds of a request that is not to be tried again (--retry-for 0)."""
_FEW = 16
"""Lines of which each alone may be refused before it is the server that seems to be wrong, and not the lines."""
_WORDS = {"`urls`": "--host", "`token`": "the token", "`organization`": "--org", "`bucket`": "--bucket"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write. `url`: the server's, or unix:///PATH of a listener's socket."""

    url: str
    token: Secret
    org: str
    bucket: str
    tls_ca: str = ""
    compress: bool = True


class Undelivered(PyagentError):
    """The server does not take what it is sent, and waiting is of no use, or was not for long enough."""


def rate_limit(size: int, period: float) -> RateLimit:
    """So many bytes in so many seconds, spread over them where that leaves room for whole lines."""
    shares = max(min(int(period), size >> 16), 1)
    return RateLimit(max(size // shares, 1), period / shares)


class Delivery:
    """Sends pieces one after the other. `told` hears what goes wrong, each cause once. `patience`: seconds that a server may be
    away."""

    def __init__(
        self, target: Target, *, rate: RateLimit | None = None, patience: float = 600.0, told: Callable[[str], None]
    ) -> None:
        """Raises ConfigError."""
        options = InfluxDBOptions(
            urls=[target.url],
            token=target.token,
            organization=target.org,
            bucket=target.bucket,
            content_encoding="gzip" if target.compress else "identity",
            timeout=_TIMEOUT,
            tls_ca=target.tls_ca,
        )
        log = logging.getLogger("pyagent.importer.delivery")
        log.addHandler(logging.NullHandler())
        log.propagate = False
        plan = OutputPlan(
            kind="outputs",
            name="influxdb_v2",
            plugin=InfluxDB,
            options=options,
            location="the command line",
            identity="",
            flush_interval=Duration("1s"),
            metric_batch_size=_BATCH,
            metric_buffer_limit=1 << 62,
            queue_id="write",
        )
        self.written = 0
        self._output = InfluxDB(options, log)
        self._output.strict = True
        self._queue = OutputQueue(plan.metric_buffer_limit, _BATCH)
        self._sender = Sender(plan, self._queue, self._write, rate=rate, dead_letters=self, log=log)
        self._patience = patience
        self._tell = told
        self._shown: set[str] = set()
        self._failure: Exception | None = None
        """Why the last request was not taken."""
        self._failing_since: float | None = None
        self._refused: deque[tuple[bytes, str]] = deque()

    async def send(self, piece: Piece) -> list[Rejected]:
        """Return when the server has all lines of a piece, with those that it refused. Raises Undelivered."""
        if not piece.count:
            return []
        loop = asyncio.get_running_loop()
        self._refused.clear()
        before = self._sender.rejected
        self._queue.enqueue(Encoded(piece.data, piece.ends, 0, 0, []), pinned=True)
        while not await self._sender.write_queue():
            failure, self._failure = self._failure, None
            if isinstance(failure, Reject | TooLarge):
                self._give_up_lines(failure)
                continue
            wake = self._sender.retry_at
            if failure is not None:
                # The last attempt is made when the patience ends, however long the server asks to be left alone.
                wake = min(wake, self._check_patience(failure))
            await asyncio.sleep(max(wake - loop.time(), 0.001))
        rejected = [_located(piece, line, reason) for line, reason in _with_places(piece, self._refused)]
        unnamed = self._sender.rejected - before - len(rejected)
        if unnamed > 0:
            # The server tells how many it refused, and not which.
            rejected += [Rejected(0, 0, "the server refused a line of this part and did not name it", b"")] * unnamed
        self.written += piece.count - len(rejected)
        return rejected

    async def close(self) -> None:
        await self._output.close()

    # What the sender asks for -------------------------------------------------------------------------------------------

    def put(
        self, output: str, partition: str | None, lines: list[bytes], reason: str, *, suspected: bool = False
    ) -> int:
        doubt = " (one of those that it may have meant)" if suspected and len(lines) > 1 else ""
        self._refused.extend((line, reason + doubt) for line in lines)
        return 0

    def sync(self) -> None:
        pass

    async def _write(self, batch: Batch) -> None:
        started = asyncio.get_running_loop().time()
        limit = self._longest_request(started)
        try:
            async with asyncio.timeout(limit) as bound:
                await self._output.write(batch)
        except Exception as error:
            if self._failing_since is None and not isinstance(error, Reject | TooLarge):
                self._failing_since = started
            if isinstance(error, TimeoutError) and bound.expired():
                error = Retry(f"the server gives no answer within {limit:.3g} s")
            self._failure = error
            raise error from None
        self._failure = None
        if self._failing_since is not None:
            self._failing_since = None
            self._shown.clear()
            self._tell("the server takes lines again")

    def _longest_request(self, now: float) -> float:
        """Seconds: as long as the server may be away, less what it has been."""
        if not self._patience:
            return _LEAST_TIMEOUT
        since = now if self._failing_since is None else self._failing_since
        return min(max(since + self._patience - now, 1.0), _TIMEOUT.seconds)

    def _check_patience(self, failure: Exception) -> float:
        """Until when it may be tried again, by the loop's clock. Raises Undelivered."""
        text = reason_of(failure)
        for word, flag in _WORDS.items():
            text = text.replace(word, flag)
        if isinstance(failure, Retry) and failure.needs_operator:
            raise Undelivered(text)
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self._patience:
            raise Undelivered(joined(text, f"given up after {self._patience:g} s (--retry-for)"))
        if text not in self._shown:
            self._shown.add(text)
            self._tell(joined(text, f"it is tried again, for {self._patience:g} s at the most (--retry-for)"))
        return self._failing_since + self._patience

    def _give_up_lines(self, failure: Reject | TooLarge) -> None:
        """Each line alone is refused, so that the sender does not know whether it is the lines or the server."""
        batch = self._queue.next_batch(_BATCH)
        if batch is None:
            return
        if batch.count > _FEW:
            self._queue.complete(batch, [batch])
            raise Undelivered(joined(reason_of(failure), "each line alone is refused as well"))
        self._refused.extend((batch.slice(i, i + 1).payload(), reason_of(failure)) for i in range(batch.count))
        self._sender.rejected += batch.count
        self._queue.complete(batch)


def _with_places(piece: Piece, refused: "deque[tuple[bytes, str]]") -> list[tuple[int, str]]:
    """Indices of the refused lines, each with the reason, in their order."""
    if not refused:
        return []
    places: dict[bytes, deque[int]] = {}
    wanted = {line for line, _ in refused}
    start = 0
    for index, end in enumerate(piece.ends):
        line = piece.data[start:end]
        if line in wanted:
            places.setdefault(line, deque()).append(index)
        start = end
    return sorted((places[line].popleft(), reason) for line, reason in refused if places.get(line))


def _located(piece: Piece, index: int, reason: str) -> Rejected:
    line, row = piece.origin(index)
    return Rejected(line, 0, reason, row)
