"""Native readers and writers for plugins, where they were built. Each leaves what it does not know to its reference."""

from pyagent.kit.native._exposition import read_exposition
from pyagent.kit.native._records import (
    find_open,
    read_objects,
    read_pairs,
    read_rows,
    write_objects,
    write_packs,
    write_rows,
)
from pyagent.kit.native._sums import add_sums

__all__ = [
    "add_sums",
    "find_open",
    "read_exposition",
    "read_objects",
    "read_pairs",
    "read_rows",
    "write_objects",
    "write_packs",
    "write_rows",
]
