"""Records of CSV (RFC 4180, as Go's encoding/csv reads it): the reference for the native reader of rows."""

__all__ = ["Malformed", "read_record"]


class Malformed(Exception):
    """The quotes of a record are wrong at the offset `at`. Reading can go on at `end`, or nowhere where that is -1."""

    def __init__(self, reason: str, at: int, end: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.end = end


def read_record(
    text: bytes, start: int, separator: bytes, *, final: bool, blanks: bool = False
) -> tuple[list[bytes], int] | None:
    """The cells of the record at `start`, and the offset behind it; None where it may go on behind the text.

    `final`: nothing comes behind the text. `blanks`: there may be some around quotes. A line break inside of a quoted cell is
    LF, also where it was CR LF. Raises Malformed.
    """
    end = text.find(b"\n", start)
    if end < 0:
        if not final:
            return None
        end = len(text)
    line = text[start:end]
    if b'"' in line:
        return _quoted(text, start, separator, final, blanks)
    if line.endswith(b"\r"):
        line = line[:-1]
    return line.split(separator), min(end + 1, len(text))


def _quoted(text: bytes, start: int, separator: bytes, final: bool, blanks: bool) -> tuple[list[bytes], int] | None:
    cells: list[bytes] = []
    position = start
    while True:
        if blanks and text.startswith(b'"', behind := _behind_blanks(text, position)):
            position = behind
        if text.startswith(b'"', position):
            found = _in_quotes(text, position, final)
            if found is None:
                return None
            cell, position = found
            if blanks:
                position = _behind_blanks(text, position)
        else:
            stop = _end_of_line(text, position)
            next_separator = text.find(separator, position, stop)
            end = stop if next_separator < 0 else next_separator
            cell = text[position:end]
            if b'"' in cell:
                _refuse(
                    text, position + cell.index(b'"'), "a quote stands in a cell that does not begin with one", final
                )
                return None
            position = end
            if next_separator < 0:
                cell = cell.removesuffix(b"\r")
        cells.append(cell)
        if text.startswith(separator, position):
            position += len(separator)
            continue
        if position >= len(text):
            return (cells, position) if final else None
        if text.startswith(b"\n", position):
            return cells, position + 1
        if text.startswith(b"\r\n", position):
            return cells, position + 2
        if position + 1 == len(text) and text.endswith(b"\r"):
            return (cells, position + 1) if final else None
        _refuse(text, position, "something else than a separator follows a closing quote", final)
        return None


def _in_quotes(text: bytes, start: int, final: bool) -> tuple[bytes, int] | None:
    """The text between quotes, and the offset behind them."""
    parts: list[bytes] = []
    position = start + 1
    while True:
        quote = text.find(b'"', position)
        if quote < 0 or (quote + 1 == len(text) and not final):
            if not final:
                return None
            raise Malformed("a quote is opened here and never closed", start, -1)
        parts.append(text[position:quote])
        if not text.startswith(b'"', quote + 1):
            break
        parts.append(b'"')
        position = quote + 2
    return b"".join(parts).replace(b"\r\n", b"\n"), quote + 1


def _behind_blanks(text: bytes, position: int) -> int:
    while text.startswith(b" ", position):
        position += 1
    return position


def _end_of_line(text: bytes, position: int) -> int:
    end = text.find(b"\n", position)
    return len(text) if end < 0 else end


def _refuse(text: bytes, at: int, reason: str, final: bool) -> None:
    """Raises Malformed, unless the end of the line is still to come."""
    end = text.find(b"\n", at)
    if end < 0 and not final:
        return
    raise Malformed(reason, at, len(text) if end < 0 else end + 1)
