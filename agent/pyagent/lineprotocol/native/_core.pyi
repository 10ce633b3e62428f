from collections.abc import Mapping, Sequence
from typing import Any

from pyagent.api.line_options import LineOptions
from pyagent.api.metric import Metric
from pyagent.lineprotocol.results import Encoded, Parsed, Precision, Relayed

def encode(
    metrics: Sequence[Metric], options: LineOptions = ..., tags: tuple[tuple[str, str], ...] = ()
) -> Encoded: ...
def plain_metric(
    name: Any, fields: Any, tags: Any, time: Any, kind: Any, pins: dict[str, dict[str, type]]
) -> Metric | None: ...
def round_times(metrics: list[Metric], precision: int) -> None: ...
def add_tags(metrics: list[Metric], tags: tuple[tuple[str, str], ...]) -> None: ...
def parse(
    data: bytes | str, default_time: int, precision: Precision = "ns", *, apart: bool = False, most: int = 0
) -> Parsed: ...
def relay(
    data: bytes | str,
    default_time: int,
    precision: Precision = "ns",
    options: LineOptions = ...,
    *,
    tags: Mapping[str, str] | None = None,
    round_to: int = 1,
    apart: bool = False,
    most: int = 0,
) -> Relayed: ...
def pack(metrics: Sequence[Metric]) -> Encoded: ...
def unpack(data: bytes) -> list[Metric]: ...
