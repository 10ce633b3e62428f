"""Ids of messages: what is sent again has the one that it had, so that a stream stores it once."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from pyagent.api import Batch

__all__ = ["Identities", "Message"]


@dataclass(slots=True)
class Message:
    subject: str
    data: bytes
    indices: tuple[int, ...]
    """Of its metrics in the batch."""
    position: tuple[int, int] | None
    """Of its first metric on disk, see `Batch.position`."""
    id: str = ""


@dataclass(slots=True)
class Identities:
    """Gives messages their ids.

    Of what lies on disk, the id is made of its place there and of its text: the same after a restart, and another one for an
    equal metric that was gathered once more. What is in memory gets a number, which is kept until its batch is written.
    """

    _run: str = field(default_factory=lambda: os.urandom(8).hex())
    _count: int = 0
    _unsure: dict[bytes, deque[str]] = field(default_factory=dict)
    """Of messages that may be stored or not: their ids, in order, by what is in them."""
    _shapes: list[tuple[int, bytes]] = field(default_factory=list)
    """Of unsure messages of several metrics: how many these are, and what is in the message."""

    def give(self, messages: list[Message]) -> None:
        """Give each its id."""
        unsure, self._unsure, self._shapes = self._unsure, {}, []
        for message in messages:
            digest = _digest(message, b"")
            if known := unsure.get(digest):
                message.id = known.popleft()
            elif message.position is not None:
                log, number = message.position
                message.id = _digest(message, log.to_bytes(8, "little") + number.to_bytes(8, "little")).hex()
                continue
            else:
                self._count += 1
                message.id = f"{self._run}-{self._count}"
            self._unsure.setdefault(digest, deque()).append(message.id)
            if message.position is None and len(message.indices) > 1:
                self._shapes.append((len(message.indices), digest))

    def written(self) -> None:
        """All of them are stored."""
        self._unsure, self._shapes = {}, []

    def cut(self, batch: Batch, subject: str) -> Iterator[Batch]:
        """A batch in memory as it is to be sent in messages: what was sent in one before, at its beginning, and the rest."""
        start = 0
        for count, digest in self._shapes:
            part = batch.slice(start, start + count) if start + count <= batch.count else None
            if part is None or _digest(Message(subject, part.payload(), (), None), b"") != digest:
                break
            yield part
            start += count
        if start < batch.count:
            yield batch.slice(start, batch.count) if start else batch


def _digest(message: Message, place: bytes) -> bytes:
    digest = blake2b(message.data, digest_size=16, key=place)
    digest.update(b"\0" + message.subject.encode())
    return digest.digest()
