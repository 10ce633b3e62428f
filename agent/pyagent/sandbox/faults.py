"""Answers that a healthy server does not give, on demand: for tests and demonstrations of what an agent does about them.

Only with `--faults`, and only for the operator's token. docs/sandbox.md describes what POST /sandbox/faults takes.
"""

import asyncio
import contextlib
import time
from email.utils import formatdate
from typing import Any, Final

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.http import Handler, Route, caller, no_content, read_json, reply
from pyagent.sandbox.permissions import allowed

KINDS: Final = ("status", "slow", "stall", "reset", "reset-within", "too-large")
_MESSAGES: Final = {
    429: ("too many requests", "too many requests"),
    500: ("internal error", "An internal error has occurred - check server logs"),
    503: ("unavailable", "service unavailable"),
}
_WRITES: Final = ("/api/v2/write", "/write")


class Fault:
    """One kind of misbehaviour for the next `times` matching requests, or, None, until it is taken away."""

    def __init__(self, spec: Document) -> None:
        self.kind = spec.get("kind")
        if self.kind not in KINDS:
            raise invalid(f"cannot set the fault: kind must be one of {', '.join(KINDS)}")
        self.status = _number(spec, "status", 503)
        if self.kind == "status" and self.status not in _MESSAGES:
            raise invalid("cannot set the fault: status must be 429, 500 or 503")
        self.times = None if spec.get("times") is None else _number(spec, "times", 1)
        self.seconds = _number(spec, "seconds", 1)
        self.bytes = _number(spec, "bytes", 0)
        self.retry_after = spec.get("retry_after")
        self.retry_after_form = spec.get("retry_after_form", "seconds")
        if self.retry_after_form not in ("seconds", "date"):
            raise invalid("cannot set the fault: retry_after_form must be seconds or date")
        if self.retry_after is not None:
            _number(spec, "retry_after", 0)
        self.paths = tuple(spec.get("paths") or _WRITES)
        if not all(isinstance(path, str) for path in self.paths):
            raise invalid("cannot set the fault: paths must be a list of paths")
        self.methods = tuple(spec.get("methods") or ())
        if not all(isinstance(method, str) for method in self.methods):
            raise invalid("cannot set the fault: methods must be a list of methods, such as POST")
        self.after = bool(spec.get("after", False))
        self.spec = spec

    def matches(self, request: web.Request) -> bool:
        if self.methods and request.method not in self.methods:
            return False
        return request.path in self.paths and (self.kind != "too-large" or (request.content_length or 0) > self.bytes)

    def retry_header(self) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        if self.retry_after_form == "date":
            return {"Retry-After": formatdate(time.time() + self.retry_after, usegmt=True)}
        return {"Retry-After": str(self.retry_after)}


def _number(spec: Document, name: str, default: int) -> Any:
    value = spec.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise invalid(f"cannot set the fault: {name} must be a number")
    return value


class Faults:
    """The faults that are set, in order; the first that matches a request applies."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.set: list[Fault] = []
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End the requests that a fault holds."""
        self._closing.set()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = next((fault for fault in self.set if fault.matches(request)), None) if self.set else None
        if fault is None:
            return await handler(request)
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.set.remove(fault)
        return await self._apply(fault, request, handler)

    async def _apply(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.kind == "slow":
            await self._hold(fault.seconds)
            return await handler(request)
        if fault.after:
            await handler(request)
        else:
            await request.read()
        if fault.kind == "status":
            code, message = _MESSAGES[fault.status]
            response = reply(request, {"code": code, "message": message}, fault.status)
            response.headers.update({"X-Platform-Error-Code": code, **fault.retry_header()})
            return response
        if fault.kind == "too-large":
            raise InfluxError("request too large", "unable to read data: points batch is too large")
        if fault.kind == "stall":
            await self._hold(None)
        transport = request.transport
        if fault.kind == "reset-within" and transport is not None:
            transport.write(b"HTTP/1.1 204 No Con")
            await asyncio.sleep(0)
        if transport is not None:
            transport.abort()
        return no_content()

    async def _hold(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


FAULTS: Final = web.AppKey("faults", Faults)


def _operator(request: web.Request) -> Faults:
    if not allowed(caller(request), "write", "authorizations"):
        raise InfluxError("forbidden", "faults are the operator's")
    return request.app[FAULTS]


async def find(request: web.Request) -> web.Response:
    return reply(request, {"faults": [dict(fault.spec, times=fault.times) for fault in _operator(request).set]})


async def add(request: web.Request) -> web.Response:
    faults, fault = _operator(request), Fault(await read_json(request))
    faults.set.append(fault)
    return reply(request, dict(fault.spec, times=fault.times), 201)


async def clear(request: web.Request) -> web.Response:
    _operator(request).set.clear()
    return no_content()


ROUTES = [
    Route("GET", "/sandbox/faults", find),
    Route("POST", "/sandbox/faults", add),
    Route("DELETE", "/sandbox/faults", clear),
]
