"""What people can ask a running agent to do, over its control socket. Every answer is a document for JSON.

Nothing here opens a file: the agent that runs owns its folders, so the commands ask it.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pyagent.api import PyagentError, redact
from pyagent.buffer.quarantine import Quarantine, QuarantineEntry
from pyagent.kit.shown import readable
from pyagent.runtime.control import Handler

__all__ = ["Buffers", "Requeue", "StoredBuffer", "agent_routes", "buffer_routes", "quarantine_routes"]

Requeue = Callable[[str, str | None, Sequence[bytes]], Awaitable[None] | None]
"""Queue encoded lines for an output (its queue's identity) and partition. Raises LookupError where no such output runs, and
PyagentError where it cannot take them."""
_AT_ONCE = 100
"""So many entries are worked on before others get their turn on the loop."""


@dataclass(frozen=True, slots=True)
class StoredBuffer:
    """A queue on disk."""

    name: str
    """Of its folder."""
    output: str
    """The identity of the output that filled it."""
    partition: str | None
    metrics: int | None
    """None where nobody has counted."""
    bytes: int
    oldest: float
    """When its oldest part was written, seconds since the epoch."""
    used_by: str = ""
    """The running output that it belongs to; empty: an orphan."""


class Buffers(Protocol):
    """The engine's side. Each raises LookupError for a name that is not there, PyagentError for what cannot be done; `adopt`
    and `drop` return how many metrics that were."""

    def list(self) -> Iterable[StoredBuffer] | Awaitable[Iterable[StoredBuffer]]: ...
    def adopt(self, name: str, to: str) -> int | Awaitable[int]: ...
    def drop(self, name: str) -> int | Awaitable[int]: ...


def agent_routes(
    *, flush: Callable[[], None], reload: Callable[[], None], reloaded: Callable[[], Awaitable[str]]
) -> dict[str, Handler]:
    """Both are begun, not waited for: `/status` tells what came of it. `/reload?wait=1` waits for the end: 409 with the reason
    where it failed."""

    def begins(work: Callable[[], None]) -> Handler:
        async def handler(words: list[str], query: Mapping[str, str]) -> object:
            work()
            return {"begun": True}

        return handler

    async def reload_(words: list[str], query: Mapping[str, str]) -> object:
        if not query.get("wait"):
            return await begins(reload)(words, query)
        if error := await reloaded():
            raise PyagentError(f"cannot reload the configuration: {error}")
        return {"reloaded": True}

    return {"POST /flush": begins(flush), "POST /reload": reload_}


def quarantine_routes(quarantine: Quarantine, requeue: Requeue) -> dict[str, Handler]:
    """Look at entries, give them to their output once more, drop them: one by its number, or `all`.

    With `all`, what cannot be retried stays and the others are; the answer says how many, and why.
    """
    retrying = asyncio.Lock()  # no entry is queued twice

    async def list_(words: list[str], query: Mapping[str, str]) -> object:
        found = []
        for entry in quarantine.entries():
            found.append(_summary(entry))
            await _yield_to_loop(len(found))
        return {**quarantine.figures(), "entries": found}

    async def show(words: list[str], query: Mapping[str, str]) -> object:
        entry = quarantine.get(_number(words[0]))
        return {**_summary(entry), "lines": [_text(line) for line in entry.lines]}

    async def retry(words: list[str], query: Mapping[str, str]) -> object:
        async with retrying:
            return await each(words[0], retry_one)

    async def drop(words: list[str], query: Mapping[str, str]) -> object:
        return await each(words[0], drop_one)

    async def retry_one(number: int) -> int:
        entry = quarantine.get(number)
        await _settled(requeue(entry.output, entry.partition, entry.lines))
        return quarantine.remove(number)

    async def drop_one(number: int) -> int:
        if count := quarantine.remove(number):
            return count
        raise LookupError(f"there is no entry {number} in the quarantine")

    async def each(which: str, work: Callable[[int], Awaitable[int]]) -> object:
        if which != "all":
            return {"entries": 1, "metrics": await work(_number(which)), "errors": {}}
        entries = metrics = 0
        errors: Counter[str] = Counter()
        for turn, number in enumerate(quarantine.numbers(), 1):
            await _yield_to_loop(turn)
            try:
                metrics += await work(number)
                entries += 1
            except (LookupError, PyagentError, OSError) as error:
                errors[str(error)] += 1
        return {"entries": entries, "metrics": metrics, "errors": errors}

    return {
        "GET /quarantine": list_,
        "GET /quarantine/*": show,
        "POST /quarantine/*/retry": retry,
        "POST /quarantine/*/drop": drop,
    }


def buffer_routes(buffers: Buffers) -> dict[str, Handler]:
    """Look at the queues on disk; give one that no output claims to an output that runs, or drop it."""

    async def list_(words: list[str], query: Mapping[str, str]) -> object:
        return {
            "buffers": [
                asdict(buffer) | {"partition": _shown(buffer.partition)} for buffer in await _settled(buffers.list())
            ]
        }

    async def adopt(words: list[str], query: Mapping[str, str]) -> object:
        to = query.get("to")
        if not to:
            raise PyagentError("no output is named; add ?to=OUTPUT")
        return {"metrics": await _settled(buffers.adopt(words[0], to))}

    async def drop(words: list[str], query: Mapping[str, str]) -> object:
        return {"metrics": await _settled(buffers.drop(words[0]))}

    return {"GET /buffers": list_, "POST /buffers/*/adopt": adopt, "POST /buffers/*/drop": drop}


def _summary(entry: QuarantineEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "time": entry.time,
        "output": entry.output,
        "partition": _shown(entry.partition),
        "reason": redact(entry.reason),
        "suspected": entry.suspected,
        "count": len(entry.lines),
        "first": _text(entry.lines[0]),
    }


def _shown(partition: str | None) -> str | None:
    return None if partition is None else readable(partition)


def _text(line: bytes) -> str:
    return redact(line.decode("utf-8", "surrogateescape"))


def _number(word: str) -> int:
    if word.isdecimal() and len(word) <= 18:
        return int(word)
    raise LookupError(f"there is no entry {word} in the quarantine")


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _yield_to_loop(turn: int) -> None:
    if turn % _AT_ONCE == 0:
        await asyncio.sleep(0)
