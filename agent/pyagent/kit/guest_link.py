"""The agent's end of a guest's process: see `pyagent.kit.guests`, and `pyagent.kit.guest_process` for the other end."""

import contextlib
import json
import logging
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pyagent.api.accumulator import Accumulator
from pyagent.api.units import Duration, redact
from pyagent.kit.command import NOT_INHERITED
from pyagent.lineprotocol import unpack

__all__ = ["GuestEnded", "GuestLink", "seconds_text"]

_LOOK = 0.2
"""Seconds after which it is looked whether the process has ended, where one that it started holds its ends open."""
_MOST_SENT = 64 << 20
"""Bytes that a guest may send in one gather."""
_MOST_LINES, _LONGEST_LINE = 100, 2000
"""Lines that are logged for one gather, so many of each of its log, its output and its errors, and their characters."""
_MOST_LOOKED_AT = 1 << 16
"""Of a line, for secrets."""
_ITS_LOG = -1
_STOP = 1.0
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from pyagent.kit.guest_process import main; main(*map(int, sys.argv[2:]))"
)


class GuestEnded(Exception):
    """The process has ended, or must be: nothing more can be asked of it."""


class GuestLink:
    """A Python that runs one guest. The two speak in lines of JSON over a socket, which nothing that the guest prints is in.
    A line of metrics says how many bytes of them are behind it."""

    def __init__(
        self, entry: str, given: dict[str, Any], log: logging.Logger, most_memory: int, clock: Callable[[], float]
    ) -> None:
        self._log = log
        self._clock = clock
        self._most_memory = most_memory
        self._channel, theirs = socket.socketpair()
        # Nothing is ever written to it: it says that the agent is, and closes with it, however it ends.
        is_here, self._is_here = os.pipe()
        with theirs:
            environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
            try:
                self._process = subprocess.Popen(  # noqa: S603  # this Python, and the agent's own code
                    [sys.executable, "-u", "-c", _CHILD, json.dumps(sys.path), str(theirs.fileno()), str(is_here)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                    pass_fds=(theirs.fileno(), is_here),
                    start_new_session=True,
                )
            except BaseException:
                self._channel.close()
                os.close(self._is_here)
                raise
            finally:
                os.close(is_here)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._printed = {self._process.stdout.fileno(): b"", self._process.stderr.fileno(): b""}
        for descriptor in (*self._printed, self._channel.fileno()):
            os.set_blocking(descriptor, False)
        self._statm: int | None = None
        if most_memory:
            with contextlib.suppress(OSError):
                self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY)
        self._closed: set[int] = set()
        self._received = bytearray()
        self._lines_left = dict.fromkeys((_ITS_LOG, *self._printed), 0)
        """By descriptor: what it says by its log, or as an error, is not left out for what it prints."""
        self._left_out = 0
        self._cut_at = math.inf
        self._gathering = threading.Lock()
        self._ending = threading.Lock()
        self._over = False
        self._to_send = json.dumps(
            {"entry": entry, "given": given, "most_memory": most_memory, "level": log.getEffectiveLevel()}
        ).encode() + b"\n"  # fmt: skip

    def gather(self, acc: Accumulator, timeout: float, extra: float) -> str:
        """Ask for one gather; returns why it failed, or "". Raises GuestEnded."""
        with self._gathering:
            return self._gather(acc, timeout, extra)

    def _gather(self, acc: Accumulator, timeout: float, extra: float) -> str:
        deadline = self._clock() + timeout + extra
        self._lines_left, self._left_out = dict.fromkeys(self._lines_left, _MOST_LINES), 0
        self._to_send += b'{"do": "gather"}\n'
        sent = 0
        answer: str | None = None
        try:
            while answer is None:
                rest = min(deadline, self._cut_at) - self._clock()
                if rest <= 0:
                    raise GuestEnded(f"it took longer than {seconds_text(timeout)} and was ended; see `timeout`")
                self._wait(min(rest, _LOOK))
                has_ended = self._has_ended()
                self._read_printed()
                while answer is None and (found := self._message()) is not None:
                    size, message, metrics = found
                    sent += size
                    answer = self._take(message, metrics, acc)
                if sent + len(self._received) > _MOST_SENT:
                    raise GuestEnded(f"it sent more than {_MOST_SENT >> 20} MiB in one gather and was ended")
                if answer is None and has_ended and not self._received_more():
                    raise GuestEnded(self._how_ended())
                self._check_memory()
            self._read_printed()
        except (ValueError, OSError, RecursionError, KeyError, TypeError, AttributeError) as error:
            # It sent what we do not; or it was ended, and so were our ends.
            raise GuestEnded(f"what it sent cannot be read ({type(error).__name__}), so it was ended") from None
        finally:
            if self._left_out:
                self._log.warning("%d more lines that it printed or logged are left out", self._left_out)
        return answer

    def cut_short(self, seconds: float) -> None:
        """Let a gather that runs take no longer than that. From any thread."""
        self._cut_at = self._clock() + seconds

    def end(self, grace: float) -> None:
        """End it and all that it started; one that can be asked has `grace` seconds for it."""
        with self._ending:
            if self._over:
                return
            self._over = True
            if grace:
                with contextlib.suppress(OSError):
                    self._channel.send(b'{"do": "stop"}\n')
                self._await_end(grace)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # Before it is waited for: until then nobody else can have its number. What it started has the same group.
                os.killpg(self.pid, signal.SIGKILL)
            os.close(self._is_here)
            # A gather that runs sees the end; closed before, its descriptors could come to name something else.
            if self._gathering.acquire(timeout=_STOP):
                self._channel.close()
                if self._statm is not None:
                    os.close(self._statm)
                for stream in (self._process.stdout, self._process.stderr):
                    assert stream is not None
                    stream.close()
                self._gathering.release()
            self._process.wait()

    def _wait(self, seconds: float) -> None:
        poll, channel = select.poll(), self._channel.fileno()
        ends = {*self._printed, channel} - self._closed
        for descriptor in ends:
            poll.register(descriptor, select.POLLIN)
        if self._to_send and channel in ends:
            poll.register(channel, select.POLLIN | select.POLLOUT)
        if not ends:
            # It has closed all its ends: either it ends, or it will never answer.
            self._await_end(seconds)
            return
        for descriptor, events in poll.poll(seconds * 1000):
            if descriptor == channel:
                if events & select.POLLOUT:
                    with contextlib.suppress(BlockingIOError, BrokenPipeError):
                        self._to_send = self._to_send[self._channel.send(self._to_send) :]
                if events & ~select.POLLOUT:
                    self._received_more()

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _await_end(self, seconds: float) -> None:
        """Wait so long at most; it stays to be waited for."""
        deadline = self._clock() + seconds
        while not self._has_ended() and self._clock() < deadline:
            time.sleep(0.005)

    def _received_more(self) -> bool:
        try:
            data = self._channel.recv(1 << 18)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._closed.add(self._channel.fileno())
        self._received += data
        return bool(data)

    def _message(self) -> tuple[int, dict[str, Any], bytes] | None:
        """What it sent, its size first and last the metrics behind it; None where it is not whole."""
        start = self._received.find(b"\n") + 1
        if not start:
            return None
        message = json.loads(self._received[:start])
        end = start + int(message.get("metrics", 0))
        if end < start:
            raise ValueError(message["metrics"])
        if end > len(self._received):
            return None
        metrics = bytes(self._received[start:end])
        del self._received[:end]
        return end, message, metrics

    def _take(self, message: dict[str, Any], metrics: bytes, acc: Accumulator) -> str | None:
        """What the guest's process sent; the answer where it is one."""
        if "metrics" in message:
            for metric in unpack(metrics):
                acc.add(metric.name, metric.fields, metric.tags, metric.time, metric.kind)
        elif "log" in message:
            level, text = message["log"]
            self._log_line(_ITS_LOG, int(level), str(text))
        elif message.get("exhausted"):
            raise GuestEnded(
                f"{message['answer']}; its process could take no more memory and was ended; see {self._bound()}"
            )
        else:
            return str(message["answer"])
        return None

    def _bound(self) -> str:
        return f"`memory_limit` ({self._most_memory >> 20} MiB)"

    def _read_printed(self) -> None:
        for descriptor in self._printed:
            # A few reads at most: it may print faster than we read, and for ever.
            for _ in range(16):
                if descriptor in self._closed:
                    break
                try:
                    data = os.read(descriptor, 65536)
                except BlockingIOError:
                    break
                if not data:
                    self._closed.add(descriptor)
                    data = b"\n"
                *lines, rest = (self._printed[descriptor] + data).split(b"\n")
                for line in filter(None, lines):
                    text = line[:_MOST_LOOKED_AT].decode("utf-8", "backslashreplace")
                    self._log_line(descriptor, logging.INFO, f"it printed: {text}")
                self._printed[descriptor] = rest[:_MOST_LOOKED_AT]

    def _log_line(self, source: int, level: int, text: str) -> None:
        if self._lines_left[source] > 0:
            self._lines_left[source] -= 1
            # Half of a secret would not be found in the log.
            self._log.log(level, "%s", redact(text[:_MOST_LOOKED_AT])[:_LONGEST_LINE])
        else:
            self._left_out += 1

    def _check_memory(self) -> None:
        """Of memory that it really has; what it has only asked for, as the stacks of threads, does not count."""
        if self._statm is not None:
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int(os.pread(self._statm, 200, 0).split()[1]) * os.sysconf("SC_PAGESIZE") > self._most_memory:
                    raise GuestEnded(f"it took too much memory and was ended; see {self._bound()}")

    def _how_ended(self) -> str:
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        assert found is not None
        if found.si_code == os.CLD_EXITED:
            return f"it ended its process with exit status {found.si_status}"
        return f"signal {found.si_status} ended its process"


def seconds_text(seconds: float) -> str:
    return str(Duration(round(seconds * 10) * 10**8))
