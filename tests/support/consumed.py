"""What a consumer has queued of metrics that are numbered by their tag `n`."""

import asyncio

from serving import DEADLINE, Served


async def until(served: Served, count: int) -> list[str]:
    """The lines without their times, when the queue holds `count` metrics."""
    async with asyncio.timeout(DEADLINE):
        while len(served.output.queue) < count:
            await asyncio.sleep(0.005)
    return [line.rpartition(" ")[0] for line in served.lines()]


def numbers(lines: list[str]) -> set[int]:
    return {int(line.partition("n=")[2].partition(",")[0]) for line in lines}
