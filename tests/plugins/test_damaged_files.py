"""Whatever happens to a file that an input reads, or to what a program prints for it: an error that names it, and no number that
is wrong. Every planted file of every case of an input is damaged (`tests/support/damaged_files.py`); with PYAGENT_LONG_FAULTS=1,
as in `make faults`, in some hundred ways each.
"""

import os
import random
from pathlib import Path

import pytest
from damaged_files import can_be_damaged, cut, damageable, damages, problems_of_damage

from pyagent.testing.cases import Case, find_cases

EACH = 300 if os.environ.get("PYAGENT_LONG_FAULTS") else 2
"""Damages of one file."""
CASES = [case for case in find_cases(Path(__file__).parent) if can_be_damaged(case)]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_damage_is_told_or_does_no_harm(case: Case, tmp_path: Path) -> None:
    draw = random.Random(f"{case} {os.environ.get('PYAGENT_SEED', '')}")
    found: list[str] = []
    async with damageable(case, tmp_path) as damaged:
        if damaged is None:
            pytest.skip("its input serves, or cannot be loaded, or there are several: no single gather tells")
        before, again = await damaged.gathered(None), await damaged.gathered(None)
        unsteady = {key for key, value in before.values.items() if again.values.get(key) != value}
        for damage in damages(case.folder, draw, EACH):
            after = await damaged.gathered(damage)
            after.values = {key: value for key, value in after.values.items() if key not in unsteady}
            found += [f"{damage}: {problem}" for problem in problems_of_damage(damage, case, before, after)]
    assert found == []


@pytest.mark.parametrize(
    ("name", "path", "places"),
    [
        ("mdstat/arrays", "proc/mdstat", (337,)),
        ("net/all", "proc/net/dev", (202, 203)),
        ("nfsclient/mount", "mountstats", (110, 111, 195, 204)),
        ("procstat/sample", "proc/12/io", (74, 76)),
        ("procstat/sample", "proc/12/limits", (210,)),
        ("wireless/plain", "proc/net/wireless", (81, 82)),
    ],
)
async def test_files_cut_where_it_once_did_harm(name: str, path: str, places: tuple[int, ...], tmp_path: Path) -> None:
    [case] = [one for one in CASES if str(one) == f"inputs/{name}"]
    data = (case.folder / path).read_bytes()
    async with damageable(case, tmp_path) as damaged:
        assert damaged is not None
        before = await damaged.gathered(None)
        for damage in (cut(path, data, place) for place in places):
            after = await damaged.gathered(damage)
            assert list(problems_of_damage(damage, case, before, after)) == []
            assert after.told, damage
