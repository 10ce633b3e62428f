"""What a real InfluxDB 2.9 answered to a script of requests, against what the embedded server answers."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyagent.sandbox import Sandbox

EXCEPTIONS = {
    "health": "the version and commit of the build are those of this server",
    "ready": "the time since the start differs from run to run",
    "query: syntax error": "the wording of Flux's compiler beyond what it expected and where",
    "telegraf create by plugins": "the words between the keys of the generated configuration are our own",
    "telegraf create wizard postgresql": "the words between the keys of the generated configuration are our own",
    "telegrafs list": "holds a generated configuration, see above",
}
"""Steps whose body differs, and why. Status, error code and content type agree in all of them."""

HEADERS = ("Content-Type", "X-Platform-Error-Code", "Allow", "Vary", "Content-Disposition", "X-Influxdb-Build")


async def replay(shared: Path, script: str, *arguments: Path) -> str:
    """What one of the tools prints when it replays the transcript against a new server."""
    async with Sandbox() as server:
        transcript = shared / "golden" / "influxd" / "transcript.json"
        command = [sys.executable, shared / "tools" / script, server.url, transcript, *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=100, check=False
        )
        assert not done.stderr
        return done.stdout


def masked(text: str) -> str:
    return re.sub(r"\$influxdb2-sha256\$[\w=-]+", "HASH", re.sub(r"\{\{\w+\}\}|\b[0-9a-f]{16}\b", "ID", text))


@pytest.fixture(scope="module")
def steps(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(recorded, answered) for each step."""
    answers = tmp_path_factory.mktemp("transcript") / "answers.json"
    asyncio.run(replay(shared, "record_influxd.py", answers))
    recorded = json.loads((shared / "golden" / "influxd" / "transcript.json").read_text())
    return list(zip(recorded, json.loads(answers.read_text()), strict=True))


def test_status_and_headers_agree(steps: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    def head(step: dict[str, Any]) -> tuple[Any, ...]:
        response = step["response"]
        return (step["name"], response["status"], *(response["headers"].get(name) for name in HEADERS))

    assert [head(got) for _, got in steps] == [head(wanted) for wanted, _ in steps]


def test_bodies_agree_byte_for_byte(steps: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    differ = {
        wanted["name"]: got["response"]["body"]
        for wanted, got in steps
        if masked(got["response"]["body"]) != masked(wanted["response"]["body"])
    }
    assert set(differ) == set(EXCEPTIONS)


def test_generated_configurations_have_the_recorded_values(steps: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    import tomli

    def document(step: dict[str, Any]) -> Any:
        return tomli.loads(json.loads(re.sub(r"\{\{(\w+)\}\}", r"\1", step["response"]["body"]))["config"])

    generated = [pair for pair in steps if pair[0]["name"].startswith(("telegraf create by", "telegraf create wizard"))]
    assert len(generated) == 2
    for wanted, got in generated:
        assert document(got) == document(wanted)


async def test_the_comparing_tool_agrees(shared: Path) -> None:
    lines = (await replay(shared, "compare_influxd.py")).splitlines()
    assert {line.split(": (message only)")[0].split(": status")[0] for line in lines[:-1]} <= set(EXCEPTIONS)
    assert lines[-1].endswith(f", {len(lines) - 1} failed")
