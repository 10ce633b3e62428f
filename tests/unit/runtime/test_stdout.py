"""Standard output belongs to metrics: what anybody else prints goes into the log, in whole lines."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from pyagent.runtime.stdout import _LONGEST, _Printed

RUN = """
import logging, os, subprocess, sys, threading
from pyagent.runtime.log import configure_logging
from pyagent.runtime.stdout import own_stdout
configure_logging()
print("before")
sys.stdout.flush()
with own_stdout():
    os.write(sys.__stdout__.fileno(), b"metric 1\\nmetr")
    print("printed", end="")
    os.system("echo by a child")
    os.write(1, b"by its number\\n")
    sys.stdout.buffer.write(b"bytes\\n")
    thread = threading.Thread(target=print, args=("of a plugin",), name="inputs.own")
    thread.start()
    thread.join()
    os.write(sys.__stdout__.fileno(), b"ic 2\\n")
print("after")
"""


WITHOUT_DEV = "import os; os.devnull = '/there/is/no/dev/null'\n"
"""As in a bare container."""


@pytest.mark.parametrize("before", ["", WITHOUT_DEV], ids=["host", "without /dev/null"])
def test_nothing_but_metrics_gets_there(before: str) -> None:
    done = subprocess.run([sys.executable, "-c", before + RUN], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "before\nmetric 1\nmetric 2\nafter\n"
    logged = [line.partition("! ")[2] or line for line in done.stderr.splitlines()]
    assert logged == [
        "by a child",
        "by its number",
        "[agent] printed: printedbytes",
        "[inputs.own] printed: of a plugin",
    ]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="pyagent")
    return lambda: caplog.messages


def test_lines_are_whole_and_have_a_bound(logged: Callable[[], list[str]]) -> None:
    printed = _Printed()
    print("a", "b", file=printed)
    print("c", end="", file=printed)
    print("d\ne", file=printed)
    print(file=printed)
    print("f", end="", flush=True, file=printed)
    printed.write("x" * 3 * _LONGEST)
    assert logged() == ["printed: " + text for text in ("a b", "cd", "e", "f", "x" * _LONGEST + "...")]


def test_threads_do_not_mix(logged: Callable[[], list[str]]) -> None:
    printed = _Printed()
    printed.write("of one, ")
    thread = threading.Thread(target=printed.write, args=("of another\n",))
    thread.start()
    thread.join()
    printed.write("again\n")
    assert logged() == ["printed: of another", "printed: of one, again"]
