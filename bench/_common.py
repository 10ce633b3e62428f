"""The metric that both benchmarks of line protocol are about, and taking turns in measuring."""

import random
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

from pyagent.api import Metric

__all__ = ["COUNT", "TELEGRAF", "lines_of", "measure", "metrics", "optional"]

COUNT = 1000
TURN = 0.02
TELEGRAF = "Telegraf 1.40 {} µs (taken in another run)"


def metrics(count: int = COUNT, *, first: int = 0, seed: int = 1) -> list[Metric]:
    """`count` metrics of as many series, the first of them `first`."""
    draw = random.Random(seed)
    return [
        Metric(
            "cpu_load",
            {"host": f"server{number:07d}", "region": "eu-west-1", "rack": "r17", "zone": "a"},
            {
                "usage_user": draw.random() * 100,
                "usage_system": draw.random() * 100,
                "usage_idle": draw.random() * 100,
                "load": draw.random() * 10,
                "procs": draw.randrange(1000),
                "ctx": draw.randrange(10**9),
                "mem": draw.randrange(10**11),
                "state": "running ok",
            },
            1_700_000_000_000_000_000 + number,
        )
        for number in range(first, first + count)
    ]


def lines_of(data: bytes) -> list[str]:
    return data.decode().splitlines()


def optional(name: str) -> ModuleType | None:
    """A peer's module, None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError:
        return None


def measure(
    subjects: Mapping[str, Callable[[], object]],
    rounds: int,
    count: int,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, list[float]]:
    """µs per metric of every subject and round, where one call of a subject handles `count` metrics.

    The subjects take turns, so that all meet the same weather; a turn is as many calls as TURN seconds hold, after one
    that brings code and data near. What `prepare` has for a subject is called before each of its calls and not measured.
    """
    preparations = prepare or {}

    def seconds(name: str, calls: int) -> float:
        ready, run, taken = preparations.get(name), subjects[name], 0.0
        for _ in range(calls):
            if ready:
                ready()
            start = time.perf_counter()
            run()
            taken += time.perf_counter() - start
        return taken

    times: dict[str, list[float]] = {name: [] for name in subjects}
    calls = {name: max(1, int(TURN / (seconds(name, 2) / 2))) for name in subjects}
    for _ in range(rounds):
        for name in subjects:
            seconds(name, 1)
            times[name].append(seconds(name, calls[name]) / calls[name] / count * 1e6)
    return times
