"""Which core serves, and what importing it costs."""

import os
import subprocess
import sys
from types import ModuleType

from pyagent import lineprotocol

ASK = "import sys; from pyagent import lineprotocol as l; print(l.implementation, l.encode([]).count, *sys.modules)"


def ask(**environment: str) -> list[str]:
    command = [sys.executable, "-c", ASK]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout.split()


def test_the_native_core_serves_where_it_is_built(native: ModuleType) -> None:
    implementation, count, *modules = ask(PYAGENT_NATIVE="1")
    assert (implementation, count) == ("native", "0")
    assert "pyagent.lineprotocol.encoder" not in modules


def test_the_reference_can_be_asked_for() -> None:
    implementation, count, *modules = ask(PYAGENT_NATIVE="0")
    assert (implementation, count) == ("reference", "0")
    assert "pyagent.lineprotocol.native" not in modules


def test_the_reference_serves_where_there_is_no_native_core() -> None:
    code = f"import sys; sys.modules['pyagent.lineprotocol.native'] = None; {ASK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("reference 0 ")


def test_the_door_names_what_it_gives() -> None:
    for name in lineprotocol.__all__:
        assert hasattr(lineprotocol, name)
