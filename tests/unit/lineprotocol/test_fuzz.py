"""The fuzz target itself: its seeds, and as many mutations as a unit test may take."""

import random
from itertools import islice
from types import ModuleType

from fuzz_line_protocol import SEEDS, check, mutations


def test_seeds_and_some_mutations(native: ModuleType) -> None:
    seeds = len(list(SEEDS.iterdir()))
    assert seeds >= 8
    for data in islice(mutations(random.Random(1)), seeds + 1000):
        check(native, data)
