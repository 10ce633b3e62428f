"""How line protocol is written and read."""

from typing import Literal

__all__ = ["CompressionName", "LineOptions", "PrecisionName"]

CompressionName = Literal["gzip", "identity"]
PrecisionName = Literal["ns", "us", "ms", "s"]


class LineOptions:
    """How an output wants its line protocol (reference: telegraf 7)."""

    __slots__ = ("max_line_bytes", "omit_timestamp", "sort_fields", "uint_support")

    def __init__(
        self,
        *,
        uint_support: bool = False,
        sort_fields: bool = False,
        omit_timestamp: bool = False,
        max_line_bytes: int = 0,
    ) -> None:
        self.uint_support = uint_support
        self.sort_fields = sort_fields
        self.omit_timestamp = omit_timestamp
        self.max_line_bytes = max_line_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LineOptions) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash((self.uint_support, self.sort_fields, self.omit_timestamp, self.max_line_bytes))
