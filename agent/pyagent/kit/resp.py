"""Requests and answers in the protocol of Redis (RESP 2), over a connection of `pyagent.kit.connection`.

    async with connected(address, timeout=5.0) as connection:
        answer = await ask(connection, "GET", "key")

Answers are bounded by the connection; how many they nest and hold is bounded here.
"""

import re

from pyagent.kit.connection import Connection

__all__ = ["Answer", "Refused", "ask"]

Answer = int | bytes | None | list["Answer"]
"""A list of them, or text as bytes; None: there is nothing."""

_NUMBER = re.compile(rb"-?[0-9]{1,19}")
_DEEPEST = 16
_MOST_ITEMS = 1 << 20


class Refused(Exception):
    """The server answered with an error: `NOAUTH Authentication required.`"""


async def ask(connection: Connection, *words: str | bytes) -> Answer:
    """Raises Refused for an error that the server answers with, and PyagentError where the answer is none."""
    parts = [word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words]
    await connection.send(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts))
    return await _answer(connection, _DEEPEST, [_MOST_ITEMS])


async def _answer(connection: Connection, depth: int, room: list[int]) -> Answer:  # noqa: RET503  # it ends with `fail`
    line = await connection.line()
    kind, text = line[:1], line[1:]
    if kind == b"+":
        return text
    if kind == b"-":
        raise Refused(text[:500].decode("utf-8", "replace"))
    if kind in (b":", b"$", b"*") and _NUMBER.fullmatch(text):
        number = int(text)
        if kind == b":":
            return number
        if number == -1:
            return None
        if kind == b"$" and number >= 0:
            data = await connection.exactly(number + 2)
            if data.endswith(b"\r\n"):
                return data[:-2]
        elif kind == b"*" and 0 <= number <= room[0] and depth > 0:
            room[0] -= number
            return [await _answer(connection, depth - 1, room) for _ in range(number)]
    shown = line[:80].decode("utf-8", "replace")
    connection.fail(f"{shown!r} is no answer of Redis; another program may listen there, or TLS be wanted")
