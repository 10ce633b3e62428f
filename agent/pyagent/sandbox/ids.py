"""InfluxDB's ids: 64 bits, written as 16 hexadecimal digits."""

import re
import threading
import time

from pyagent.sandbox.errors import invalid

_EPOCH_MS = 1491696000000


class Ids:
    """Makes ids that rise with time, below 2**63 so that SQLite's integers hold them."""

    def __init__(self) -> None:
        self._previous = 0
        self._lock = threading.Lock()

    def new(self) -> str:
        with self._lock:
            self._previous = max(self._previous + 1, (time.time_ns() // 1_000_000 - _EPOCH_MS) << 22)
            return f"{self._previous & (2**63 - 1):016x}"


new_id = Ids().new


def parse_id(text: str) -> str:
    """The id in canonical form.

    Raises:
        InfluxError: not 16 hexadecimal digits, or zero.
    """
    if len(text.encode("utf-8", "surrogatepass")) != 16:
        raise invalid("id must have a length of 16 bytes")
    if not re.fullmatch(r"[0-9a-fA-F]{16}", text) or int(text, 16) == 0:
        raise invalid("invalid ID")
    return text.lower()


def looks_like_id(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F]{16}", text)) and int(text, 16) != 0
