"""What the tests of hostile input share: a process with bounds that no speed of the machine can reach where all
is right."""

import os
import resource
import subprocess
import sys
from pathlib import Path

_SECONDS, _BYTES = 60, 512 << 20
"""Of the processor, whatever else it does."""
_HANGS = 240
"""Seconds: for what waits for ever."""
_UNIT = Path(__file__).parents[1] / "unit"


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))


def run(code: str, **environ: str) -> str:
    """What the code prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        capture_output=True,
        text=True,
        timeout=_HANGS,
        env=os.environ | environ | {"PYTHONPATH": ":".join(str(_UNIT / name) for name in ("pipeline", "inputs"))},
        preexec_fn=_bounded,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
