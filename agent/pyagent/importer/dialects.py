"""CSV without annotations: what its columns are was found out before (`inference`), or given."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyagent.importer.annotations import Column, Table
from pyagent.importer.columns import Cell, Line, Rows, Settings
from pyagent.importer.pieces import Failure
from pyagent.importer.times import Reader, reader_of
from pyagent.importer.values import converter_of
from pyagent.lineprotocol.text import field_key, from_bytes, measurement, tag_text, to_bytes

__all__ = ["QUERY", "TABLE", "V1", "Plain"]

TABLE, QUERY, V1 = "a table", "the result of a query", "the CSV of InfluxDB 1"


@dataclass(slots=True)
class Plain:
    """`columns`: of a TABLE, in the order of its header; `extras`: in no row. `types`: of values, by the field's name
    (QUERY), or by measurement and field's name (V1). `notes`: what was found, for a person."""

    dialect: str
    separator: bytes
    settings: Settings
    columns: list[Column] = field(default_factory=list)
    extras: list[Column] = field(default_factory=list)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    descending: bool = False
    """The last time is before the first one."""

    def is_header(self, cells: Sequence[bytes]) -> bool:
        """Whether a row is the header of another table."""
        if self.dialect == V1:
            return cells[:3] == [b"name", b"tags", b"time"]
        return self.dialect == QUERY and {b"_measurement", b"_field", b"_value"} <= set(cells)

    def take(self, cells: list[str], table: Table) -> bool:
        """Read the header; False for a row of data."""
        if self.dialect == TABLE:
            if not table.reading:
                table.reading, table.columns, table.extras = True, self.columns, self.extras
                table.header = cells
                return True
            return cells == table.header
        raw = [to_bytes(cell) for cell in cells]
        if table.reading and not self.is_header(raw):
            return False
        table.reading, table.columns, table.annotated, table.header = False, [], 0, []
        return table.take(cells)

    def rows(self, table: Table, warn: Callable[[str], None]) -> Rows:
        if self.dialect == V1:
            return V1Rows(table, self.settings, warn, self.types)
        kinds = set(self.types.values())
        if self.dialect == QUERY and len(kinds) == 1:
            for column in table.columns:
                if column.label == "_value":
                    (column.kind,) = kinds
        rows = Rows(table, self.settings, warn)
        if self.dialect == TABLE:
            rows.twice.by_order(descending=self.descending)
        if self.dialect == QUERY and len(kinds) > 1:
            rows.set_field_types({name: kind for (_, name), kind in self.types.items()})
        return rows


_TAG = re.compile(r"((?:\\.|[^=\\])+)=(.*)", re.DOTALL)


class V1Rows(Rows):
    """Rows of `name,tags,time,FIELD...`."""

    def __init__(
        self, table: Table, settings: Settings, warn: Callable[[str], None], types: dict[tuple[str, str], str]
    ) -> None:
        super().__init__(table, settings, warn)
        labels = [column.label for column in table.columns]
        self.measurement = Cell(table.columns[0], 0)
        self.time = Cell(table.columns[2], 2)
        self.tags, self.fields = [], []
        self.read_time: Reader = reader_of("", table.zone, settings.unit)
        self._of_measurement = {key: converter_of(kind, "", missing_words=False) for key, kind in types.items()}
        self._keys = [(index, label, to_bytes(field_key(label))) for index, label in enumerate(labels) if index > 2]

    @property
    def is_plain(self) -> bool:
        return False

    def line(self, cells: Sequence[bytes]) -> Line | None:
        name = from_bytes(cells[0])
        head = [to_bytes(measurement(name))]
        if not head[0]:
            raise Failure("no measurement is given", 0, "name")
        for key, value in sorted(_tags_of(from_bytes(cells[1])).items(), key=lambda tag: to_bytes(tag[0])):
            if value and key:
                head.append(to_bytes(f"{tag_text(key)}={tag_text(value)}"))
        fields = []
        for index, label, written in self._keys:
            if index < len(cells) and cells[index] and written:
                try:
                    fields.append(b"%b=%b" % (written, self._of_measurement[name, label](cells[index])))
                except ValueError as error:
                    raise Failure(str(error), index, label) from None
        if not fields:
            return None
        return Line(b",".join(head), b",".join(fields), self._time_of(cells, b""))


def _tags_of(text: str) -> dict[str, str]:
    """`host=a,region=eu`. A part without `=` belongs to the value before it, which has a comma."""
    found: dict[str, str] = {}
    last = ""
    for part in text.split(",") if text else ():
        if match := _TAG.fullmatch(part):
            last = match[1]
            found[last] = match[2]
        elif last:
            found[last] += f",{part}"
        else:
            raise Failure(f"{part!r} is no tag such as host=a", 1, "tags")
    return found
