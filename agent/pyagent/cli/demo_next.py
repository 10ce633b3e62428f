"""What the demonstration says in the end: what came of it, and how to go on."""

import os
import shlex
from pathlib import Path
from typing import Any

from pyagent.cli.demo_processes import program

__all__ = ["next_steps", "summary"]


def summary(document: dict[str, Any]) -> str:
    """`document`: what `--json` prints."""
    points = ", ".join(f"{count:,} of {name}" for name, count in document["points"].items()) or "none"
    first = ", ".join(f"{name} {s:.2f} s" for name, s in document["seconds_to_first_point"].items() if s is not None)
    return f"Points stored: {points}. From an agent's start to its first point stored: {first or 'none came'}."


def next_steps() -> str:
    """The next commands, as they can be typed in the present folder; for a working tree, or an installation."""
    pyagent = _shortest(program())
    tree = Path(__file__).resolve().parents[3]
    in_tree = (tree / "Makefile").is_file() and (tree / "docs").is_dir()
    steps = f"""\
How to go on, with an InfluxDB 2 of your own. Its page "Create a Telegraf
configuration" (Load Data, Telegraf) shows a token and a URL. In the foreground:
    export INFLUX_TOKEN=...
    {pyagent} --config http://HOST:8086/api/v2/telegrafs/ID
As a service; `provision` asks step by step, and starts it:
"""
    if in_tree:
        there = _path(tree)
        steps += f"    sudo make {'' if there == '.' else f'-C {there} '}install\n"
    steps += f"""\
    sudo pyagent provision
or, with both lines of the page (then Ctrl-D):
    sudo install -D -m 600 /dev/stdin /etc/pyagent/ram.env
    sudo systemctl enable --now pyagent@ram
Where nothing arrives:
    sudo pyagent doctor ram
An empty server such as this one, to try things on:
    {pyagent} sandbox --ready
The plugins, and what one can do; your own go into /etc/pyagent/plugins.d:
    {pyagent} plugins
    {pyagent} plugins show inputs.mem
"""
    if in_tree:
        first, plugins = (_path(tree / "docs" / name) for name in ("getting-started.md", "writing-plugins.md"))
        steps += f"To read: {first}, {plugins}\n"
    return steps.rstrip("\n")


def _shortest(words: list[str]) -> str:
    import shutil

    found = shutil.which("pyagent")
    if found and os.path.realpath(found) == os.path.realpath(words[0]):
        return "pyagent"
    return " ".join([_path(Path(words[0])), *words[1:]])


def _path(path: Path) -> str:
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))
