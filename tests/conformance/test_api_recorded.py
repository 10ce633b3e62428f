"""Requests to the API, one after another, beside what InfluxDB 2.9.1 answered.

`compare_api.py` of the recordings' tools sends all of them, as later ones need what earlier ones made; every second answer is compared.
"""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyagent.sandbox import Sandbox

DIFFERENT: dict[int, str] = {
    295: "the syntax tree of a script in JSON (query/ast) is not there",
    296: "the list of Flux's functions with their parameters (query/suggestions) is not there",
    297: "the same, of one function",
    432: "InfluxDB's handler goes on after its answer and fails, and both texts are sent",
    515: "the words between the keys of a generated configuration are our own",
    516: "a list that holds that configuration",
    517: "a list that holds that configuration",
    519: "a list that holds that configuration",
}
"""All that this server answers otherwise, by the request's number in the recording."""

HEADERS = ("Content-Type", "X-Platform-Error-Code", "Location", "Retry-After")


async def replay(shared: Path, answers: Path) -> None:
    async with Sandbox() as server:
        command = [sys.executable, shared / "tools" / "compare_api.py", server.url, "--record", answers]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=100, check=False
        )
        assert not done.stderr


def compared(answer: dict[str, Any]) -> tuple[Any, ...]:
    # The tool leaves a token that happens to begin with `-` as it is.
    answer = {**answer, "body": re.sub(r'"[\w-]{86}=="', '"<TOKEN>"', answer.get("body", ""))}
    headers = [answer.get("headers", {}).get(name) for name in HEADERS]
    return (answer.get("status"), re.sub(r"v2\.\d+\.\d+[-\w]*", "<VERSION>", answer.get("body", "")), *headers)


def test_answers(shared: Path, tmp_path: Path) -> None:
    recording = shared / "golden" / "influxd" / "requests.json"
    if not recording.is_file():
        pytest.skip("the recorded requests to the API (golden/influxd/requests.json) are not there")
    asyncio.run(replay(shared, tmp_path / "answers.json"))
    wanted, got = json.loads(recording.read_text()), json.loads((tmp_path / "answers.json").read_text())
    assert len(got) == len(wanted)
    different = {
        number: got[number]["req"]
        for number, answer in enumerate(wanted)
        if number % 2 == 0 and not answer.get("skip") and compared(answer) != compared(got[number])
    }
    assert different.keys() == {number for number in DIFFERENT if number % 2 == 0}, different
