"""Units by D-Bus, as systemd's page org.freedesktop.systemd1(5) has it. Needs dbus-fast."""

import asyncio
import os
import re
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pyagent.api import Duration, PyagentError
from pyagent_plugins.inputs.systemd_units.units import MEMORY, Properties, Unit

__all__ = ["Bus", "NoBus"]

T = TypeVar("T")

_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = (_SYSTEMD, "/org/freedesktop/systemd1", f"{_SYSTEMD}.Manager")
_ERROR = "org.freedesktop.DBus.Error"
_UNITS = "a(ssssssouso)"
_OF_ALL = ("UnitFileState", "UnitFilePreset", "ActiveEnterTimestamp")
_OF_THE_TYPE = ("StatusErrno", "NRestarts", "MainPID", *MEMORY.values())
_AT_ONCE = 64
"""Questions that wait for their answer together: the system's bus allows 128."""
_CLOSING = 1.0


class NoBus(Exception):
    """Nobody listens there."""


class Bus:
    """`pattern`: names with wildcards, as systemd understands them; empty: all. `kind`: the type of the units whose properties
    are asked for. `timeout`: seconds for all of a conversation."""

    def __init__(self, *, user: bool, patterns: Sequence[str], kind: str, timeout: float) -> None:
        self._variable = "DBUS_SESSION_BUS_ADDRESS" if user else "DBUS_SYSTEM_BUS_ADDRESS"
        folder = (os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") if user else "/run/dbus"
        socket = f"{folder}/{'bus' if user else 'system_bus_socket'}"
        self.address = os.environ.get(self._variable) or f"unix:path={socket}"
        self._patterns = list(patterns)
        self._interface = f"{_SYSTEMD}.{kind.capitalize()}"
        self._timeout = timeout
        self._bus: Any = None
        self._wanted = [(f"{_SYSTEMD}.Unit", name) for name in _OF_ALL]
        self._wanted += [(self._interface, name) for name in _OF_THE_TYPE]

    @contextmanager
    def connected(self) -> Iterator["Bus"]:
        """Raises NoBus, PyagentError. The connection ends with the gather: the next one finds a bus that was started anew."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as self._runner:
            self._until = self._runner.get_loop().time() + self._timeout
            self._ask(self._connect())
            try:
                yield self
            finally:
                self._runner.run(self._close())

    def units(self) -> list[Unit]:
        return _units(self._ask(self._call("ListUnitsByPatterns", "asas", [[], self._patterns], _UNITS)))

    def files(self) -> list[tuple[str, str]]:
        states = ["disabled", "static"]
        files = self._ask(self._call("ListUnitFilesByPatterns", "asas", [states, self._patterns], "a(ss)"))
        return [(os.path.basename(path), state) for path, state in files]

    def named(self, names: Sequence[str]) -> list[Unit]:
        return _units(self._ask(self._call("ListUnitsByNames", "as", [list(names)], _UNITS))) if names else []

    def properties(self, units: Sequence[Unit]) -> dict[str, Properties]:
        found: dict[str, dict[str, str | int]] = {}
        self._ask(self._properties(units, found))
        return dict(found)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        async def until() -> T:
            async with asyncio.timeout_at(self._until):
                return await question

        try:
            return self._runner.run(until())
        except TimeoutError:
            seconds = Duration(round(self._timeout * 1e9))
            raise self._failed(f"no answer within {seconds}; see `timeout`") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoBus from None
        except PermissionError:
            raise self._failed("permission denied; let the agent's account write to this socket") from None
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from None

    async def _connect(self) -> None:
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, InvalidAddressError

        try:
            self._bus = await MessageBus(self.address).connect()
        except AuthError as error:
            raise self._failed(f"the bus refuses the agent's account: {error}") from None
        except InvalidAddressError as error:
            raise self._failed(f"{error}; see {self._variable} in the environment") from None
        except OSError:
            raise
        except Exception as error:  # whatever the library says of bytes that are no message
            raise self._failed(f"what answers there is no bus: {error or type(error).__name__}") from None

    async def _close(self) -> None:
        with suppress(Exception):  # it may have ended before
            self._bus.disconnect()
            await asyncio.wait_for(self._bus.wait_for_disconnect(), _CLOSING)

    async def _call(self, member: str, signature: str, body: list[Any], answered: str) -> Any:
        from dbus_fast import Message

        question = Message(*_MANAGER, member, signature=signature, body=body)
        return self._value(member, await self._answer(question), answered)

    async def _properties(self, units: Sequence[Unit], found: dict[str, dict[str, str | int]]) -> None:
        from dbus_fast import Message

        there = [unit for unit in units if "@." not in unit.name]  # what instances are made of has none
        wanted = iter([(unit, *one) for unit in there for one in self._wanted])
        get = "org.freedesktop.DBus.Properties", "Get"

        async def some() -> None:
            for unit, interface, name in wanted:
                if (interface, name) not in self._wanted:
                    continue
                question = Message(
                    _SYSTEMD, unit.path or _path(unit.name), *get, signature="ss", body=[interface, name]
                )
                reply = await self._answer(question)
                error = reply.error_name or ""
                if error in (f"{_ERROR}.UnknownProperty", f"{_ERROR}.UnknownInterface"):
                    with suppress(ValueError):  # of an earlier version, or units of this type have no such thing
                        self._wanted.remove((interface, name))
                elif not error.startswith((f"{_ERROR}.UnknownObject", f"{_SYSTEMD}.")):  # else it is gone
                    value = self._value(f"{name} of {unit.name}", reply, "v").value
                    if isinstance(value, str | int):
                        found.setdefault(unit.name, {})[name] = value

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def _answer(self, question: Any) -> Any:
        try:
            if (reply := await self._bus.call(question)) is not None:
                return reply
        except EOFError:
            pass
        except OSError:
            raise
        except Exception as error:  # whatever the library says of bytes that are no message
            raise self._failed(str(error) or type(error).__name__) from None
        raise self._failed("the bus ended the connection")

    def _value(self, what: str, reply: Any, signature: str) -> Any:
        if error := reply.error_name:
            text = reply.body[0] if reply.signature == "s" else error
            advice = {
                f"{_ERROR}.AccessDenied": "; let the agent's account ask in /etc/dbus-1/system.d",
                f"{_ERROR}.ServiceUnknown": "; is this host run by systemd?",
            }.get(error, "")
            raise self._failed(f"{what}: {text}{advice}")
        if reply.signature != signature:
            raise self._failed(f"{what}: the answer is of the type {reply.signature!r}, and not {signature!r}")
        return reply.body[0]

    def _failed(self, why: str) -> PyagentError:
        return PyagentError(f"cannot ask systemd by {self.address}: {why}")


def _path(name: str) -> str:
    """Of a unit's object: all but letters and digits is escaped, and a digit where it comes first."""
    label = re.sub(rb"[^A-Za-z0-9]|^[0-9]", lambda found: b"_%02x" % ord(found[0]), name.encode())
    return f"/org/freedesktop/systemd1/unit/{label.decode()}"


def _units(answer: Any) -> list[Unit]:
    return [Unit(name, load, active, sub, path) for name, _, load, active, sub, _, path, *_ in answer]
