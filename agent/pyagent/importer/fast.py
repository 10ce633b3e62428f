"""The native reader of rows, where it was built and the table is of a kind that it knows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyagent.importer.columns import Rows
    from pyagent.importer.csv_lines import CsvOptions
    from pyagent.importer.pieces import Piece

__all__ = ["FastRows", "fast_rows"]


class FastRows:
    """`points`: lines made so far, over all blocks."""

    points: int = 0

    def run(self, text: bytes, position: int, piece: "Piece", size: int, points: int) -> tuple[int, bytes]:
        raise NotImplementedError


def fast_rows(rows: "Rows", separator: bytes, options: "CsvOptions", *, strict_width: bool) -> FastRows | None:
    return None
