from collections.abc import Callable, Mapping
from typing import Any

class Rows:
    def __init__(self, plan: Mapping[str, Any], hours: Callable[[int], int | None]) -> None: ...
    def run(
        self, text: bytes, position: int, final: bool, base: int, points: int
    ) -> tuple[int, bytes, bytes, bytes, int]: ...
