"""Lines that were refused: the last ones, and whoever wants to hear of each."""

import logging
from collections import deque
from collections.abc import Callable

from pyagent.api.line_options import LineOptions
from pyagent.api.units import counted
from pyagent.client.outcome import Rejected
from pyagent.lineprotocol import Encoded, encode

__all__ = ["Refused"]

log = logging.getLogger("pyagent.client")

_KEPT = 1000
_MOST_REASONS = 100
"""Different ones that are logged."""
_LINE_OPTIONS = LineOptions(uint_support=True)


class Refused:
    """What the pipeline asks where a receiver refuses lines for good (`pyagent.pipeline.outputs.sender.DeadLetters`)."""

    def __init__(self, tell: Callable[[Rejected], None] | None) -> None:
        self.last: deque[Rejected] = deque(maxlen=_KEPT)
        self.local = 0
        """Refused before they were sent."""
        self.repaired = 0
        """Refused for a field's type, and sent again with the type that the bucket has."""
        self.again: Callable[[Encoded], None] = lambda encoded: None
        self._reasons: set[str] = set()
        self._tell = tell
        self._reported = False

    def put(
        self, output: str, partition: str | None, lines: list[bytes], reason: str, *, suspected: bool = False
    ) -> int:
        from pyagent.client.repair import repaired

        mended, rest = repaired(lines, reason)
        if mended:
            self.repaired += len(mended)
            log.warning(
                "%s sent again with the type that the bucket has", counted(len(mended), "point is", "points are")
            )
            self.again(encode(mended, _LINE_OPTIONS))
        if rest and reason not in self._reasons and len(self._reasons) < _MOST_REASONS:
            self._reasons.add(reason)
            log.error(
                "%s refused for good: %s (%.200s)",
                counted(len(rest), "point was", "points were"),
                reason,
                rest[0].decode("utf-8", "replace").rstrip("\n"),
            )
        for line in rest:
            self.add(Rejected(line.decode("utf-8", "replace").rstrip("\n"), reason, suspected))
        return 0

    def add(self, rejected: Rejected) -> None:
        self.last.append(rejected)
        if self._tell is None:
            return
        try:
            self._tell(rejected)
        except Exception:
            if not self._reported:
                self._reported = True
                log.exception("on_rejected raised; it is called for other lines, and does not stop the writer")

    def sync(self) -> None:
        """Nothing of it is on disk."""
