"""One input from its bytes to pieces: which format it has, and whether its columns have to be found out first."""

import csv
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import chain, islice
from typing import BinaryIO, Literal

from pyagent.importer.content import TEXT
from pyagent.importer.csv_head import is_plain, separator_of
from pyagent.importer.csv_lines import CsvConverter
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.dialects import TABLE, Plain
from pyagent.importer.inference import infer
from pyagent.importer.lp_lines import LpConverter
from pyagent.importer.pieces import ImportFailure, Piece, Warnings
from pyagent.importer.sources import BLOCK, Source, Stream
from pyagent.importer.time_column import Given
from pyagent.importer.times import DAY_FIRST, MONTH_FIRST
from pyagent.lineprotocol import Precision

__all__ = ["Format", "Reading", "ReadingOptions"]

Format = Literal["", "csv", "lp"]
_HEAD_LINES = 20


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """`format`: empty looks at the file's name. `given`: what is said of a CSV without annotations. `precision`: of times that
    are numbers. `start`: see CsvOptions. `dry`: times are written in that precision, as `influx write dryrun` does it."""

    format: Format = ""
    encoding: str = ""
    compression: str = ""
    csv: CsvOptions = field(default_factory=CsvOptions)
    given: Given = field(default_factory=Given)
    precision: Precision = "ns"
    unit: int = 1
    start: int | None = None
    dry: bool = False


