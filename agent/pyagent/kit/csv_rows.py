"""Rows of comma separated values, as Go's encoding/csv reads them: by RFC 4180, where a quote stands only around a whole value,
and blank lines count for nothing."""

import re
from collections.abc import Iterator

__all__ = ["BadRow", "csv_rows"]


class BadRow(Exception):
    """`line`: its offset from the first."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def csv_rows(text: str, delimiter: str, comment: str, trim: bool) -> Iterator[tuple[int, list[str]]]:
    """Rows with the offset of the line where each begins. Raises BadRow."""
    if '"' not in text:
        for number, line in enumerate(text.split("\n")):
            if line and not (comment and line.startswith(comment)):
                values = line.split(delimiter)
                yield number, [value.lstrip() for value in values] if trim else values
        return
    mark = re.escape(delimiter)
    # Possessive, so that a text that is no table costs no more than one pass.
    blanks = rf"(?:(?!{mark})[^\S\n])*+" if trim else ""
    value = re.compile(rf'{blanks}(?:"((?:[^"]++|"")*+)"|([^"{mark}\n]*+))({mark}|\n|\Z)')
    position = number = 0
    while position < len(text):
        if text[position] == "\n" or (comment and text[position] == comment):
            end = text.find("\n", position)
            position, number = (end + 1 or len(text)), number + 1
            continue
        row: list[str] = []
        start = position
        while True:
            match = value.match(text, position)
            if match is None:
                raise BadRow(
                    number + text.count("\n", start, position),
                    'a quote (") stands neither around a whole value nor doubled inside of one',
                )
            quoted, plain, separator = match.groups()
            row.append(plain if quoted is None else quoted.replace('""', '"'))
            position = match.end()
            if separator != delimiter:
                break
        yield number, row
        number += text.count("\n", start, position)
