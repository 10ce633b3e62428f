"""Runs the stages of `make test`, each to its end, and says last which of them failed, and which tests.

Several stages print thousands of lines: what an early one found would be far above the last line.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

PYTEST = (sys.executable, "-m", "pytest")
SLOW = ("tests/system", "tests/faults", "tests/integration", "tests/conformance")


class Stage:
    """A command. One that runs beside the next shows its output when it has ended."""

    def __init__(self, name: str, *command: str, beside: bool = False) -> None:
        self.name = name
        self.command = command
        self.beside = beside

    def start(self, folder: Path) -> None:
        """`folder` is for files of its own."""
        self._failures = folder / f"{self.name}.failures"
        self._output = folder / f"{self.name}.output"
        environ = os.environ | {"PYAGENT_TEST_FAILURES": str(self._failures)}  # see tests/conftest.py
        self._began = time.monotonic()
        if self.beside:
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    ("nice", *self.command), stdout=output, stderr=output, env=environ, start_new_session=True
                )
        else:
            print(f"\n---- {self.name} ----", flush=True)
            self._process = subprocess.Popen(self.command, env=environ)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Those that run beside each other are waited for one after the other, and yet each has its own time."""
        self._process.wait()
        self._seconds = time.monotonic() - self._began

    def end(self) -> bool:
        """Wait for it; tell whether all is well."""
        self._status = self._process.wait()
        self._watcher.join()
        if self.beside:
            print(f"\n---- {self.name} (beside the last) ----", flush=True)
            print(self._output.read_text(errors="replace"), flush=True)
        return self._status == 0

    def stop(self, *, knows: bool) -> None:
        """End it early, by SIGINT, at which pytest ends what it has started. `knows`: a terminal has sent that already."""
        if self._process.poll() is None:
            if self.beside:
                os.killpg(self._process.pid, signal.SIGINT)
            elif not knows:
                self._process.send_signal(signal.SIGINT)
            self._process.wait()

    def told(self) -> str:
        """For the end of the run."""
        how = f"FAILED with status {self._status}" if self._status else "passed"
        failed = self._failures.read_text().splitlines() if self._failures.exists() else []
        return "\n".join([f"{self._seconds:5.0f} s  {self.name}: {how}", *(f"         {test}" for test in failed)])


def run(stages: Sequence[Stage]) -> int:
    """Run them all, whatever fails, and say what came of it; returns the exit status."""
    waiting: list[Stage] = []
    well = True
    with tempfile.TemporaryDirectory(prefix="pyagent-stages-") as folder:
        try:
            for stage in stages:
                stage.start(Path(folder))
                waiting.append(stage)
                if not stage.beside:
                    for one in reversed(waiting):
                        well = one.end() and well
                    waiting.clear()
        except BaseException as error:
            for one in waiting:
                one.stop(knows=isinstance(error, KeyboardInterrupt))
            raise
        print("\n---- In short ----")
        for stage in stages:
            print(stage.told())
        print("All passed." if well else "Not all passed.", flush=True)
    return 0 if well else 1


def files_with_tests_that_run_alone() -> list[str]:
    """To find their tests among thousands takes longer than to run them."""
    files = sorted(path for folder in SLOW for path in Path(folder).rglob("test_*.py"))
    return [str(path) for path in files if "pytest.mark.alone" in path.read_text()]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell lets what it starts in the background ignore it, and all that these start, which `stop` could not end then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run(
            [
                Stage("the unit tests", *PYTEST, "tests/unit", "tests/plugins", "-n", "auto", "--dist", "worksteal"),
                Stage("the native core under sanitizers", "scripts/sanitize", beside=True),
                Stage("the unit tests on other Pythons", "scripts/unit-elsewhere", "-q", beside=True),
                # The longest files first; and in the order given, not by the number of their tests.
                Stage(
                    "real processes, servers and systems",
                    *(*PYTEST, *SLOW, "-m", "not alone", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"),
                ),
                Stage("tests that run alone", *PYTEST, *files_with_tests_that_run_alone(), "-m", "alone"),
            ]
        )
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
