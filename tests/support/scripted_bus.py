"""What stands for a D-Bus with systemd on it: it answers each call as it is told."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbus_fast import Message, Variant
from dbus_fast._private.unmarshaller import Unmarshaller

UNITS = "a(ssssssouso)"
FAILED = "org.freedesktop.DBus.Error."

Answer = tuple[str, Any] | bytes | None
"""A signature and what has it; `error` and the name of one; bytes instead of a message, after which it hangs up; None: none."""
Told = Answer | Callable[[list[Any]], Answer]


class ScriptedBus:
    """Listens at `path` from `with` on. `answers`: by the method's name, or what to do with its arguments."""

    def __init__(
        self, path: Path, answers: Mapping[str, Told], *, greeting: bytes = b"OK 0123456789abcdef\r\n"
    ) -> None:
        self.address = f"unix:path={path}"
        self.asked: list[tuple[str, list[Any]]] = []
        self._answers = {"Hello": ("s", ":1.7"), **answers}
        self._greeting = greeting
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "ScriptedBus":
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError, EOFError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"\0AUTH EXTERNAL ")
        connection.sendall(self._greeting)
        if not stream.readline().startswith(b"BEGIN"):
            return
        while True:
            message = Unmarshaller(stream).unmarshall()
            if message is None:
                return
            self.asked.append((message.member, message.body))
            told = self._answers.get(message.member, ("error", f"{FAILED}UnknownMethod"))
            answer = told(message.body) if callable(told) else told
            if isinstance(answer, bytes):
                connection.sendall(answer)
                return
            if answer is not None:
                connection.sendall(_reply(message, *answer))


def unit(name: str, load: str = "loaded", active: str = "active", sub: str = "running") -> list[Any]:
    """As ListUnits has it."""
    return [name, "A unit", load, active, sub, "", f"/org/freedesktop/systemd1/unit/{name.encode().hex()}", 0, "", "/"]


def properties(values: Mapping[str, Any]) -> Told:
    """Of every unit: a text is one, and a number is without a sign but for StatusErrno."""

    def of(asked: list[Any]) -> Answer:
        if (value := values.get(asked[1])) is None:
            return "error", f"{FAILED}UnknownProperty"
        kind = "s" if isinstance(value, str) else "i" if asked[1] == "StatusErrno" else "t"
        return "v", Variant(kind, value)

    return of


def _reply(message: Message, signature: str, body: Any) -> bytes:
    if signature == "error":
        answer = Message.new_error(message, body, "it says why")
    else:
        answer = Message.new_method_return(message, signature, [body])
    answer.serial = 1
    return bytes(answer._marshall(False))
