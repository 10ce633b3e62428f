"""`pyagent status`: what it prints of what an agent says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from commands import Done

from pyagent.cli import status

Run = Callable[..., Done]

MEM = {"name": "inputs.mem", "metrics": 1234, "duration_seconds": 0.001, "failures": 0, "overruns": 0}
DOCUMENT: dict[str, Any] = {
    "version": "1",
    "instance": "ram",
    "pid": 7,
    "resident_bytes": 45_800_000,
    "uptime_seconds": 60,
    "configuration": {"sources": ["a.conf"], "age_seconds": 60, "from_cache": False},
    "inputs": [{**MEM, "age_seconds": 2.0, "dropped": {"unusable metric": 1200, "unusable field": 1}}],
    "outputs": [],
    "quarantine": {"metrics": 3},
    "problems": ["outputs.x: it says \x1b[2J"],
}


@pytest.mark.parametrize("colours", [False, True])
def test_what_it_prints(pyagent: Run, colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ask", lambda *_, **__: DOCUMENT)
    for name in ("NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1" if colours else "")
    done = pyagent("status")
    assert (done.status, done.err) == (2, "")
    bold, yellow, red, end = ("\x1b[1m", "\x1b[33m", "\x1b[31m", "\x1b[0m") if colours else [""] * 4
    lines = done.out.splitlines()
    assert lines[0] == "pyagent 1, instance ram, process 7, up 1 min, memory 45.8 MB"
    assert lines[3:5] == [
        f"{bold}input       metrics     last     took  failures  late{end}",
        "inputs.mem    1,234  2 s ago  1.00 ms         0     0",
    ]
    assert "inputs.mem dropped: 1,200: unusable metric; 1: unusable field" in lines
    assert f"{yellow}quarantine: 3 metrics refused for good; see: pyagent quarantine list --instance ram{end}" in lines
    assert lines[-1] == rf"{red}problem: outputs.x: it says \x1b[2J{end}"


@pytest.mark.parametrize("flags", [[], ["--origins"], ["--json"]])
def test_what_inputs_run_of_others_is_a_few_lines_unless_all_is_asked_for(
    pyagent: Run, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = [f"p{number}: /usr/share/munin/plugins/p{number}" for number in range(50)]
    munin = {**MEM, "name": "inputs.munin", "age_seconds": 2.0, "origins": origins}
    monkeypatch.setattr(status, "ask", lambda *_, **__: DOCUMENT | {"inputs": [munin]})
    done = pyagent("status", *flags)
    if flags == ["--json"]:
        assert json.loads(done.out)["inputs"][0]["origins"] == origins
        return
    lines = done.out.splitlines()
    begin = lines.index("inputs.munin runs what others wrote:")
    if flags:
        assert lines[begin + 1 : begin + 52] == [*(f"  {origin}" for origin in origins), ""]
    else:
        assert lines[begin + 1 : begin + 6] == [
            *(f"  {origin}" for origin in origins[:3]),
            "  and 47 more; see: pyagent status --origins --instance ram",
            "",
        ]
