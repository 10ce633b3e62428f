"""The judge of every fault test: what was acknowledged reaches every place that it must, nothing else does, nothing is
changed."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_process import DEADLINE
from outputs import Place, Sample, Setup
from receiver import Key, Receiver

Arrival = tuple[Place, Key]
_ANSWER_SECONDS = 60.0
"""What a client waits for an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a listener. `status` 0: there was none, and nobody knows what has become of the metrics."""

    status: int = 0
    headers: str = ""
    text: str = ""

    @property
    def taken(self) -> bool:
        return self.status == 204

    @property
    def later(self) -> bool:
        """It says when to come back."""
        return self.status in (429, 503) and re.search(r"(?mi)^retry-after: *\d+", self.headers) is not None


@dataclass(slots=True)
class Request:
    samples: Sequence[Sample]
    note: str
    setups: list[Setup]
    """Each that the agent may have had from its beginning to its end."""
    answer: Answer = field(default_factory=Answer)

    def required(self) -> Iterable[Arrival]:
        if self.answer.taken:
            for sample in self.samples:
                for place in set.intersection(*(setup.places(sample) for setup in self.setups)):
                    yield place, sample.key

    def allowed(self) -> Iterable[Arrival]:
        for sample in self.samples:
            for place in set[Place]().union(*(setup.places(sample) for setup in self.setups)):
                yield place, sample.key


class InForce:
    """What an agent may be configured to do at present: while it reloads, one thing or the other."""

    def __init__(self) -> None:
        self.setups: list[Setup] = []
        self._requests: list[Request] = []

    def may_be(self, setup: Setup) -> None:
        for setups in (self.setups, *(request.setups for request in self._requests)):
            if setup not in setups:
                setups.append(setup)

    def has_become(self, setup: Setup) -> None:
        self.setups = [setup]

    def has_ended(self) -> None:
        self.setups, self._requests = [], []

    def begin(self, samples: Sequence[Sample], note: str) -> Request:
        request = Request(samples, note, list(self.setups))
        self._requests.append(request)
        return request

    def answered(self, request: Request) -> None:
        """Where there was no answer, it may still be at work."""
        if request.answer.status and request in self._requests:
            self._requests.remove(request)


@dataclass
class Verdict:
    issued: int = 0
    acknowledged: int = 0
    due: int = 0
    """Arrivals that there must be: metrics times their places."""
    missing: list[Arrival] = field(default_factory=list)
    duplicates: int = 0
    """Arrivals beyond the first of a metric: what was under way at a fault is sent again."""
    spurious: list[Arrival] = field(default_factory=list)
    corrupted: list[bytes] = field(default_factory=list)
    odd: list[Answer] = field(default_factory=list)
    """Answers that neither take the metrics nor say when to come back."""
    told: str = ""
    """Which requests the missing ones were of."""

    def check(self) -> None:
        assert not self.missing, f"{len(self.missing)} of {self.due} arrivals are missing:\n{self.told}"
        assert not self.spurious, f"{len(self.spurious)} arrived where they do not belong: {self.spurious[:5]}"
        assert not self.corrupted
        assert not self.odd


class Oracle:
    """Numbers metrics, hands them to listeners, and remembers what these acknowledged (HTTP 204).

    `receivers`: by the names of the outputs that write to them.
    """

    def __init__(self, receivers: Mapping[str, Receiver]) -> None:
        self.receivers = receivers
        self.requests: list[Request] = []
        self.note = ""
        """What is tried at present, for messages."""
        self._next = 0
        self._due: set[Arrival] = set()

    @property
    def acknowledged(self) -> int:
        return sum(len(request.samples) for request in self.requests if request.answer.taken)

    @property
    def refused(self) -> int:
        """Requests that were not acknowledged."""
        return sum(not request.answer.taken for request in self.requests)

    def samples(self, source: str, count: int, **tags: Any) -> list[Sample]:
        first, self._next = self._next, self._next + count
        return [Sample(source, number, **tags) for number in range(first, self._next)]

    async def post(self, port: int, in_force: InForce, samples: Sequence[Sample]) -> Answer:
        request = in_force.begin(samples, self.note)
        self.requests.append(request)
        now = time.time_ns()
        body = "".join(sample.line(now + sample.number) for sample in samples)
        request.answer = await post(port, body.encode())
        in_force.answered(request)
        if request.answer.taken:
            self._due.update(request.required())
        return request.answer

    def _arrived(self) -> Counter[Arrival]:
        return Counter(
            {
                ((name, bucket), key): count
                for name, receiver in self.receivers.items()
                for (bucket, key), count in receiver.placed.items()
            }
        )

    def outstanding(self) -> int:
        """How much of what was acknowledged has not arrived."""
        self._due = {(place, key) for place, key in self._due if (place[1], key) not in self.receivers[place[0]].placed}
        return len(self._due)

    async def arrived(self, seconds: float = 60.0) -> None:
        """Return when all that was acknowledged has arrived, or so many seconds have passed."""
        deadline = time.monotonic() + seconds
        while (left := self.outstanding()) and time.monotonic() < deadline:
            await asyncio.sleep(0.05 + left / 1e6)

    async def arrived_at(self, name: str) -> None:
        """Return when all that was acknowledged, and belongs there, has arrived at one output."""
        due = {(place[1], key) for place, key in self._due if place[0] == name}
        async with asyncio.timeout(DEADLINE):
            while not due <= self.receivers[name].placed.keys():
                await asyncio.sleep(0.05)

    def verdict(self) -> Verdict:
        """Call it when every agent has ended."""
        arrived = self._arrived()
        allowed: set[Arrival] = set()
        required: set[Arrival] = set()
        told: Counter[str] = Counter()
        for request in self.requests:
            allowed.update(request.allowed())
            needed = set(request.required())
            required |= needed
            for place, _ in needed - arrived.keys():
                told[f"{place[0]}, bucket {place[1]}, acknowledged in {request.note or 'the only trial'}"] += 1
        return Verdict(
            issued=sum(len(request.samples) for request in self.requests),
            acknowledged=self.acknowledged,
            due=len(required),
            missing=sorted(required - arrived.keys()),
            duplicates=arrived.total() - len(arrived),
            spurious=sorted(arrived.keys() - allowed),
            corrupted=[row for receiver in self.receivers.values() for row in receiver.corrupted],
            odd=[r.answer for r in self.requests if r.answer.status and not (r.answer.taken or r.answer.later)],
            told="\n".join(f"  {count} for {where}" for where, count in told.most_common(12)),
        )


async def post(port: int, body: bytes) -> Answer:
    """One request on a connection of its own."""
    writer = None
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                "POST /api/v2/write?org=o&bucket=b&precision=ns HTTP/1.1\r\n"
                f"Host: 127.0.0.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            status, _, headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")
            code = int(status.split()[1])
            return Answer(code, headers, "" if code == 204 else (await reader.read()).decode())
    except (OSError, EOFError, TimeoutError):
        return Answer()
    finally:
        if writer is not None:
            writer.transport.abort()
