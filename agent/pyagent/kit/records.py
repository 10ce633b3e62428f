"""Native readers of CSV, logfmt and JSON, and a writer of JSON, where they were built, unless PYAGENT_NATIVE=0; else None.

Each reader reads the usual data, and gives None for data with anything else in them, faults too: the parser of the format, which
is its reference, then reads them from the start. The writer asks the serializer about a metric that is out of the ordinary. So
the answers are the same.
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyagent.api.metric import Metric

    Reader = Callable[..., list[Metric] | None]
    Writer = Callable[..., bytes]

__all__ = ["read_objects", "read_pairs", "read_rows", "write_objects"]

read_objects: "Reader | None" = None
read_pairs: "Reader | None" = None
read_rows: "Reader | None" = None
write_objects: "Writer | None" = None
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.kit.native import read_objects, read_pairs, read_rows, write_objects
