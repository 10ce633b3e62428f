"""Code of others in a process of its own, and without one in this."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_until

from pyagent.api import MetricType, PyagentError, Secret, Uint
from pyagent.kit.guests import Guests

GUEST = """
import logging, os, sys, time

class Guest:
    def __init__(self, given, log):
        self.given, self.log = given, log
        self.gathers = 0
    def gather(self, acc):
        self.gathers += 1
        exec(self.given["code"], {"acc": acc, "self": self, "log": self.log})
    def stop(self):
        if path := self.given.get("stopped"):
            open(path, "w").close()

def make(given, log):
    return Guest(given, log)
"""


class Added:
    """An accumulator that keeps what it is given."""

    def __init__(self) -> None:
        self.metrics: list[tuple[Any, ...]] = []

    def add(
        self, measurement: str, fields: Any, tags: Any = None, time: Any = None, kind: MetricType = MetricType.UNTYPED
    ) -> None:
        self.metrics.append((measurement, dict(fields), dict(tags or {}), time, kind))


class Clock:
    """Real time, and what a test adds."""

    def __init__(self) -> None:
        import time

        self.ahead = 0.0
        self._now = time.monotonic

    def __call__(self) -> float:
        return self._now() + self.ahead


Start = Callable[..., Guests]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Start]:
    (tmp_path / "a_guest.py").write_text(GUEST)
    monkeypatch.syspath_prepend(str(tmp_path))
    started: list[Guests] = []

    def start(code: str, *, isolate: bool = True, timeout: float = 60.0, most_memory: int = 0, **given: Any) -> Guests:
        started.append(
            Guests(
                "a_guest:make",
                {"code": code, **given},
                logging.getLogger("test.guest"),
                what="the guest",
                isolate=isolate,
                timeout=timeout,
                most_memory=most_memory,
                clock=clock,
            )
        )
        return started[-1]

    yield start
    for one in started:
        one.stop()


def gathered(guest: Guests) -> list[tuple[Any, ...]]:
    added = Added()
    guest.gather(added)  # type: ignore[arg-type]  # the part of one that guests use
    return added.metrics


def failure(guest: Guests) -> str:
    with pytest.raises(PyagentError) as caught:
        gathered(guest)
    return str(caught.value)


@pytest.mark.parametrize("isolate", [True, False])
def test_values_arrive_as_they_are(guests: Start, isolate: bool) -> None:
    guest = guests(
        """
from pyagent.api import MetricType, Uint
acc.add("m", {"i": 1, "f": 1.0, "u": Uint(7), "n": float("inf"), "s": "\\udcff\\n", "b": True}, {"t": "é"}, 5, MetricType.COUNTER)
acc.add("gathers", {"n": self.gathers})
""",
        isolate=isolate,
    )
    first, gathers = gathered(guest)
    assert first == (
        "m",
        {"i": 1, "f": 1.0, "u": 7, "n": float("inf"), "s": "\udcff\n", "b": True},
        {"t": "é"},
        5,
        MetricType.COUNTER,
    )
    assert [type(first[1][name]) for name in "ifub"] == [int, float, Uint, bool]
    assert gathers[1] == {"n": 1}
    assert gathered(guest)[1][1] == {"n": 2}
    assert (guest.pid is not None) == isolate


def test_what_is_not_plain_becomes_so_before_it_is_sent(guests: Start) -> None:
    guest = guests(
        """
