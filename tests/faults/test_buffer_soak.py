"""The buffer's model, driven far longer than in the unit tests: thousands of lives of a disk that fails and forgets."""

import os
import random
from typing import Any

from queue_machine import Machine

LONG = os.environ.get("PYAGENT_LONG_FAULTS") == "1"
LIVES, STEPS = (20_000 if LONG else 400), 60
OFTEN = ["enqueue", "enqueue_pinned", "flush_to_log", "next_batch", "deliver", "commit", "complete"]
SELDOM = [*OFTEN, "break_disk", "mend_disk", "mend_disk", "crash", "crash_within"]
CALLS = ["write", "sync", "create", "sync_directory", "truncate"]


def arguments(name: str, choice: random.Random) -> dict[str, Any]:
    match name:
        case "enqueue" | "enqueue_pinned":
            return {"count": choice.randint(1, 20)}
        case "next_batch":
            return {"most": choice.randint(1, 12)}
        case "deliver":
            return {"which": choice.randint(0, 2)}
        case "complete":
            return {"which": choice.randint(0, 2), "start": choice.randint(0, 6), "stop": choice.randint(0, 12)}
        case "break_disk":
            return {"names": {call for call in CALLS if choice.random() < 0.3}, "left": choice.randint(0, 3)}
        case "crash":
            return {"seed": choice.randint(0, 2**32), "power": choice.random() < 0.5}
        case "crash_within":
            what = choice.choice(["flush_to_log", "flush_to_log", "commit"])
            return {"calls": choice.randint(0, 6), "what": what} | arguments("crash", choice)
    return {}


def live(seed: int) -> Machine:
    choice = random.Random(seed)
    machine = Machine()
    for _ in range(STEPS):
        name = choice.choice(SELDOM if choice.random() < 0.3 else OFTEN)
        if name in ("complete", "deliver") and not machine.batches:
            continue
        getattr(machine, name)(**arguments(name, choice))
        machine.sums_are_right()
    machine.teardown()
    return machine


def test_no_life_of_a_disk_loses_what_it_was_given() -> None:
    restored = dropped = delivered = 0
    for seed in range(LIVES):
        try:
            machine = live(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        restored += machine.queue.restored
        dropped += machine.queue.dropped
        delivered += len(machine.delivered)
    # It has met what it is about.
    assert restored > LIVES
    assert dropped > LIVES / 10
    assert delivered > LIVES
