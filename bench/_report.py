"""What every benchmark prints: the machine, the versions, and one table of medians with their spread and limits."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from pyagent import __version__

__all__ = ["Row", "machine", "print_report", "print_rows", "versions"]


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    unit: str
    median: float
    low: float
    high: float
    runs: int
    limit: float | None = None
    """At most this."""
    goal: float | None = None
    beside: str = ""
    """What another program needs for the same, and where that figure is from."""

    @classmethod
    def of(
        cls,
        what: str,
        unit: str,
        values: Sequence[float],
        *,
        limit: float | None = None,
        goal: float | None = None,
        beside: str = "",
    ) -> "Row":
        return cls(what, unit, median(values), min(values), max(values), len(values), limit, goal, beside)

    @property
    def kept(self) -> bool:
        return self.limit is None or self.median <= self.limit


def machine() -> str:
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions(*distributions: str) -> dict[str, str]:
    return {"pyagent": __version__, "python": platform.python_version()} | {
        name: metadata.version(name) for name in distributions
    }


def print_report(question: str, rows: Sequence[Row], used: Mapping[str, str], *, as_json: bool) -> int:
    """Print the table, or with `as_json` one JSON document as the last line; the exit status: 1 where a limit is broken."""
    if as_json:
        document = {"question": question, "machine": machine(), "versions": used, "rows": [asdict(row) for row in rows]}
        print(json.dumps(document), flush=True)
    else:
        print(question)
        print(f"machine: {machine()}")
        print("versions: " + ", ".join(f"{name} {version}" for name, version in used.items()))
        print_rows(rows)
    for row in rows:
        if not row.kept:
            print(f"over its limit: {row.what}: {row.median:.3g} {row.unit}, at most {row.limit:g}", file=sys.stderr)
    return 0 if all(row.kept for row in rows) else 1


def print_rows(rows: Sequence[Row]) -> None:
    """A table in Markdown, for the README to copy."""
    cells = [("", "median", "spread", "runs", "limit", "goal", "beside")]
    for row in rows:
        spread = f"{_figure(row.low)} to {_figure(row.high)}"
        limit, goal = ("" if value is None else f"{value:g}" for value in (row.limit, row.goal))
        cells.append((row.what, f"{_figure(row.median)} {row.unit}", spread, str(row.runs), limit, goal, row.beside))
    used = [column for column in zip(*cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in used]
    lines = [" | ".join(map(str.ljust, line, widths)) for line in zip(*used, strict=True)]
    lines.insert(1, " | ".join("-" * width for width in widths))
    print("\n".join(f"| {line} |" for line in lines), flush=True)


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
