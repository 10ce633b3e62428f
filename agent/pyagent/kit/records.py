"""Native functions for plugins, where they were built, unless PYAGENT_NATIVE=0; else None.

The readers of CSV, logfmt and JSON read the usual data, and give None for data with anything else in them, faults too: the
parser of the format, which is the reference, then reads them from the start. The writers ask the serializer about a metric
that is out of the ordinary. `add_sums` is for basicstats. So the answers are the same.
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyagent.api.metric import Metric

    Reader = Callable[..., list[Metric] | None]
    Writer = Callable[..., bytes]
    Adder = Callable[..., None]

__all__ = ["add_sums", "read_objects", "read_pairs", "read_rows", "write_objects", "write_packs", "write_rows"]

add_sums: "Adder | None" = None
read_objects: "Reader | None" = None
read_pairs: "Reader | None" = None
read_rows: "Reader | None" = None
write_objects: "Writer | None" = None
write_packs: "Writer | None" = None
write_rows: "Writer | None" = None
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.kit.native import (
            add_sums,
            read_objects,
            read_pairs,
            read_rows,
            write_objects,
            write_packs,
            write_rows,
        )
