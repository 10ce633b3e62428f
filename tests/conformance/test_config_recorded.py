"""The recorded configurations: what Telegraf loads loads here and means the same, what it refuses is refused by name.

The agents are processes of their own. What differs for good is in differences.py, with the reason.
"""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from differences import DIFFERENCES, MEANT, PAGE, UNUSABLE, with_section
from forked_agents import forked_agents

from pyagent.config.registry import Registry

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent.parent / "shared"
RECORDINGS = SHARED / "golden" / "telegraf"
GROUPS = (
    "config",
    *(f"pipeline/{group}" for group in ("selection", "naming", "time", "environment", "parsers", "serializers")),
    *(f"pipeline/{group}" for group in ("processors", "aggregators", "pipeline")),
)
PARSERS = set(Registry().names("parsers"))
SERIALIZERS = set(Registry().names("serializers"))


STAGES = {kind: set(Registry().names(kind)) for kind in ("processors", "aggregators")}


def _may_run(case: Path) -> bool:
    """Cases about formats and stages that wait for their plugin are left out; two are about one that nobody has."""
    if case.parent.name in STAGES and case.name != "unknown":
        named = re.findall(
            r"^\s*\[\[?(processors|aggregators)\.(\w+)", (case / "telegraf.conf").read_text(), re.MULTILINE
        )
        return all(name in STAGES[kind] for kind, name in named)
    if case.parent.name not in ("parsers", "serializers") or case.name == "unknown_format":
        return True
    known = PARSERS if case.parent.name == "parsers" else PARSERS | SERIALIZERS
    return set(re.findall(r'data_format = "(\w+)"', (case / "telegraf.conf").read_text())) <= known


FOUND = [path.parent for group in GROUPS for path in sorted(RECORDINGS.glob(f"{group}/*/exit"))]
CASES = {case.name: case for case in FOUND if _may_run(case)}

WAITING = {
    # What needs a plugin that is not there yet; what differs for good is in differences.py.
}
EXCEPTIONS = WAITING | UNUSABLE | {name: reason for name, reason in MEANT.items() if name in CASES}


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str | None]:
    """Each case's first difference from its recording, None where there is none."""
    folder = tmp_path_factory.mktemp("cases")
    sys.path.insert(0, str(SHARED / "tools"))
    try:
        import compare_config
        import compare_pipeline
    finally:
        sys.path.pop(0)

    def difference(command: Sequence[str], case: Path) -> str | None:
        tool = compare_config if case.parent.name == "config" else compare_pipeline
        # Some write beside their configuration, where not everybody may.
        copied = shutil.copytree(case, folder / case.name, symlinks=True)
        for path in (copied, *filter(Path.is_dir, copied.rglob("*"))):
            path.chmod(0o755)
        return tool.difference(command, copied)

    with forked_agents() as command, ThreadPoolExecutor(6) as pool:  # many cases mostly wait
        return dict(zip(CASES, pool.map(partial(difference, command), CASES.values()), strict=True))


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {RECORDINGS} is not there")
@pytest.mark.parametrize("name", CASES or ["none"])
def test_recorded_case(name: str, differences: Mapping[str, str | None]) -> None:
    if name in EXCEPTIONS:
        assert differences[name], f"{name} agrees now: remove it from the exceptions"
    else:
        assert differences[name] is None


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {RECORDINGS} is not there")
def test_every_exception_is_a_recorded_case() -> None:
    assert EXCEPTIONS.keys() <= CASES.keys()
    command_lines = {path.stem for path in (RECORDINGS / "cli").glob("*.txt")}
    assert {name for name in MEANT if "/" not in name} <= CASES.keys() | command_lines


def test_the_page_of_differences_is_in_step() -> None:
    page = PAGE.read_text()
    assert page == with_section(page), "run: python tests/conformance/differences.py"
    assert len(MEANT) == sum(len(difference.cases) for difference in DIFFERENCES), "a case is in two of them"
