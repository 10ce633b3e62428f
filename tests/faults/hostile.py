"""What the tests of hostile input share: a process with bounds that no speed of the machine can reach where all
is right."""

import os
import resource
import subprocess
import sys
from pathlib import Path

_SECONDS, _BYTES = 30, 512 << 20


def run(code: str) -> str:
    """What the code prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "unit/pipeline")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES)),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