from decimal import Decimal
acc.add("m", {"d": Decimal("1.5"), "b": b"x", "none": None}, {"t": 5, "none": None}, 2.5)
acc.add("empty", {"none": None})
"""
    )
    assert gathered(guest) == [("m", {"d": 1.5, "b": "x"}, {"t": "5"}, 2_500_000_000, MetricType.UNTYPED)]


def test_a_metric_that_cannot_be_sent_is_named(guests: Start, caplog: pytest.LogCaptureFixture) -> None:
    guest = guests("acc.add('late', {'n': 1}, None, 1 << 64)\nacc.add('m', {'n': 2})")
    assert [metric[0] for metric in gathered(guest)] == ["m"]
    assert caplog.messages == ["a metric 'late' is left out: time outside range"]


@pytest.mark.parametrize("isolate", [True, False])
def test_many_come_in_their_order(guests: Start, isolate: bool) -> None:
    guest = guests("for n in range(1000): acc.add('m', {'n': n})", isolate=isolate)
    assert [metric[1] for metric in gathered(guest)] == [{"n": n} for n in range(1000)]


@pytest.mark.parametrize("isolate", [True, False])
@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("acc.add('m', {'a': 1}); raise ValueError('no')", "ValueError: no"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()", "Odd: (it cannot be shown)"),
    ],
)
def test_a_failure_is_one_line_and_no_end(guests: Start, isolate: bool, code: str, cause: str) -> None:
    guest = guests(code, isolate=isolate)
    assert failure(guest).startswith(f"cannot run the guest: {cause}")
    pid = guest.pid
    assert failure(guest).startswith(f"cannot run the guest: {cause}")
    assert guest.pid == pid


@pytest.mark.parametrize("isolate", [True, False])
def test_what_cannot_be_imported_is_told(guests: Start, tmp_path: Path, isolate: bool) -> None:
    guest = guests("", isolate=isolate)
    (tmp_path / "a_guest.py").write_text("import no_such_module_at_all")
    import sys

    sys.modules.pop("a_guest", None)
    text = failure(guest)
    assert "ModuleNotFoundError: No module named 'no_such_module_at_all'; " in text
    assert "install no_such_module_at_all" in text


def test_a_library_that_is_there_is_not_to_be_installed(guests: Start) -> None:
    text = failure(guests("import json.nothing", isolate=False))
    assert "No module named 'json.nothing'" in text
    assert "install" not in text


def test_an_exit_of_the_process_costs_this_gather_and_the_next_starts_it_again(guests: Start, clock: Clock) -> None:
    guest = guests("acc.add('m', {'n': 1}); import os; os._exit(0)")
    added = Added()
    with pytest.raises(
        PyagentError,
        match=r"cannot run the guest: it ended its process with exit status 0; it is started again in 1 s$",
    ):
        guest.gather(added)  # type: ignore[arg-type]
    assert [metric[0] for metric in added.metrics] == ["m"]
    assert guest.pid is None
    assert failure(guest).endswith("exit status 0; it is started again in 1 s")
    clock.ahead += 1
    assert failure(guest).endswith("exit status 0; it is started again in 2 s")
    clock.ahead += 2
    assert failure(guest).endswith("exit status 0; it is started again in 4 s")
    clock.ahead += 100  # a pause of less than a minute and one of more are told alike: it is the same failure
    for _ in range(8):
        assert re.search(r"exit status 0; it is started again in \d+ s$", failure(guest))
        clock.ahead += 300
    assert failure(guest).endswith("it is started again in 300 s")


def test_the_pause_ends_with_the_first_success(guests: Start, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "exists"
    guest = guests(f"import os\nif not os.path.exists({str(path)!r}): os._exit(1)\nacc.add('m', {{'n': self.gathers}})")
    for wait in (1, 2, 4):
        assert "exit status 1" in failure(guest)
        clock.ahead += wait
    path.touch()
    assert [metric[1] for metric in gathered(guest)] == [{"n": 1}]
    path.unlink()
    assert failure(guest).endswith("exit status 1; it is started again in 1 s")


def test_a_signal_is_named(guests: Start) -> None:
    assert failure(guests("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")).endswith(
        "signal 11 ended its process; it is started again in 1 s"
    )


def test_one_that_hangs_is_ended_with_all_that_it_started(guests: Start, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    guest = guests(
        f"""
import signal, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(path)!r} + "~", "w").write(str(child.pid))
import os
os.rename({str(path)!r} + "~", {str(path)!r})
time.sleep(1000)
"""
    )
    import threading

    failures: list[str] = []
    thread = threading.Thread(target=lambda: failures.append(failure(guest)))
    thread.start()
    wait_until(path.exists)
    clock.ahead += 1000
    thread.join()
    assert failures == [
        "cannot run the guest: it took longer than 1m0s and was ended; see `timeout`; it is started again in 1 s"
    ]
    wait_until(lambda: not _runs(int(path.read_text())))


def test_what_one_that_hangs_has_added_arrives_before(guests: Start, clock: Clock) -> None:
    import threading

    guest, added = guests("import time\nacc.add('m', {'n': 1})\ntime.sleep(1000)"), Added()

    def gather() -> None:
        with pytest.raises(PyagentError, match="it took longer than 1m0s"):
            guest.gather(added)  # type: ignore[arg-type]

    thread = threading.Thread(target=gather)
    thread.start()
    wait_until(lambda: added.metrics)
    clock.ahead += 1000
    thread.join()
    assert [metric[1] for metric in added.metrics] == [{"n": 1}]


def test_the_first_gather_has_time_to_import_and_the_next_has_not(guests: Start, clock: Clock) -> None:
    guest = guests("acc.add('m', {'n': 1})", timeout=0)
    assert len(gathered(guest)) == 1
    assert "it took longer than 0s" in failure(guest)


def test_what_is_forked_and_comes_back_answers_nothing(guests: Start) -> None:
    guest = guests("import os; forked = os.fork(); acc.add('m', {'n': self.gathers, 'forked': forked > 0})")
    for gathers in (1, 2, 3):
        assert [metric[1] for metric in gathered(guest)] == [{"n": gathers, "forked": True}]


def test_what_is_forked_and_stays_holds_up_nothing(guests: Start) -> None:
    guest = guests("import os, time\nif os.fork() == 0: time.sleep(1000)\nos._exit(4)")
    assert "exit status 4; " in failure(guest)


@pytest.mark.parametrize(
    "code",
    [
        "held.append(bytearray(1 << 31))",
        "try: held.append(bytearray(1 << 31))\n\
except Exception as error: raise RuntimeError(f'caught: {error!r}')",
    ],
)
def test_one_that_takes_too_much_memory_harms_itself_and_is_started_again(
    guests: Start, clock: Clock, code: str
) -> None:
    guest = guests(
        "held = self.__dict__.setdefault('held', [])\nif self.gathers == 2:\n    " + code.replace("\n", "\n    ") + "\n"
        "acc.add('m', {'n': self.gathers})",
        most_memory=256 << 20,
    )  # fmt: skip
    for _ in range(2):
        assert [metric[1] for metric in gathered(guest)] == [{"n": 1}]
        assert re.search(
            r"MemoryError.*; its process could take no more memory and was ended; see `memory_limit` \(256 MiB\)",
            failure(guest),
        )
        assert guest.pid is None
        clock.ahead += 1


def test_memory_that_is_only_asked_for_is_not_counted(guests: Start) -> None:
    """The stacks of threads above all."""
    guest = guests(
        """
