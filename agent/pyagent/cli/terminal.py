"""What commands print for people: aligned tables, spans of time, and texts that cannot harm a terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["aligned", "cells", "counted", "cut", "harmless", "shows_unicode", "some_of", "span"]


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


def counted(number: int, thing: str) -> str:
    """`1 point`, `1,234 points`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def harmless(text: str, spared: str = "") -> str:
    r"""`text` without what would steer a terminal or could not be printed: `\x1b` in its place, `\xff` for a byte that is not
    UTF-8. Characters of `spared` stay."""
    safe = "".join(c if c.isprintable() or c in spared else _escaped(c) for c in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def some_of(names: Sequence[str], wanted: str = "", shown: Callable[[str], str] = harmless, most: int = 10) -> str:
    """`a, b, c`, and of many those that are most like `wanted`, with the number of the others behind them."""
    chosen = list(names)
    if wanted and len(names) > most:
        from difflib import SequenceMatcher

        matcher = SequenceMatcher(b=wanted.lower(), autojunk=False)

        def unlikeness(name: str) -> float:
            matcher.set_seq1(name.lower())
            return -matcher.ratio()

        chosen.sort(key=unlikeness)
    more = f" and {len(chosen) - most:,} more" if len(chosen) > most else ""
    return ", ".join(map(shown, chosen[:most])) + more


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """How many columns of a terminal printable `text` takes: two for East Asian wide characters, none for accents put on."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int, sign: str = "…") -> str:
    """`text` in at most `width` columns, with a sign at its end where something is left out."""
    if cells(text) <= width:
        return text
    room = width - cells(sign)
    if room < 0:
        return sign[:width]
    end, taken = 0, 0
    while (taken := taken + cells(text[end])) <= room:
        end += 1
    return text[:end] + sign


def shows_unicode(encoding: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a terminal shows more than ASCII, by the encoding of the stream to it and the locale."""
    if (encoding or "").lower().replace("-", "") != "utf8":
        return False
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or ""
    if name in ("", "C.UTF-8") and not environ.get("LC_ALL"):
        # Python itself sets LC_CTYPE=C.UTF-8 where the locale is C (PEP 538), whatever the terminal shows.
        name = environ.get("LANG", "")
    return name.lower().replace("-", "").partition("@")[0].endswith("utf8")
