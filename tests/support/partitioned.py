"""Outputs with and without partitions, and what they are given."""

import asyncio

from plans import START

from pyagent.api import Batch, Limits, Metric, Output, Partition, Reject, Retry


class Buckets(Output):
    """A receiver of several buckets; those in `down` answer nothing good."""

    def setup(self) -> None:
        self.down: set[str | None] = set()
        self.stored: dict[str | None, list[bytes]] = {}
        self.limit = Limits()
        self.writes: list[tuple[float, int]] = []
        self.at_once = self.most_at_once = 0
        self.seconds = 0.0
        self.bad = b""

    def partition(self) -> Partition | None:
        return Partition("bucket", exclude=True)

    async def write(self, batch: Batch) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        self.writes.append((asyncio.get_running_loop().time(), batch.count))
        if batch.partition in self.down:
            # The log of a test goes from one process to another: it must be UTF-8.
            raise Retry(f"{str(batch.partition).encode(errors='replace').decode()} is down")
        if self.bad and self.bad in batch.payload():
            raise Reject("bad line")
        self.stored.setdefault(batch.partition, []).extend(batch.payload().splitlines())


class Single(Buckets):
    granted = Limits()

    def partition(self) -> None:
        return None

    def limits(self) -> Limits:
        return self.granted


def gathered(count: int, **tags: str) -> list[Metric]:
    return [Metric("m", dict(tags), {"n": number}, START + number) for number in range(count)]
