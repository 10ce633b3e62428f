"""What the annotations and the header of a CSV say about its columns (the rules of InfluxDB's csv2lp)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC

from pyagent.importer.times import zone_of
from pyagent.importer.values import ALIASES
from pyagent.kit.timestamps import Zone

__all__ = ["Column", "Table"]

_COLUMN_ANNOTATIONS = {"#group": 1, "#datatype": 2, "#default": 4}
_TABLE_ANNOTATIONS = ("#constant", "#concat", "#timezone")
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_RESERVED = ("result", "table")


@dataclass(slots=True)
class Column:
    """`index`: of its cell, -1 for one that is in no row. `part`: tag, time, measurement, field, ignored, or empty. `kind`,
    `form`: the type, and what stands behind its colon. `template`: of a concatenation, pairs of plain text and the index of
    the cell behind it (-1: none). `number`: of the column, as it is told in messages."""

    index: int = -1
    label: str = ""
    part: str = ""
    kind: str = ""
    form: str = ""
    default: str = ""
    template: str = ""
    zone: Zone = UTC
    named_group: bool = False
    """A #group annotation spoke of it."""

    def set_type(self, text: str) -> None:
        """`type`, `type:format`, `type|default` or `type:format|default`."""
        text, bar, default = text.partition("|")
        if bar:
            self.default = default
        kind, colon, form = text.partition(":")
        if colon:
            self.form = form
        if kind.startswith("ignore"):
            self.part, kind = "ignored", ""
        elif kind in ("tag", "measurement", "field"):
            # `field:string` is what people write for `string`.
            self.part, kind = kind, (ALIASES.get(self.form, self.form) if kind == "field" else "")
            if self.part == "field":
                self.form = ""
        elif kind in ("dateTime", "time"):
            self.part, kind = "time", "dateTime"
        self.kind = kind


@dataclass(slots=True)
class Table:
    """The table that is being read: `columns`, and those in no row (`extras`). `reading`: its header was read."""

    warn: Callable[[str], None]
    columns: list[Column] = field(default_factory=list)
    extras: list[Column] = field(default_factory=list)
    reading: bool = False
    zone: Zone = UTC
    ignore_types_in_header: bool = False
    annotated: int = 0
    """The column annotations that were read, as bits."""
    header: list[str] = field(default_factory=list)

    def take(self, cells: list[str]) -> bool:
        """Read an annotation, a comment or the header; False for a row of data. Raises ValueError."""
        first = cells[0]
        if not first.startswith("#"):
            if self.reading:
                return False
            self._take_header(cells)
            return True
        for name, bit in _COLUMN_ANNOTATIONS.items():
            if (rest := _behind(name, first)) is not None:
                self._take_column_annotation(name, bit, [rest, *cells[1:]])
                return True
        for name in _TABLE_ANNOTATIONS:
            if (rest := _behind(name, first)) is not None:
                self._take_table_annotation(name, [rest, *cells[1:]])
                return True
        if not first.startswith("# ") and first != "#":
            self.warn(f"{first.split(' ')[0]} is no annotation that is known, the row is passed over")
        return True

    def _take_column_annotation(self, name: str, bit: int, cells: list[str]) -> None:
        if self.reading:
            self.reading, self.columns, self.extras, self.annotated = False, [], [], 0
        if not self.annotated or (bit == 1 and self.annotated & 1):
            self.columns = [Column(index) for index in range(len(cells))]
            self.annotated = bit
        self.annotated |= bit
        for column, cell in zip(self.columns, cells, strict=False):
            if name == "#default":
                column.default = cell
            elif name == "#datatype":
                column.set_type(cell)
            else:
                column.named_group = True
                if cell.endswith("true") and not column.part:
                    column.part = "tag"

    def _take_table_annotation(self, name: str, cells: list[str]) -> None:
        if name == "#timezone":
            text = next((cell for cell in cells if cell), "")
            try:
                self.zone = zone_of(text)
            except ValueError:
                raise ValueError(
                    f"cannot use the time zone {text!r}: it is unknown; write one like +0200 or Europe/Berlin"
                ) from None
            return
        column = Column()
        column.set_type(cells[0])
        behind = cells[1:]
        if not column.kind and not column.part and behind:
            column.set_type(behind[0])
            behind = behind[1:]
        column.label = behind[0] if behind else ""
        text = behind[1] if len(behind) > 1 else ""
        if name == "#concat":
            column.template = text
        elif text:
            column.default = text
        elif column.part in ("measurement", "time") and not column.default:
            column.default, column.label = column.label, f"#constant {column.part}"
        self.extras.append(column)

    def _take_header(self, cells: list[str]) -> None:
        self.reading, self.header = True, cells
        if not self.annotated:
            self.columns = [Column(index) for index in range(len(cells))]
        elif self._is_shifted(cells):
            # "#datatype,measurement,tag" where "#datatype measurement,tag" was meant.
            self.warn(
                "the annotations have a comma more than the header: the first of their cells is taken for the first column"
            )
            self.columns = self.columns[1:]
            for column in self.columns:
                column.index -= 1
        for column in self.columns:
            if column.label or column.index >= len(cells):
                continue
            column.label = cells[column.index]
            if not column.kind and not column.part and not self.ignore_types_in_header:
                label, bar, text = column.label.partition("|")
                if bar:
                    column.label = label
                    column.set_type(text)
        for column in (*self.columns, *self.extras):
            column.zone = self.zone
        self._find_tags()

    def _is_shifted(self, cells: list[str]) -> bool:
        first = self.columns[0]
        return (
            bool(cells[0]) and len(cells) == len(self.columns) - 1 and not (first.kind or first.part or first.default)
        )

    def _find_tags(self) -> None:
        """In the result of a query without #group, all columns of strings are tags that it does not name itself."""
        labels = {column.label for column in self.columns}
        if not {"_field", "_value", "_measurement"} <= labels or self.annotated & 1:
            return
        for column in self.columns:
            plain = column.label and not column.label.startswith("_") and column.label not in _RESERVED
            if plain and not column.part and column.kind in ("string", ""):
                column.part = "tag"

    @property
    def is_error(self) -> bool:
        """Its rows are what a query ended with."""
        return {column.label for column in self.columns if column.label} == {"error", "reference"}


def _behind(annotation: str, cell: str) -> str | None:
    """What follows the annotation in its cell, where it is that one."""
    if cell[: len(annotation)].lower() != annotation:
        return None
    rest = cell[len(annotation) :]
    if rest and not rest.startswith(" "):
        return None
    return rest.strip()


def references(template: str) -> list[str]:
    """The labels that a concatenation's template names."""
    return _REFERENCE.findall(template)
