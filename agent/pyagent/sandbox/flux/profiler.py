"""The package `profiler`: how long a script took, in a result of its own behind the others."""

from time import perf_counter_ns
from typing import Final

from pyagent.sandbox.flux.tables import DOUBLE, LONG, STRING, Row, Table

OPTION: Final = "profiler.enabledProfilers"
RESULT: Final = "_profiler"

_QUERY: Final = (
    "TotalDuration", "CompileDuration", "QueueDuration", "PlanDuration", "RequeueDuration", "ExecuteDuration", "Concurrency",
    "MaxAllocated", "TotalAllocated",
)  # fmt: skip
_OPERATOR: Final = {
    "Type": STRING, "Label": STRING, "Count": LONG, "MinDuration": LONG, "MaxDuration": LONG, "DurationSum": LONG,
    "MeanDuration": DOUBLE,
}  # fmt: skip


class Profile:
    """Measures one run, in ns. Allocations are not counted here, and are 0."""

    def __init__(self) -> None:
        self._start = self._last = perf_counter_ns()
        self._compiled = 0
        self._made: list[tuple[str, int]] = []

    def compiled(self) -> None:
        self._compiled = self._lap()

    def made(self, result: str) -> None:
        self._made.append((result, self._lap()))

    def _lap(self) -> int:
        before, self._last = self._last, perf_counter_ns()
        return self._last - before

    def tables(self, enabled: object) -> list[Table]:
        """The tables of the profilers that are named; others are passed over, as InfluxDB does."""
        known = {"query": self._query, "operator": self._operator}
        names = dict.fromkeys(name for name in enabled if name in known) if isinstance(enabled, list) else {}
        return [known[name]() for name in names]

    def _query(self) -> Table:
        total = self._last - self._start
        row: Row = dict.fromkeys(_QUERY, 0)
        row |= {"TotalDuration": total, "CompileDuration": self._compiled, "ExecuteDuration": total - self._compiled}
        row["RuntimeErrors"] = ""
        return _table("profiler/query", {**dict.fromkeys(_QUERY, LONG), "RuntimeErrors": STRING}, [row])

    def _operator(self) -> Table:
        """A row for each result: a script's functions are not measured one by one."""
        rows: list[Row] = [
            {
                "Type": "result", "Label": name, "Count": 1, "MinDuration": ns, "MaxDuration": ns, "DurationSum": ns,
                "MeanDuration": float(ns),
            }
            for name, ns in self._made
        ]  # fmt: skip
        return _table("profiler/operator", _OPERATOR, rows)


def _table(measurement: str, types: dict[str, str], rows: list[Row]) -> Table:
    data = {"_measurement": [measurement] * len(rows), **{name: [row[name] for row in rows] for name in types}}
    return Table({"_measurement": measurement}, {"_measurement": STRING, **types}, data, len(rows))