class Reading:
    """`size`: bytes of the input, 0 where that is not known. `notes`: what was seen, for a person; `warnings`: of rows."""

    def __init__(self, source: Source, options: ReadingOptions) -> None:
        self.source = source
        self.notes: list[str] = []
        self.warnings = Warnings()
        self.size = 0
        self.digest = ""
        self.is_csv = False
        self.debug: list[str] | None = None
        """What the columns of each table are taken for, where somebody asks."""
        self._options = options
        self._csv: CsvConverter | None = None
        self._plain: Plain | None = None

    def repeating(self) -> list[str] | None:
        """Flags with which a few rows of this input are read as all of them were; None where they are of several tables."""
        if self._csv is None:
            return []
        if self._csv.several_tables:
            return None
        plain, given = self._plain, self._options.given
        flags = [word for line in (*self._options.csv.headers, *self._csv.head) for word in ("--header", line)]
        if self._csv.separator != b",":
            flags += ["--separator", self._csv.separator.decode("utf-8", "surrogateescape")]
        if plain is None:
            return flags + (["--measurement", given.measurement] if given.measurement else [])
        if plain.dialect != TABLE:
            return flags
        flags += ["--measurement", plain.settings.measurement]
        times = [column for column in (*plain.columns, *plain.extras) if column.part == "time"]
        if not given.form and times and times[-1].form in (DAY_FIRST, MONTH_FIRST):
            flags += ["--time-format", times[-1].form]
        if not given.decimal and any(column.kind == "double" and column.form[:1] == "," for column in plain.columns):
            flags += ["--decimal", ","]
        # Of a few rows a column may look like numbers, and be text in all.
        for column in plain.columns:
            if column.kind == TEXT and not column.part and column.label and column.label not in given.types:
                flags += ["--type", f"{column.label}={TEXT}"]
        return flags

    def pieces(self) -> Generator[Piece, None, None]:
        """Raises ImportFailure; what was read before it has been given."""
        with self.source.opened() as (file, self.size), tempfile.TemporaryFile() as spool:
            stream = self._stream(file)
            blocks = stream.blocks()
            head = next(blocks, b"")
            self.digest = stream.digest
            self.is_csv = self._format(head) == "csv"
            plain = None
            if self.is_csv and self._needs_first_pass(head):
                if self.source.kind == "file" and file.seekable():
                    plain = self._inferred(None)
                else:
                    self._spool(head, blocks, spool)
                    plain = self._inferred(spool)
                    self.notes += stream.notes
                    stream = Stream(spool, self.source.name, encoding="utf-8", compression="none")
                    blocks = stream.blocks()
                    head = next(blocks, b"")
                    self.size = 0
            self.notes += stream.notes
            if plain is not None:
                self.notes += plain.notes
            converter = self._converter(plain)
            self._csv, self._plain = converter if isinstance(converter, CsvConverter) else None, plain
            if self.debug is not None and isinstance(converter, CsvConverter):
                converter.mapping = self.debug.append
            yield from self._converted(converter, stream, head, blocks)

    def _stream(self, file: BinaryIO) -> Stream:
        options = self._options
        return Stream(file, self.source.name, encoding=options.encoding, compression=options.compression)

    def _converted(
        self, converter: CsvConverter | LpConverter, stream: Stream, head: bytes, blocks: Iterator[bytes]
    ) -> Iterator[Piece]:
        block = head
        broken, looked = "", False
        while True:
            try:
                following = next(blocks, None)
            except ImportFailure as error:
                # What is whole counts; the row in which the input breaks off does not.
                following, broken = None, str(error)
            piece = converter.feed(block, final=following is None and not broken)
            piece.read = stream.read
            if piece.count and not looked and not self._options.given.precise:
                self._look_at_times(piece)
            looked = looked or piece.count > 0
            if piece.failure:
                piece.failure = f"{self.source.name}: {piece.failure}"
            elif broken:
                piece.failure = broken
            yield piece
            if following is None or piece.failure:
                return
            block = following

    def _look_at_times(self, piece: Piece) -> None:
        """Times of 1970 are hardly meant."""
        first = piece.data[: piece.ends[0]].rstrip().rpartition(b" ")[2]
        if re.fullmatch(rb"[0-9]{9,16}", first):
            unit = next(name for digits, name in ((11, "s"), (14, "ms"), (17, "us")) if len(first) < digits)
            self.warnings.add(f"the first time, {int(first)}, is one of 1970; --precision {unit} takes times as {unit}")

    def _format(self, head: bytes) -> Format:
        options = self._options
        suffixes = self.source.suffixes
        if suffixes[-1:] == [".gz"]:
            suffixes = suffixes[:-1]
        if options.given.measurement and (options.format == "lp" or (not options.format and suffixes[-1:] == [".lp"])):
            raise ImportFailure(
                f"cannot give {self.source.name} a measurement: line protocol has one in each line; leave --measurement out, "
                "or add --format csv if it is CSV"
            )
        if options.format:
            return options.format
        if suffixes[-1:] in ([".csv"], [".tsv"]) or options.csv.headers:
            return "csv"
        if head[:4].lower() == b"sep=" or head.lower().startswith((b"#datatype", b"#group", b"#constant", b"#default")):
            return "csv"
        given = options.given
        asked = given.measurement or given.time or given.tags or given.types or given.form or given.decimal
        if asked:
            return "csv"
        # Every line of line protocol has a sign of equality.
        first = b"\n".join(
            [line for line in head.split(b"\n", 20)[:20] if line.strip() and not line.startswith((b"#", b'"# '))][:2]
        )
        return "csv" if suffixes[-1:] != [".lp"] and b"=" not in first and re.search(rb"[,;\t]", first) else "lp"

    def _first_lines(self, head: bytes) -> list[str]:
        options = self._options.csv
        lines = head[: 1 << 18].decode("utf-8", "surrogateescape").splitlines()[options.skip :][:_HEAD_LINES]
        return [*options.headers, *lines]

    def _needs_first_pass(self, head: bytes) -> bool:
        lines = self._first_lines(head)
        rest = [line for line in lines if line[:4].lower() != "sep="]
        return is_plain(rest, self._options.given.separator or separator_of(lines))

    def _inferred(self, spool: BinaryIO | None) -> Plain:
        options = self._options
        measurement = options.given.measurement or self.source.stem
        if not measurement:
            raise ImportFailure(f"{self.source.name}: it has no annotations and no name of a file; add --measurement")

        headers = [f"{line}\n" for line in options.csv.headers]
        named = any(not line.startswith("#") and line[:4].lower() != "sep=" for line in options.csv.headers)
        longest = options.csv.most_held
        csv.field_size_limit(longest + 2 * BLOCK)
        try:
            if spool is not None:
                spool.seek(0)
                rest = _lines(_spool_blocks(spool), options.csv.skip, longest)
                plain = infer(chain(headers, rest), options.given, measurement, named=named)
            else:
                with self.source.opened() as (file, _):
                    rest = _lines(self._stream(file).blocks(), options.csv.skip, longest)
                    plain = infer(chain(headers, rest), options.given, measurement, named=named)
        except ImportFailure as error:
            raise ImportFailure(_with_name(str(error), self.source.name)) from None
        if spool is not None:
            spool.seek(0)
        return plain

    def _converter(self, plain: Plain | None) -> CsvConverter | LpConverter:
        options = self._options
        start = None if options.dry else options.start
        if not self.is_csv:
            return LpConverter(
                precision="ns" if options.dry else options.precision,
                start=start,
                headers=options.csv.headers,
                skip=options.csv.skip,
                longest=options.csv.longest,
                most_held=options.csv.most_held,
                warnings=self.warnings,
            )
        settings = replace(
            options.csv,
            start=start,
            unit=options.unit if options.dry else 1,
            settings=replace(options.csv.settings, unit=options.unit, measurement=options.given.measurement),
        )
        try:
            return CsvConverter(settings, self.warnings, plain)
        except ValueError as error:
            raise ImportFailure(str(error)) from None

    def _spool(self, head: bytes, blocks: Iterator[bytes], spool: BinaryIO) -> None:
        """Keep all of it on disk, as it has to be read twice."""
        try:
            spool.write(head)
            for block in blocks:
                spool.write(block)
        except OSError as error:
            raise ImportFailure(
                f"cannot keep {self.source.name} in {tempfile.gettempdir()}: {(error.strerror or str(error)).lower()}; "
                "without annotations it has to be read twice: make room, or set TMPDIR"
            ) from None


def _spool_blocks(spool: BinaryIO) -> Iterator[bytes]:
    while block := spool.read(1 << 20):
        yield block


def _lines(blocks: Iterator[bytes], skip: int, longest: int) -> Iterator[str]:
    """Lines with their ends. Ends at one of more than `longest` bytes, which the second pass tells."""
    return islice(chain.from_iterable(_lines_of_blocks(blocks, longest)), skip, None)


def _lines_of_blocks(blocks: Iterator[bytes], longest: int) -> Iterator[Iterable[str]]:
    rest = b""
    for block in blocks:
        if len(rest) > longest:
            return
        whole, line_break, rest = (rest + block).rpartition(b"\n")
        if line_break:
            yield StringIO(whole.decode("utf-8", "surrogateescape") + "\n", newline="\n")
    if rest:
        yield [rest.decode("utf-8", "surrogateescape")]


def _with_name(text: str, name: str) -> str:
    return text if text.startswith((name, "cannot ")) else f"{name}: {text}"
