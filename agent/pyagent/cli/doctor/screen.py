"""How findings are shown to a person: a mark, the result, and below it what to do."""

import os
import textwrap
from shutil import get_terminal_size
from typing import TextIO

from pyagent.cli.doctor.findings import Finding, Level, Report
from pyagent.cli.terminal import counted, harmless, shows_unicode
from pyagent.runtime.colours import coloured, has_colours

__all__ = ["Screen"]

_MARKS = {Level.OK: "✓", Level.NOTE: "·", Level.SKIPPED: "-", Level.WARNING: "!", Level.FAILED: "✗"}
_PLAIN = {Level.OK: "ok", Level.NOTE: "note", Level.SKIPPED: "--", Level.WARNING: "WARN", Level.FAILED: "FAIL"}
_COLOURS = {Level.OK: "green", Level.NOTE: "dim", Level.SKIPPED: "dim", Level.WARNING: "yellow", Level.FAILED: "red"}


class Screen:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        terminal = out.isatty()
        self._progress = terminal and os.environ.get("TERM", "dumb") != "dumb"
        self._colours = has_colours(out)
        self._marks = _MARKS if shows_unicode(getattr(out, "encoding", None), os.environ) else _PLAIN
        self._width = max(get_terminal_size((100, 24)).columns if terminal else 100, 40)
        self._about = ""
        self._busy = False

    def busy(self, text: str) -> None:
        """What is being waited for, until the next line."""
        if not self._progress:
            return
        if self._busy or text:
            self._out.write("\r\x1b[K" + (f"  … {harmless(text)}"[: self._width - 1] if text else ""))
            self._out.flush()
        self._busy = bool(text)

    def show(self, finding: Finding) -> None:
        if finding.about != self._about:
            self._about = finding.about
            self._line(f"\n{self._bold(harmless(finding.about))}")
        mark = self._marks[finding.level]
        indent = " " * (max(map(len, self._marks.values())) + 3)
        text = self._wrapped(harmless(finding.text), indent)
        self._line(f"  {self._coloured(mark.ljust(len(indent) - 3), finding.level)} {text}")
        if finding.remedy:
            self._line(f"{indent}{self._wrapped('-> ' + harmless(finding.remedy), indent + '   ', len(indent))}")

    def end(self, report: Report) -> None:
        failed, warnings = report.count(Level.FAILED), report.count(Level.WARNING)
        if not failed and not warnings:
            self._line("\nAll is well.")
        else:
            counts = [f"{failed} failed"] * bool(failed)
            counts += [counted(warnings, "warning")] * bool(warnings)
            self._line(f"\n{', '.join(counts)}: begin with the first.")

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _wrapped(self, text: str, indent: str, taken: int | None = None) -> str:
        width = self._width - (len(indent) if taken is None else taken)
        lines = textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)
        return f"\n{indent}".join(lines)

    def _bold(self, text: str) -> str:
        return coloured(text, "bold") if self._colours else text

    def _coloured(self, text: str, level: Level) -> str:
        return coloured(text, _COLOURS[level]) if self._colours else text
