"""A kernel that answers by netlink, in the place of a socket: what it says is scripted, byte by byte as the headers have it."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from pyagent.api import Input, Metric
from pyagent.kit import netlink
from pyagent.kit.netlink import attribute
from pyagent.pipeline.inputs.accumulator import InputAccumulator

GENERIC, ROUTE = 16, 0
CONTROLLER = 16
ERROR, DONE = 2, 3
MULTI, INTERRUPTED, CAPPED, WITH_TEXT = 0x2, 0x10, 0x100, 0x200


@dataclass(frozen=True)
class Message:
    kind: int
    body: bytes
    flags: int = MULTI
    sequence: int | None = None
    """None: that of the question."""
    length: int | None = None
    """None: the true one."""

    def packed(self, sequence: int) -> bytes:
        size = 16 + len(self.body) if self.length is None else self.length
        header = struct.pack(
            "=IHHII", size, self.kind, self.flags, sequence if self.sequence is None else self.sequence, 0
        )
        return header + self.body + bytes(-len(self.body) % 4)


def generic(family: int, body: bytes, *, command: int = 1, flags: int = MULTI) -> Message:
    """A message of a family, whose attributes are `body`."""
    return Message(family, struct.pack("=BBH", command, 1, 0) + body, flags)


def done(code: int = 0) -> Message:
    return Message(DONE, struct.pack("=i", code))


def refusal(code: int, said: str = "") -> Message:
    """An error with the header of the question, and with what the kernel says about it."""
    body = struct.pack("=i", -code) + struct.pack("=IHHII", 20, 33, 1, 1, 0)
    if not said:
        return Message(ERROR, body, CAPPED)
    return Message(ERROR, body + attribute(1, said.encode() + b"\0"), CAPPED | WITH_TEXT)


Answer = Callable[[int, bytes], Iterable[Iterable[Message]]]
"""Of the kind and the body of a question, the datagrams of the answer, each with its messages."""


class FakeKernel:
    def __init__(self, families: dict[str, int], answer: Answer) -> None:
        self.asked: list[tuple[int, int, bytes]] = []
        """Kind, flags and body of each question."""
        self.sender, self.state = 0, 0
        self.damage: Callable[[bytes], bytes] = lambda data: data
        """Of answers, but for those about families."""
        self.open = 0
        self._families, self._answer = families, answer
        self._waiting: list[bytes] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def opened(protocol: int) -> "FakeKernel":
            self.open += 1
            return self

        monkeypatch.setattr(netlink, "_opened", opened)

    def __enter__(self) -> "FakeKernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.open -= 1

    def bind(self, address: Any) -> None:
        pass

    def setsockopt(self, *_: int) -> None:
        raise OSError("an old kernel")

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds <= 60

    def send(self, data: bytes) -> None:
        length, kind, flags, sequence, sender = struct.unpack_from("=IHHII", data)
        assert (length, sender) == (len(data), 0)
        if kind == CONTROLLER:
            name = data[24 : data.index(b"\0", 24)].decode()
            found = self._families.get(name)
            told = attribute(2, name.encode() + b"\0") + attribute(1, struct.pack("=H", found or 0))
            answer = refusal(2) if found is None else generic(CONTROLLER, told, flags=0)
            self._waiting = [answer.packed(sequence)]
            return
        self.asked.append((kind, flags, data[16:]))
        answers = self._answer(kind, data[16:])
        self._waiting = [self.damage(b"".join(one.packed(sequence) for one in datagram)) for datagram in answers]

    def recvmsg(self, most: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        if not self._waiting:
            raise TimeoutError
        return self._waiting.pop(0), [], self.state, (self.sender, 0)


def gathered_here(plugin: Input[Any]) -> list[Metric]:
    """What a plain `gather` adds, called in this thread: for tests that call it a hundred times."""
    problems: list[str] = []
    acc = InputAccumulator(plugin.measurements, report=problems.append)
    plugin.gather(acc)
    assert problems == []
    return acc.drain()


def flipped(data: bytes, place: int, bits: int) -> bytes:
    """The bytes with some bits of one of them turned over; `place` may be any number."""
    damaged = bytearray(data)
    damaged[place % len(damaged)] ^= bits
    return bytes(damaged)
