"""What does a metric cost on its way, from a plugin's `acc.add` to the bytes in an output's queue?

A metric has 4 tags and 8 fields (4 floats of full precision, 3 integers, 1 string), and gets a fifth tag, `host`, as in every
agent. 1,000 metrics of 1,000 series are one gather, on one core. "Declared": the plugin says of each field what type it has.
"Parsed": metrics that a parser made, handed over by `acc.add_metrics`, their times rounded to a second.
"""

import argparse
import logging
import sys
from collections.abc import Callable
from typing import Any

from _common import COUNT, measure, metrics
from _report import Row, print_report, versions
from pyagent import lineprotocol
from pyagent.api import Duration, Field, Input, Measurement, Metric, NoOptions, Output
from pyagent.config import InputPlan, OutputPlan
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.outputs.running_output import RunningOutput

ROUNDS = 25
SECOND = 10**9
LOG = logging.getLogger("bench")
LOG.disabled = True  # that the queue is full
TYPES = {float: "float", int: "int", str: "str"}


class Source(Input[NoOptions]):
    pass


class Nowhere(Output[NoOptions]):
    async def write(self, batch: object) -> None:
        pass


def plan(made: type, plugin: type, **more: object) -> Any:
    return made(name="bench", plugin=plugin, options=NoOptions(), location="bench", identity="bench", **more)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of all subjects (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    known = metrics()
    calls = [(one.name, one.fields, one.tags, one.time) for one in known]
    declared = Measurement(
        known[0].name, fields={name: Field(TYPES[type(value)]) for name, value in known[0].fields.items()}
    )
    open_, typed = InputAccumulator(), InputAccumulator([declared])
    second = Duration("1s")
    source = plan(InputPlan, Source, kind="inputs", interval=second, precision=second)
    modifiers = Modifiers(source, {"host": "here"}, log=LOG)
    nowhere = plan(
        OutputPlan, Nowhere, kind="outputs", flush_interval=second, queue_id="bench", metric_buffer_limit=COUNT
    )
    output = RunningOutput(nowhere, Nowhere(NoOptions(), LOG), log=LOG)
    fanout = Fanout([output])
    fresh: list[Metric] = []

    def renew() -> None:
        fresh[:] = [Metric(one.name, dict(one.tags), one.fields, one.time, one.kind) for one in known]

    def add(acc: InputAccumulator) -> None:
        for name, fields, tags, time in calls:
            acc.add(name, fields, tags, time)

    def hand_on(acc: InputAccumulator, precision: int) -> None:
        fanout.deliver(*modifiers.without_tags(acc.drain(), precision))
        output.queue.evict(COUNT)

    def added(acc: InputAccumulator) -> Callable[[], None]:
        def run() -> None:
            add(acc)
            hand_on(acc, 0)

        return run

    def only_added(acc: InputAccumulator) -> Callable[[], None]:
        def run() -> None:
            add(acc)
            acc.drain()

        return run

    def parsed() -> None:
        open_.add_metrics(fresh)
        hand_on(open_, SECOND)

    subjects: dict[str, Callable[[], object]] = {
        "acc.add, open": only_added(open_),
        "acc.add, declared": only_added(typed),
        "acc.add to bytes in the queue, open": added(open_),
        "acc.add to bytes in the queue, declared": added(typed),
        "parsed, to bytes in the queue": parsed,
        "of that, the encoding": lambda: lineprotocol.encode(known),
    }
    times = measure(subjects, given.rounds, COUNT, {"parsed, to bytes in the queue": renew})
    goals = {"acc.add to bytes in the queue, open": 1.5, "acc.add to bytes in the queue, declared": 1.5}
    rows = [Row.of(name, "µs", values, goal=goals.get(name)) for name, values in times.items()]
    whole, alone = sorted(times["parsed, to bytes in the queue"]), sorted(times["of that, the encoding"])
    between = [one - other for one, other in zip(whole, alone, strict=True)]
    rows.append(Row.of("parsed, between the parser and the encoder", "µs", between, goal=0.5))
    return print_report("What does a metric cost on its way?", rows, versions(), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
