"""Files with numbered lines, and an input `tail` that follows them as after a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from serving import DEADLINE, Served, serving

from pyagent.kit import positions
from pyagent_plugins.inputs.tail import Tail


@asynccontextmanager
async def tailing(files: Path | str | list[str], limit: int = 1_000_000, **options: Any) -> AsyncIterator[Served]:
    options = {
        "files": files if isinstance(files, list) else [str(files)],
        "initial_read_offset": "saved-or-beginning",
        **options,
    }
    positions._known.clear()
    async with serving(Tail, options, listens=False, limit=limit) as served:
        yield served


def write(path: Path, *numbers: int, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(f"m n={number}i {number}000000000{end}" for number in numbers))


def put(path: Path, text: bytes | str) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def read(path: Path) -> bytes:
    return path.read_bytes()


def rename(path: Path, other: Path) -> Path:
    return path.rename(other)


def remove(path: Path) -> None:
    path.unlink()


async def numbers(served: Served, count: int) -> list[int]:
    """Of the lines in the queue, when there are so many; then it is empty."""
    async with asyncio.timeout(DEADLINE):
        while len(served.output.queue) < count:
            await asyncio.sleep(0.005)
    return [int(line.split(" n=")[1].split("i ")[0]) for line in served.lines()]


async def texts(served: Served, count: int) -> list[str]:
    """The values of the parser `value`."""
    async with asyncio.timeout(DEADLINE):
        while len(served.output.queue) < count:
            await asyncio.sleep(0.005)
    return [line.split(' value="')[1].rpartition('"')[0] for line in "\n".join(served.lines()).split("\ntail,")]


VALUE = {"data_format": "value", "data_type": "string"}
