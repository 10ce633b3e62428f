"""What the doctor finds: one result for each thing that was looked at, and what to do."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pyagent.api import redact

__all__ = ["Finding", "Level", "Report", "parted"]

_OF_SOMETHING = re.compile(r"\S+: ")
"""An error of one thing among several: `https://a/: ...`."""
_EXPLAINS = re.compile(r"(?:it|its|they|there|the|this|that|a|an|and|no)\b(?!.*(?:: | needs | must ))")
"""The beginning of what says more of the cause, and not what to do: `there is no such bond`."""


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing, and no fault."""
    SKIPPED = "not checked"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    """Which check it is of; these names stay."""
    about: str
    """What was looked at: a file, a URL, a plugin, a unit."""
    level: Level
    text: str
    remedy: str = ""


def parted(message: str) -> tuple[str, str]:
    """What is wrong and what to do, of an error in the form of `cannot do it: cause; what to do`.

    Not all that follows a semicolon is something to do: several errors in one message stay together, with what each says.
    """
    cause, *rest = message.split("; ")
    of_one = _OF_SOMETHING.match(cause)
    if any(part.startswith("cannot ") or (of_one and _OF_SOMETHING.match(part)) for part in rest):
        return message, ""
    while rest and _EXPLAINS.match(rest[0]):
        cause += f"; {rest.pop(0)}"
    return cause, "; ".join(rest)


class Report:
    """Collects findings, and hands each on as soon as it is there. No text in it shows a secret."""

    def __init__(
        self, tell: Callable[[Finding], None] = lambda finding: None, busy: Callable[[str], None] = lambda text: None
    ) -> None:
        """`tell` gets each finding, `busy` what is being waited for (empty: nothing any more)."""
        self.findings: list[Finding] = []
        self.about = ""
        """What the next findings are about."""
        self.busy = busy
        self._tell = tell

    def ok(self, check: str, text: str) -> None:
        self._add(check, Level.OK, text)

    def note(self, check: str, text: str, remedy: str = "") -> None:
        self._add(check, Level.NOTE, text, remedy)

    def skipped(self, check: str, why: str) -> None:
        self._add(check, Level.SKIPPED, why)

    def warning(self, check: str, text: str, remedy: str = "") -> None:
        self._add(check, Level.WARNING, text, remedy)

    def failed(self, check: str, text: str, remedy: str = "") -> None:
        self._add(check, Level.FAILED, text, remedy)

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)

    @property
    def exit_status(self) -> int:
        """0: all is well, 1: there are warnings, 2: something failed."""
        return 2 if self.count(Level.FAILED) else 1 if self.count(Level.WARNING) else 0

    def document(self) -> dict[str, Any]:
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "failed": self.count(Level.FAILED),
            "warnings": self.count(Level.WARNING),
        }

    def _add(self, check: str, level: Level, text: str, remedy: str = "") -> None:
        finding = Finding(check, redact(self.about), level, redact(text), redact(remedy))
        self.findings.append(finding)
        self.busy("")
        self._tell(finding)
