"""What systemd is told: readiness, status, reload, stop (sd_notify(3)). Nothing happens where systemd did not ask."""

import os
import socket
import time

from pyagent.api import redact
from pyagent.kit.shown import readable

__all__ = ["Notifier"]


class Notifier:
    """Sends to $NOTIFY_SOCKET. Made once: it takes the variable out of the environment, so that no child inherits it."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # A leading @ names a socket of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        wanted = self._address and microseconds.isdecimal() and process == str(os.getpid())
        self.watchdog = int(microseconds) / 1e6 if wanted else 0.0
        """Seconds within which systemd wants a sign of life; 0: it does not."""

    @property
    def wanted(self) -> bool:
        """Whether a service manager listens: the sign that the agent runs as a service."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """READY also ends a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=writing what is left")

    def more_time(self, seconds: float) -> None:
        """What is being done, the start or the stop, takes so much longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
                client.settimeout(1.0)
                client.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:
            pass  # telling is not worth failing for


def _line(text: str) -> str:
    return " ".join(readable(redact(text)).split())
