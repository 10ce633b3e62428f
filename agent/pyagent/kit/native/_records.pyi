from collections.abc import Callable, Iterable
from typing import Any

from pyagent.api.metric import FieldValue, Metric

def read_rows(
    data: bytes,
    *,
    delimiter: int,
    skipped: int,
    names: list[str],
    columns: list[int],
    missing: list[bytes],
    before: dict[str, str],
    behind: dict[str, str],
    measurement: str,
    measurement_column: str | None,
    guess: Callable[[str], FieldValue],
    typed: Callable[[tuple[str, str, int]], FieldValue],
    time: Callable[[str], int],
    unit: int,
    timed: bool,
    now: Callable[[], int],
    named: Callable[[Any], str],
) -> list[Metric] | None: ...
def read_pairs(
    data: bytes,
    measurement: str,
    tags: dict[str, str],
    role_of: Callable[[str], int],
    guess: Callable[[str], FieldValue],
    unquoted: Callable[[str], str],
    now: Callable[[], int],
) -> list[Metric] | None: ...
def read_objects(
    data: bytes,
    measurement: str,
    tags: dict[str, str],
    role_of: Callable[[str], int],
    text_of: Callable[[bytes], str],
    number_text: Callable[[float], str],
    time_of: Callable[[Any], int] | None,
    now: int,
) -> list[Metric] | None: ...
def write_objects(metrics: Iterable[Metric], unit: int, object_of: Callable[[Metric], bytes]) -> bytes: ...
def write_rows(metrics: Iterable[Metric], unit: int, separator: int, row_of: Callable[[Metric], bytes]) -> bytes: ...
def write_packs(metrics: Iterable[Metric], pack_of: Callable[[Metric], bytes]) -> bytes: ...
def find_open(lines: bytes, start: int) -> int: ...
