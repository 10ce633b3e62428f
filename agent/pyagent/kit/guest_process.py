"""The process of a guest: see `pyagent.kit.guests`. It is started with a socket to the agent, and knows nothing else of it."""

import contextlib
import fcntl
import json
import logging
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from time import time_ns
from typing import Any, NoReturn

from pyagent.api.errors import PyagentError
from pyagent.api.foreign import describe, plain_text
from pyagent.api.metric import Metric, MetricType, field_value, timestamp_ns
from pyagent.kit.guests import Guest, made
from pyagent.lineprotocol import pack, plain_metric

__all__ = ["main"]

_MOST_HELD, _HELD_FOR = 250, 0.05
"""Metrics, and seconds for which they wait for more."""


_ROOM = 1 << 30
"""Bytes that it may ask for beyond its bound. What it takes of them the agent sees; the stack of a thread is 8 MiB."""


def main(descriptor: int, is_here: int) -> None:
    """Serve the agent until it says `stop`, or is gone: then nobody writes to the pipe `is_here` any more."""
    _end_with(is_here)
    channel = _Channel(socket.socket(fileno=descriptor))
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(channel, requests), name="pyagent-guest", daemon=True).start()
    first = requests.get()
    most_memory: int = first["most_memory"]
    _bound(most_memory)
    log = _logger(channel, first["level"])
    guest: Guest | None = None
    while requests.get()["do"] == "gather":
        exhausted = False
        try:
            if guest is None:
                guest = made(first["entry"], first["given"], log)
            guest.gather(_Accumulator(channel))
            answer = ""
        except BaseException as error:  # what ends a process is not to end this one, as it is a plugin's failure
            exhausted = bool(most_memory) and _is_exhausted(error, most_memory)
            guest_file = getattr(sys.modules.get(type(guest).__module__), "__file__", "") or ""
            answer = describe(error, (guest_file,)) or type(error).__name__
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        channel.send({"answer": answer, "exhausted": exhausted})
    if guest is not None:
        with contextlib.suppress(Exception, SystemExit):
            guest.stop()
    os._exit(0)  # whatever threads a guest has left


class _Channel:
    """The way to the agent, for this process and none that is forked from it."""

    def __init__(self, to_agent: socket.socket) -> None:
        self._socket = to_agent
        self._socket.set_inheritable(False)
        self._process = os.getpid()
        self._exit = os._exit
        self._lock = threading.Lock()
        self._held: list[Metric] = []
        """Metrics on their way: to send each by itself costs both sides several times what it costs to make it."""
        self._holds = threading.Event()
        threading.Thread(target=self._send_soon, name="pyagent-guest-metrics", daemon=True).start()
        os._exit = self._leave  # so that what was added before is not lost

    @property
    def is_ours(self) -> bool:
        return os.getpid() == self._process

    def send(self, message: dict[str, Any]) -> None:
        """At once, behind all metrics."""
        with self._lock:
            self._send_held()
            self._send(message)

    def hold(self, metric: Metric) -> None:
        """Send it soon, with others."""
        with self._lock:
            if not self._held:
                self._holds.set()
            self._held.append(metric)
            if len(self._held) >= _MOST_HELD:
                self._send_held()

    def _send_held(self) -> None:
        if not self._held:
            return
        packed, self._held = pack(self._held), []
        for metric, reason in packed.rejected:
            self._send({"log": (logging.WARNING, f"a metric {metric.name!r:.80} is left out: {reason}")})
        self._send({"metrics": len(packed.data)}, packed.data)

    def _send(self, message: dict[str, Any], behind: bytes = b"") -> None:
        if not self.is_ours:
            # A plugin has forked, and what it forked has come back to us: two would answer.
            self._exit(0)
        self._socket.sendall(json.dumps(message).encode() + b"\n" + behind)

    def _send_soon(self) -> None:
        sleep = time.sleep
        with contextlib.suppress(OSError):
            while self._holds.wait():
                self._holds.clear()
                sleep(_HELD_FOR)
                with self._lock:
                    self._send_held()

    def _leave(self, status: int) -> NoReturn:
        if self.is_ours and self._lock.acquire(timeout=_HELD_FOR):
            with contextlib.suppress(Exception):
                self._send_held()
        self._exit(status)
        raise SystemExit(status)

    def receive(self) -> bytes:
        return self._socket.recv(1 << 16)


def _read(channel: _Channel, requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    kill, getpgrp = os.killpg, os.getpgrp
    rest = b""
    with contextlib.suppress(OSError):
        while data := channel.receive():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                requests.put(json.loads(line))
    # The agent is gone; this process and all that it started are of no use any more.
    kill(getpgrp(), signal.SIGKILL)


def _bound(most_memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if most_memory:
        resource.setrlimit(resource.RLIMIT_DATA, (most_memory + _ROOM, most_memory + 2 * _ROOM))


def _is_exhausted(error: BaseException, most_memory: int) -> bool:
    """Whether it failed for want of memory; then there is some again, to tell of it. What called a guest's code may have caught
    the error and have only its name left."""
    with contextlib.suppress(Exception):
        resource.setrlimit(resource.RLIMIT_DATA, (most_memory + 2 * _ROOM,) * 2)
        text = describe(error)
        taken = 0
        if "can't start new thread" in text:
            with open("/proc/self/statm") as file:
                taken = int(file.read().split()[5]) * resource.getpagesize()
        if "MemoryError" in text or taken > (most_memory + _ROOM) * 0.9:
            return True
        resource.setrlimit(resource.RLIMIT_DATA, (most_memory + _ROOM, most_memory + 2 * _ROOM))
    return False


def _end_with(pipe: int) -> None:
    """The kernel ends this process and all that it started when the pipe's other end is closed: a thread could not see that
    while a library holds Python's lock."""
    signal_of_pipe = getattr(fcntl, "F_SETSIG", None)
    if signal_of_pipe is None:  # not on this system
        return
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(pipe, signal_of_pipe, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
        fcntl.fcntl(pipe, fcntl.F_SETFD, fcntl.FD_CLOEXEC)


class _Accumulator:
    """Sends what a guest adds, by the rules of `Accumulator.add`."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel

    def add(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: int | float | datetime | None = None,
        kind: MetricType = MetricType.UNTYPED,
    ) -> None:
        if not isinstance(measurement, str) or not measurement:
            raise PyagentError(f"cannot add a metric whose name is {measurement!r:.80}")
        when = time_ns() if time is None else time
        metric = plain_metric(measurement, fields, tags, when, kind, {}) or _converted(
            measurement, fields, tags, when, kind
        )
        if metric.fields:
            self._channel.hold(metric)


def _converted(
    measurement: str,
    fields: Mapping[str, Any],
    tags: Mapping[str, Any] | None,
    time: int | float | datetime,
    kind: MetricType,
) -> Metric:
    """What `plain_metric` leaves."""
    values = {plain_text(key): field_value(value) for key, value in fields.items()}
    return Metric(
        plain_text(measurement),
        {plain_text(key): plain_text(value) for key, value in (tags or {}).items() if value is not None},
        {key: value for key, value in values.items() if value is not None},
        timestamp_ns(time),
        MetricType(kind),
    )


class _Handler(logging.Handler):
    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            if self._channel.is_ours:
                self._channel.send({"log": (record.levelno, record.getMessage())})


def _logger(channel: _Channel, level: int) -> logging.Logger:
    """What is logged anywhere in this process goes to the agent's log, as the plugin's."""
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(_Handler(channel))
    return logging.getLogger("pyagent.guest")
