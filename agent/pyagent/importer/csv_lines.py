"""Blocks of CSV to pieces of line protocol."""

from collections.abc import Callable, Sequence

from pyagent.api.units import counted
from pyagent.importer.annotations import Table
from pyagent.importer.cells import Malformed, read_record
from pyagent.importer.columns import Line, Rows, mapping_text
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.csv_refusals import malformed, reject
from pyagent.importer.dialects import Plain
from pyagent.importer.fast import FastRows, fast_rows
from pyagent.importer.free_times import FreeTimes
from pyagent.importer.pieces import Failure, Piece, Warnings, place
from pyagent.importer.rejects import is_comment
from pyagent.lineprotocol.text import from_bytes

__all__ = ["CsvConverter"]


class CsvConverter:
    """Give the blocks of one input to `feed`, in their order. `plain`: what was found out of a file without annotations."""

    def __init__(self, options: CsvOptions, warnings: Warnings, plain: Plain | None = None) -> None:
        self.points = 0
        """Lines that were made so far."""
        self.mapping: Callable[[str], None] | None = None
        """Hears what the columns of each table are."""
        self.head: list[str] = []
        """The lines before the first row: annotations, and the names of the columns."""
        self.several_tables = False
        self._in_rows = False
        self._options = options
        self._plain = plain
        self._warnings = warnings
        self._separator = (plain.separator if plain else b"") or options.separator or b","
        self._rest = b""
        self._line = 1
        self._skip = options.skip
        self._at_start = True
        self._table = self._new_table()
        self._rows: Rows | None = None
        self._fast: FastRows | None = None
        self._free_times = FreeTimes()
        self._now = 0
        """Line of the row under way, for warnings."""
        for line in options.headers:
            self._take_header_option(line)

    def feed(self, block: bytes, *, final: bool = False) -> Piece:
        """The lines of the whole rows of this block and of what was left of those before it. `final`: it is the last."""
        text = self._rest + block
        piece = Piece(text, self._line)
        lines: list[bytes] = []
        position = self._pass_over(text, final)
        size = 0
        sound = b"\0" not in text
        while position < len(text) and not piece.failure:
            if self._fast is not None and sound:
                position, data, self.points = self._fast.run(text, position, piece, size, self.points, final=final)
                if data:
                    lines.append(data)
                    size += len(data)
                if position >= len(text):
                    break
            try:
                found = read_record(text, position, self._separator, final=final, blanks=self._plain is not None)
            except Malformed as error:
                position = malformed(piece, position, error)
                continue
            if found is None:
                break
            cells, end = found
            self._now = 0
            line = self._taken(cells, position, end, piece)
            position = end
            if line:
                lines.append(line)
                size += len(line)
                piece.ends.append(size)
                self.points += 1
        piece.text, self._rest = text[:position], text[position:]
        piece.data = b"".join(lines)
        self._line += piece.text.count(b"\n")
        if len(self._rest) > self._options.most_held and not piece.failure:
            piece.failure = (
                f"line {self._line}: the row is longer than {self._options.most_held:,} bytes; a quote that is never "
                "closed may be the cause, or raise --max-line-length"
            )
        return piece

    @property
    def separator(self) -> bytes:
        return self._separator

    # Before the rows --------------------------------------------------------------------------------------------------

    def _pass_over(self, text: bytes, final: bool) -> int:
        """Behind the lines to skip, and `sep=;`."""
        position = 0
        while self._skip:
            end = text.find(b"\n", position)
            if end < 0:
                return len(text) if final else position
            self._skip -= 1
            position = end + 1
        if self._at_start and text[position:]:
            end = text.find(b"\n", position)
            if end < 0 and not final and len(text) - position < 8:
                return position
            self._at_start = False
            first = text[position : end if end >= 0 else len(text)].rstrip(b"\r")
            if first[:4].lower() == b"sep=" and len(first) > 4:
                self._separator = first[4:]
                position = end + 1 if end >= 0 else len(text)
        return position

    def _take_header_option(self, line: str) -> None:
        """A line of --header. It may have commas where the data have another separator."""
        raw = line.encode("utf-8", "surrogateescape")
        if raw[:4].lower() == b"sep=" and len(raw) > 4:
            self._separator = raw[4:]
            return
        found = None
        try:
            found = read_record(raw, 0, self._separator, final=True)
            if found is not None and len(found[0]) == 1:
                found = read_record(raw, 0, b",", final=True)
        except Malformed as error:
            raise ValueError(f"cannot read --header {line!r}: {error.reason}") from None
        if found is not None:
            cells = [from_bytes(cell) for cell in found[0]]
            if self._plain is None or not self._plain.take(cells, self._table):
                self._annotated(cells)

    def _new_table(self) -> Table:
        options = self._options
        return Table(self._warn, zone=options.zone, ignore_types_in_header=options.ignore_types_in_header)

    def _warn(self, text: str) -> None:
        self._warnings.add(text, self._now)

    def _annotated(self, cells: list[str]) -> bool:
        """Whether it was no row of data. Raises ValueError."""
        if not self._table.take(cells):
            return False
        self._rows = self._fast = None
        return True

    # Rows -------------------------------------------------------------------------------------------------------------

    def _taken(self, cells: list[bytes], start: int, end: int, piece: Piece) -> bytes:
        """The line of a row; empty where it gives none."""
        if cells == [b""] or (cells[0].startswith(b"# ") and self._is_comment(cells)):
            return b""
        if self._options.longest and end - start > self._options.longest:
            reject(
                piece,
                start,
                end,
                self._separator,
                Failure(f"the row is longer than {self._options.longest:,} bytes (--max-line-length)"),
            )
            return b""
        if not self._table.reading or cells[0].startswith(b"#") or self._is_header(cells):
            self._now, _ = place(piece.text, start, piece.first_line)
            texts = [from_bytes(cell) for cell in cells]
            if self._plain is not None:
                if self._plain.take(texts, self._table):
                    self._add_to_head(piece.text[start:end])
                    self._rows = self._fast = None
                    return b""
            elif self._table.reading and texts == self._table.header:
                reject(piece, start, end, self._separator, Failure("the header comes once more; it is no row of data"))
                return b""
            elif not self._is_data(texts):
                try:
                    if self._annotated(texts):
                        self._add_to_head(piece.text[start:end])
                        return b""
                except ValueError as error:
                    piece.failure = f"line {self._now}: {error}"
                    return b""
        if self._table.is_error:
            piece.failure = f"line {place(piece.text, start, piece.first_line)[0]}: {_query_error(cells)}"
            return b""
        if self._rows is None:
            self._begin_rows()
        assert self._rows is not None
        if len(cells) != self._rows.width and not self._ragged(cells, start, end, piece):
            return b""
        if (cell := next((i for i, one in enumerate(cells) if b"\0" in one), -1)) >= 0:
            reject(piece, start, end, self._separator, Failure("there is a NUL in it, which no text has", cell))
            return b""
        try:
            line = self._rows.line(cells)
        except Failure as failure:
            reject(piece, start, end, self._separator, failure)
            return b""
        if line is None:
            piece.skipped += 1
            return b""
        if self._rows.twice.found:
            self._now, _ = place(piece.text, start, piece.first_line)
            self._warn(self._rows.twice.told)
        piece.starts.append(start)
        return b"%b %b%b\n" % (line.head, line.fields, self._written_time(line))

    def _add_to_head(self, row: bytes) -> None:
        self.several_tables = self.several_tables or self._in_rows
        if not row.startswith((b"# ", b'"# ')) and not self._in_rows:
            self.head.append(from_bytes(row.rstrip(b"\r\n")))

    def _is_header(self, cells: Sequence[bytes]) -> bool:
        header = self._table.header
        return (
            len(cells) == len(header) and from_bytes(cells[-1]) == header[-1] and [*map(from_bytes, cells)] == header
        ) or (self._plain is not None and self._plain.is_header(cells))

    def _is_comment(self, cells: Sequence[bytes]) -> bool:
        """In a file without annotations a first cell may begin with # and be data: there must be all the others then."""
        return is_comment(cells[0]) or (self._plain is not None and len(cells) == 1 and len(self._table.columns) != 1)

    def _is_data(self, cells: Sequence[str]) -> bool:
        """A row of a value that begins with #, and not a comment."""
        return (
            self._table.reading
            and len(cells) > 1
            and len(cells) == len(self._table.columns)
            and not cells[0].startswith("# ")
            and cells[0].partition(" ")[0].lower()
            not in ("#group", "#datatype", "#default", "#constant", "#concat", "#timezone")
        )

    def _begin_rows(self) -> None:
        self._now, self._in_rows = 0, True
        self._rows = self._plain.rows(self._table, self._warn) if self._plain is not None else None
        if self._rows is None:
            self._rows = Rows(self._table, self._options.settings, self._warn)
        if self.mapping is not None:
            self.mapping(mapping_text(self._rows))
        strict = self._plain is not None
        self._fast = fast_rows(self._rows, self._table.header, self._separator, self._options, strict_width=strict)

    def _ragged(self, cells: list[bytes], start: int, end: int, piece: Piece) -> bool:
        """Whether a row of another number of cells than the header is taken."""
        assert self._rows is not None
        width, count = self._rows.width, len(cells)
        if self._plain is None:
            # As InfluxDB: what is missing is empty, what is too much is left out.
            if any(cells[width:]):
                self._now, _ = place(piece.text, start, piece.first_line)
                self._warn(f"the row has {counted(count, 'cell')}, the header {width}: those behind are left out")
            return True
        if not any(cells):
            piece.skipped += 1
            return False
        reject(
            piece,
            start,
            end,
            self._separator,
            Failure(f"the row has {counted(count, 'cell')}, the header {width}", min(width, count - 1)),
        )
        return False

    def _written_time(self, line: Line) -> bytes:
        time = line.time
        if time is None:
            return b"" if self._options.start is None else b" %d" % (self._options.start + self.points)
        if self._options.keep_duplicates:
            time = self._free_times.of(line.head, time)
        return b" %d" % (time // self._options.unit)


def _query_error(cells: Sequence[bytes]) -> str:
    text = next((from_bytes(cell) for cell in cells if cell), "")
    return f"the query whose result this is failed here: {text}; what is before it was taken"
