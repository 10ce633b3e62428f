from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

class Kind(IntEnum):
    odd = 0
    string = 1
    real = 2
    integer = 3
    unsigned_integer = 4
    boolean = 5

class Clock(IntEnum):
    none = 0
    number = 1
    number_or_rfc3339 = 2
    rfc3339 = 3
    year_first = 4
    day_first = 5
    month_first = 6

class Rows:
    def __init__(self, plan: Mapping[str, Any], hours: Callable[[int], int | None]) -> None: ...
    def run(
        self, text: bytes, position: int, final: bool, base: int, points: int
    ) -> tuple[int, bytes, bytes, bytes, int]: ...
