"""How a CSV file is read."""

from dataclasses import dataclass, field
from datetime import UTC

from pyagent.importer.columns import Settings
from pyagent.kit.timestamps import Zone

__all__ = ["CsvOptions"]


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """`headers`: lines that stand before those of the file. `skip`: lines of the file to pass over. `separator`: empty takes
    what the file says, else the comma. `start`: ns since the epoch, for rows without a time, each a nanosecond later; None
    leaves such rows without one. `unit`: ns of one unit of the times that are written. `longest`: bytes of a row, 0 for any.
    """

    headers: tuple[str, ...] = ()
    skip: int = 0
    separator: bytes = b""
    start: int | None = None
    unit: int = 1
    longest: int = 0
    most_held: int = 16_000_000
    """Bytes of a row that are waited for."""
    ignore_types_in_header: bool = False
    keep_duplicates: bool = False
    zone: Zone = UTC
    """Of times that name none, where the file does not say."""
    settings: Settings = field(default_factory=Settings)
