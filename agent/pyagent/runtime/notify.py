"""What systemd is told: readiness, status, reload, stop (sd_notify(3)). Nothing happens where systemd did not ask."""

import os
import socket
import time

__all__ = ["Notifier"]


class Notifier:
    """Sends to $NOTIFY_SOCKET. Made once: it takes the variable out of the environment, so that no child inherits it."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # A leading @ names a socket of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def wanted(self) -> bool:
        """Whether a service manager listens: the sign that the agent runs as a service."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """READY also ends a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=writing what is left")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
                client.settimeout(1.0)
                client.sendto(message.encode(), self._address)
        except OSError:
            pass  # telling is not worth failing for


def _line(text: str) -> str:
    return " ".join(text.split())
