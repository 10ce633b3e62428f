"""Servers of Debian's packages for fixtures, which skip, or in continuous integration fail, where one is not installed."""

import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest

from pyagent.testing.servers import ServerMissing


class Startable(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


S = TypeVar("S", bound=Startable)


def running(make: Callable[[], S]) -> Iterator[S]:
    """Start a server, give it, and end it: what a fixture yields from.

    The fixtures of tests/conftest.py are shared by all files of a session: who changes more of a server than a database
    of its own starts one for itself.
    """
    try:
        server = make()
        server.start()
    except ServerMissing as error:
        unavailable(str(error))
        return
    try:
        yield server
    finally:
        server.stop()


def unavailable(reason: str) -> None:
    """Skip; fail where all servers are to be there (PYAGENT_REQUIRE_SERVERS=1)."""
    if os.environ.get("PYAGENT_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
