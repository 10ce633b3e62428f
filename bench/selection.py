"""What do a plugin's filters cost a metric?

COUNT metrics of 50 measurements go through the filters of a plugin, as one batch. Half of them pass, by name, tag or
expression; a metric has 5 tags and 8 fields. Names are new texts in every round, as a parser makes them. What is told is the
cost of each metric that comes in, whether it passes or not. Then the same for names never seen before, and what it takes to
make an expression ready.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from itertools import count, cycle, islice

from _common import COUNT, measure, metrics
from _report import Row, print_report, versions
from pyagent.api import Metric
from pyagent.config.plan import FilterOptions
from pyagent.pipeline.filters import compile_selection

ROUNDS, NAMES = 25, 50
HALF = range(NAMES // 2)
GOALS = {"exact names": 0.25, "globs of names": 0.5}

FILTERS = {
    "exact names": FilterOptions(namepass=tuple(f"measurement_{number}_total" for number in HALF)),
    "globs of names": FilterOptions(namepass=tuple(f"measurement_{number}*_total" for number in HALF)),
    "globs of names, passed and dropped": FilterOptions(
        namepass=("measurement_*",), namedrop=("*_[13579]_total", "x*")
    ),
    "exact tags": FilterOptions(tagpass={"half": ("first",)}),
    "globs of tags": FilterOptions(tagpass={"host": ("*[02468]",)}),
    "fields and tags taken away, exact": FilterOptions(fieldexclude=("state",), tagexclude=("rack",)),
    "fields and tags kept by globs": FilterOptions(fieldinclude=("usage_*",), taginclude=("h*",)),
    "expression: name == TEXT": FilterOptions(metricpass='name == "measurement_1_total"'),
    "expression: a field, if it is there": FilterOptions(metricpass='"load" in fields && fields.load > 5.0'),
    "expression: regular expression": FilterOptions(metricpass='name.matches("^measurement_[0-9]_total$")'),
    "expression: time": FilterOptions(metricpass='time >= timestamp("2023-04-25T00:00:00Z") - duration("24h")'),
    "expression: any field above 20": FilterOptions(
        metricpass="fields.exists(f, type(fields[f]) in [int, uint, double] && fields[f] > 20.0)"
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of all subjects (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    batch = marked()
    numbers = count(NAMES)
    subjects: dict[str, Callable[[], object]] = {}
    prepare: dict[str, Callable[[], object]] = {}
    for name, filters in FILTERS.items():
        selection = compile_selection(filters)
        assert selection is not None
        subjects[name] = lambda apply=selection.apply: apply(batch)
        prepare[name] = lambda: rename(batch, range(NAMES))
    new = "globs of names, never seen before"
    subjects[new] = subjects["globs of names"]
    prepare[new] = lambda: rename(batch, islice(numbers, COUNT))

    times = measure(subjects, given.rounds, COUNT, prepare)
    rows = [Row.of(f"filter a metric: {name}", "µs", values, goal=GOALS.get(name)) for name, values in times.items()]

    ready = {"ready": lambda: compile_selection(FILTERS["expression: any field above 20"])}
    rows.append(
        Row.of("make an expression ready", "ms", [us / 1000 for us in measure(ready, given.rounds, 1)["ready"]])
    )
    return print_report("What do a plugin's filters cost a metric?", rows, versions(), as_json=given.json)


def marked() -> list[Metric]:
    return [
        Metric(one.name, {**one.tags, "half": "first" if number % NAMES in HALF else "second"}, one.fields, one.time)
        for number, one in enumerate(metrics())
    ]


def rename(batch: list[Metric], numbers: Iterable[int]) -> None:
    """Names of measurements in turn, each a text of its own."""
    for metric, number in zip(batch, cycle(numbers)):
        metric.name = f"measurement_{number}_total"


if __name__ == "__main__":
    sys.exit(main())
