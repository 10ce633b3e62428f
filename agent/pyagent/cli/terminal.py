"""What commands print for people: aligned tables, spans of time, and texts that cannot harm a terminal."""

import sys
from collections.abc import Iterator, Sequence

__all__ = ["aligned", "harmless", "span"]


def aligned(table: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> Iterator[str]:
    """The lines of a table; the columns of `left` are aligned left, numbers right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def span(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 48 * 60 else f"{minutes // 1440} days"


def harmless(text: str, spared: str = "") -> str:
    r"""`text` without what would steer a terminal or could not be printed: `\x1b` in its place, `\xff` for a byte that is not
    UTF-8. Characters of `spared` stay."""
    safe = "".join(c if c.isprintable() or c in spared else _escaped(c) for c in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