import mmap, threading
free = threading.Event()
threads = [threading.Thread(target=free.wait) for _ in range(64)]
for thread in threads: thread.start()
free.set()
for thread in threads: thread.join()
held = mmap.mmap(-1, 1 << 29, flags=mmap.MAP_PRIVATE)
acc.add('m', {'n': len(threads)})
""",
        most_memory=256 << 20,
    )
    assert gathered(guest)[0][1] == {"n": 64}


def test_threads_without_end_are_told_as_memory(guests: Start) -> None:
    guest = guests(
        """
import threading
def wait(event=threading.Event()): event.wait()
while True: threading.Thread(target=wait, daemon=True).start()
""",
        most_memory=256 << 20,
    )
    text = failure(guest)
    assert "can't start new thread" in text
    assert "see `memory_limit` (256 MiB)" in text


def test_memory_that_is_no_allocation_is_seen_as_well(guests: Start) -> None:
    guest = guests(
        """
import mmap, os, time
held = mmap.mmap(-1, 1 << 29)
for at in range(0, 1 << 29, 4096): held[at] = 1
time.sleep(1000)
""",
        most_memory=128 << 20,
    )
    assert failure(guest).startswith(
        "cannot run the guest: it took too much memory and was ended; see `memory_limit` (128 MiB)"
    )


def test_what_it_prints_is_logged_and_bounded(guests: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    guest = guests(
        "import os\nprint('one')\nos.write(2, b'two\\xff\\n')\nlog.warning('three %d', 3)\n"
        "for i in range(500): print('x' * 5000)\nacc.add('m', {'n': 1})"
    )
    assert len(gathered(guest)) == 1
    texts = [record.getMessage() for record in caplog.records]
    assert {"it printed: one", "it printed: two\\xff", "three 3"} <= set(texts)
    assert len(texts) == 103
    assert max(map(len, texts)) <= 2000
    assert texts[-1] == "401 more lines that it printed or logged are left out"


def test_a_secret_at_the_end_of_what_is_shown_is_masked_whole(guests: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    guest = guests(
        "for length in range(1960, 2001, 5):\n    text = 'x' * length + self.given['password']\n    print(text)\n"
        "    log.warning(text)\nacc.add('m', {'n': 1})",
        password=Secret("a-secret-of-many-characters-indeed").reveal(),
    )
    assert len(gathered(guest)) == 1
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 18
    assert "a-s" not in str(texts)


def test_what_breaks_python_stays_there(guests: Start) -> None:
    import json
    import locale

    before = locale.setlocale(locale.LC_ALL)
    guest = guests(
        "import json, locale, sys\njson.dumps = None\nlocale.setlocale(locale.LC_ALL, 'C')\nsys.stdout = None"
    )
    assert "ended" in failure(guest)
    assert json.dumps is not None
    assert locale.setlocale(locale.LC_ALL) == before


def test_nonsense_for_the_agent_ends_it(guests: Start) -> None:
    for data in (
        b"nonsense\\n",
        b"[" * 100_000 + b"\\n",
        b"[1]\\n",
        b'{"metrics": [1]}\\n',
        b'{"metrics": -1}\\n',
        b'{"metrics": 9}\\n{"answer"',
    ):
        guest = guests(
            f"import os, socket\nfor fd in range(3, 500):\n    try: socket.socket(fileno=os.dup(fd)).sendall({data.decode()!r}"
            ".encode().decode('unicode_escape').encode())\n    except OSError: pass"
        )
        assert "cannot be read" in failure(guest), data


def test_more_than_a_gather_may_be_ends_it(guests: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.guest_link._MOST_SENT", 1 << 20)
    assert "sent more than 1 MiB" in failure(guests("while True: acc.add('m', {'s': 'x' * 1000})"))
    assert "sent more than 1 MiB" in failure(guests("acc.add('m', {'s': 'x' * (1 << 24)})"))


def test_its_secrets_are_neither_arguments_nor_environment(guests: Start) -> None:
    guest = guests("acc.add('m', {'s': self.given['password']})", password="no-such-secret")
    assert gathered(guest)[0][1] == {"s": "no-such-secret"}
    process = psutil.Process(guest.pid)
    assert "no-such-secret" not in str(process.cmdline()) + str(process.environ())


@pytest.mark.parametrize("isolate", [True, False])
def test_stop_is_told_to_the_guest(guests: Start, tmp_path: Path, isolate: bool) -> None:
    path = tmp_path / "stopped"
    guest = guests("", isolate=isolate, stopped=str(path))
    guest.stop()
    assert not path.exists()
    guest = guests("", isolate=isolate, stopped=str(path))
    gathered(guest)
    pid = guest.pid
    guest.stop()
    guest.stop()
    assert path.exists()
    assert pid is None or not psutil.pid_exists(pid)


def test_stop_during_a_gather_ends_both(guests: Start, tmp_path: Path) -> None:
    import threading

    path = tmp_path / "began"
    guest = guests(f"import time\nopen({str(path)!r}, 'w').close()\ntime.sleep(1000)")
    failures: list[str] = []
    thread = threading.Thread(target=lambda: failures.append(failure(guest)))
    thread.start()
    wait_until(path.exists)
    guest.stop()
    thread.join()
    assert failures == ["cannot run the guest: the agent does not wait for it any more"]
    assert "it is stopped" in failure(guest)


def test_a_gather_that_is_cut_short_ends_soon(guests: Start, clock: Clock, tmp_path: Path) -> None:
    import threading

    path = tmp_path / "began"
    guest = guests(f"import time\nopen({str(path)!r}, 'w').close()\ntime.sleep(1000)")
    failures: list[str] = []
    thread = threading.Thread(target=lambda: failures.append(failure(guest)))
    thread.start()
    wait_until(path.exists)
    guest.cut_short()
    clock.ahead += 1
    thread.join()
    assert failures == ["cannot run the guest: the agent does not wait for it any more"]
    assert guest.pid is None
    assert "it is stopped" in failure(guest)


@pytest.mark.parametrize("end", ["_channel", "_is_here"])
def test_it_ends_with_the_agent(guests: Start, tmp_path: Path, end: str) -> None:
    """Whoever started it may be killed: then the other ends of its socket and its pipe are closed, and nothing else happens."""
    guest = guests("import time\nif self.gathers == 1: acc.add('m', {'n': 1})\nelse: time.sleep(1000)")
    gathered(guest)
    process = guest._process
    assert process is not None
    if end == "_channel":
        process._channel.close()
    else:
        os.close(process._is_here)
        process._is_here = os.open(os.devnull, os.O_RDONLY)
    wait_until(process._has_ended)
    assert process._how_ended() == "signal 9 ended its process"


HOLDS_THE_LOCK = """
import ctypes, os, subprocess
child = subprocess.Popen(["sleep", "1000"])
open(self.given["path"] + "~", "w").write(f"{os.getpid()} {child.pid}")
os.rename(self.given["path"] + "~", self.given["path"])
ctypes.PyDLL(None).sleep(1000)  # by which no other thread of Python runs
"""
AGENT = """
import json, logging, sys
from pyagent.kit.guests import Guests
given = json.loads(sys.argv[1])
Guests("a_guest:make", given, logging.getLogger("x"), what="x", isolate=True).gather(None)
"""


def test_one_that_holds_python_s_lock_ends_with_an_agent_that_is_killed(guests: Start, tmp_path: Path) -> None:
    import json
    import subprocess
    import sys

    path = tmp_path / "pids"
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, json.dumps({"code": HOLDS_THE_LOCK, "path": str(path)})],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        wait_until(path.exists)
    finally:
        agent.kill()
        agent.wait()
    pids = [int(pid) for pid in path.read_text().split()]
    wait_until(lambda: not any(map(_runs, pids)))


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
