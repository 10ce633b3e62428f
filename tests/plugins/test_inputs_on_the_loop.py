"""What blocks runs in a thread: an input whose `gather` is async starts no program, asks no name and waits for no socket on the
loop that all else of the agent runs on."""

import asyncio
import inspect
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from damaged_files import can_be_damaged, damageable

from pyagent.api import Input
from pyagent.config.catalog import Catalog
from pyagent.config.isolation import is_async, isolation_of
from pyagent.testing.cases import Case, find_cases

BLOCKING = {
    "subprocess.Popen",
    "os.system",
    "os.posix_spawn",
    "time.sleep",  # from Python 3.13 on
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
    "socket.connect",
}
CASES = [case for case in find_cases(Path(__file__).parent) if can_be_damaged(case)]
CATALOG = Catalog()
INPUTS = {entry.name: CATALOG.load(entry) for entry in CATALOG.entries("inputs") if entry.origin == "pyagent"}
ASYNC = {name for name, plugin in INPUTS.items() if inspect.iscoroutinefunction(getattr(plugin, "gather", None))}


class Watch:
    """Notes what blocks on the thread that it was made in, while it is on. An audit hook stays for ever: there is one."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.on = False
        self._thread = threading.get_ident()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event not in BLOCKING or threading.get_ident() != self._thread:
            return
        if event == "socket.connect" and arguments[0].gettimeout() == 0:
            return  # it does not wait
        self.found.add(event)


WATCH = Watch()


@pytest.mark.parametrize("case", [case for case in CASES if case.label.split("/")[1] in ASYNC], ids=str)
async def test_an_async_gather_does_not_block(case: Case, tmp_path: Path) -> None:
    async with damageable(case, tmp_path) as damaged:
        if damaged is None:
            pytest.skip("its input serves, or cannot be loaded, or there are several")
        WATCH.found.clear()
        WATCH.on = True
        try:
            await damaged.gathered(None)
        finally:
            WATCH.on = False
    assert WATCH.found == set()


async def test_the_watch_sees_what_blocks() -> None:
    WATCH.found.clear()
    WATCH.on = True
    try:
        await asyncio.to_thread(socket.getaddrinfo, "127.0.0.1", 1)
        assert WATCH.found == set()
        socket.getaddrinfo("127.0.0.1", 1)
    finally:
        WATCH.on = False
    assert WATCH.found == {"socket.getaddrinfo"}


def test_a_plain_gather_runs_in_a_thread() -> None:
    for name in sorted(set(INPUTS) - ASYNC):
        isolation = isolation_of("inputs", asynchronous=is_async("inputs", INPUTS[name]), external=False)
        if INPUTS[name].gather is not Input.gather:
            assert isolation == "thread", name
