"""The judge of every fault test: what was acknowledged arrives, nothing else does, nothing is changed."""

import asyncio
import http.client
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver import Receiver, line


@dataclass
class Verdict:
    issued: int = 0
    acknowledged: int = 0
    missing: list[tuple[str, int]] = field(default_factory=list)
    duplicates: int = 0
    """Arrivals beyond the first of a metric: what was under way at a fault is sent again."""
    spurious: list[tuple[str, int]] = field(default_factory=list)
    corrupted: list[bytes] = field(default_factory=list)

    def check(self) -> None:
        assert not self.missing, (
            f"{len(self.missing)} of {self.acknowledged} acknowledged are missing: {self.missing[:5]}"
        )
        assert not self.spurious
        assert not self.corrupted


class Oracle:
    """Numbers metrics, hands them to an agent's listener, and remembers what it acknowledged (HTTP 204)."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.issued: set[tuple[str, int]] = set()
        self.acknowledged: set[tuple[str, int]] = set()
        self.refused = 0
        self._next = 0

    def body(self, source: str, count: int) -> tuple[str, list[tuple[str, int]]]:
        numbers = list(range(self._next, self._next + count))
        self._next += count
        keys = [(source, number) for number in numbers]
        self.issued.update(keys)
        now = time.time_ns()
        return "".join(line(source, number, now + number) for number in numbers), keys

    async def feed(self, port: int, source: str, count: int) -> bool:
        """Post a body; True where the agent acknowledged it."""
        text, keys = self.body(source, count)
        taken = await asyncio.to_thread(_post, port, text)
        if taken:
            self.acknowledged.update(keys)
        else:
            self.refused += 1
        return taken

    def verdict(self, allowed_missing: set[tuple[str, int]] | None = None) -> Verdict:
        taken = self.receiver.taken
        return Verdict(
            issued=len(self.issued),
            acknowledged=len(self.acknowledged),
            missing=sorted(self.acknowledged - set(taken) - (allowed_missing or set())),
            duplicates=sum(taken.values()) - len(taken),
            spurious=sorted(set(taken) - self.issued),
            corrupted=self.receiver.corrupted,
        )

    async def arrived(self, seconds: float = 60.0) -> None:
        """Return when all that was acknowledged has arrived, or so many seconds have passed."""
        deadline = time.monotonic() + seconds
        while self.acknowledged - set(self.receiver.taken) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def unbalanced(document: dict[str, Any]) -> list[str]:
    """Outputs of a status document whose sums do not add up: every metric ends as written, refused, dropped, damaged or
    queued."""
    found = []
    for output in document["outputs"]:
        came = output["added"] + output["restored"]
        went = sum(output[name] for name in ("written", "rejected", "dropped", "damaged", "queued"))
        if came != went:
            found.append(f"{output['name']}: {came} came in, {went} are accounted for")
    return found


async def ask_status(socket: Path) -> dict[str, Any]:
    """What an agent says about itself, over its control socket."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"GET /status HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    document: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return document


def _post(port: int, text: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/api/v2/write?org=o&bucket=b&precision=ns", text.encode())
        return connection.getresponse().status == 204
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
