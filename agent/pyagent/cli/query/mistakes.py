"""What a server says of a query, with the place in its text."""

import re
from collections.abc import Iterator

from pyagent.cli.terminal import cells, harmless

__all__ = ["PLACE", "explained"]

PLACE = re.compile(r"@(\d{1,9}):(\d{1,9})-(\d{1,9}):(\d{1,9})")
_NOISE = re.compile(r"^(?:compilation failed: )?(?:loc |error |runtime error )?(?:at )?@[\d:-]+:? ?")
_MOST = 5
"""Mistakes that are shown of one text."""
_TAB = "    "


def explained(message: str, text: str, width: int) -> tuple[str, list[str]]:
    """What is wrong, in one line; then lines that show the place of it in `text`, and what else is wrong.

    `message`: the server's, which may name places as `@line:column-line:column`, columns in bytes from 1.
    """
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=error @)", message) if part.strip()]
    first, *others = parts or [""]
    lines = list(_shown(first, text, width))
    for other in others[: _MOST - 1]:
        lines += [f"and {_said(other)}", *_shown(other, text, width)]
    if len(others) >= _MOST:
        lines.append(f"and {len(others) - _MOST + 1} more")
    return _said(first), lines


def _said(part: str) -> str:
    place = PLACE.search(part)
    if place is None:
        return harmless(part)
    line, column = place[1], place[2]
    plain = _NOISE.sub("", part)
    return harmless(f"line {line}, column {column}: {plain or part}")


def _shown(part: str, text: str, width: int) -> Iterator[str]:
    """The line with the place below it."""
    place = PLACE.search(part)
    if place is None:
        return
    row, start, last_row, end = map(int, place.groups())
    lines = text.split("\n")
    if not 1 <= row <= len(lines):
        return
    raw = lines[row - 1].rstrip("\r").encode(errors="replace")
    if not 1 <= start <= len(raw) + 1:
        return
    before = _plain(raw[: start - 1])
    marked = _plain(raw[start - 1 : end - 1] if last_row == row else raw[start - 1 :])
    after = _plain(raw[end - 1 :] if last_row == row else b"")
    before, marked, after = _cut(before, marked, after, max(width - 2, 20))
    yield f"  {before}{marked}{after}".rstrip()
    yield f"  {' ' * cells(before)}{'^' * max(cells(marked.rstrip()), 1)}"


def _plain(part: bytes) -> str:
    return harmless(part.decode(errors="replace").replace("\t", _TAB))


def _cut(before: str, marked: str, after: str, width: int) -> tuple[str, str, str]:
    """At most `width` characters, the marked ones among them as far as they fit."""
    if len(before) + len(marked) + len(after) <= width:
        return before, marked, after
    marked = marked[: width - 6]
    room = width - len(marked)
    behind = min(len(after), room // 2 if len(before) > room // 2 else room - len(before))
    if len(before) > (ahead := room - behind):
        before = f"...{before[len(before) - ahead + 3 :]}" if ahead > 3 else before[len(before) - ahead :]
    if len(after) > behind:
        after = f"{after[: behind - 3]}..." if behind > 3 else after[:behind]
    return before, marked, after
