"""What systemd is told."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyagent.runtime.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@pyagent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name[1:] if name.startswith("@") else name)
        server.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield server


@pytest.mark.parametrize(
    ("tell", "told"),
    [
        (lambda n: n.ready("gathering mem"), "READY=1\nSTATUS=gathering mem"),
        (lambda n: n.status("two\nlines"), "STATUS=two lines"),
        (lambda n: n.status("no http://u:s3cret@h/?p=s3cret"), "STATUS=no http://***@h/?p=***"),
        (lambda n: n.status("no \udcff\ud800"), r"STATUS=no \xff?"),
        (lambda n: n.stopping(), "STOPPING=1\nSTATUS=writing what is left"),
    ],
)
def test_messages(manager: socket.socket, tell: Callable[[Notifier], None], told: str) -> None:
    notifier = Notifier()
    assert notifier.wanted
    tell(notifier)
    assert manager.recv(4096).decode() == told


def test_a_reload_carries_the_time_that_systemd_asks_for(manager: socket.socket) -> None:
    Notifier().reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_children_do_not_inherit_the_socket(manager: socket.socket) -> None:
    Notifier()
    assert "NOTIFY_SOCKET" not in os.environ


def test_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready("x")
    assert not notifier.wanted


def test_a_manager_that_is_gone_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = Notifier()
    notifier.ready("x")
    assert notifier.wanted
