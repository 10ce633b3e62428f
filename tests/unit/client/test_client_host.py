"""The thread of the writers, and a fork: it stands still meanwhile."""

import threading

import pytest

from pyagent.client.host import Host


def test_it_stands_still_between_pause_and_resume() -> None:
    host = Host()
    loop = host.enter("user")
    ran = threading.Event()
    host.pause()
    try:
        loop.call_soon_threadsafe(ran.set)
        assert not ran.wait(0.05)
    finally:
        host.resume()
    assert ran.wait(30)
    host.leave("user")
    assert host.thread is None


def test_it_does_not_wait_for_itself() -> None:
    host = Host()
    loop = host.enter("user")
    done = threading.Event()

    def fork() -> None:
        host.pause()
        host.resume()
        done.set()

    loop.call_soon_threadsafe(fork)
    assert done.wait(30)
    host.leave("user")


def test_without_a_thread_nothing_is_paused() -> None:
    host = Host()
    host.pause()
    host.resume()
    assert host.loop is None


def test_a_thread_that_could_not_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def runs_in() -> threading.Thread:
        return threading.current_thread()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    host = Host()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        host.enter("one")
        assert host.submit(runs_in()).result(30) is threading.current_thread()
        host.leave("one")
        assert host.loop is None
        host.enter("other")
        assert host.thread is None
    assert host.submit(runs_in()).result(30) is host.thread
    host.leave("other")
    assert (host.loop, host.thread) == (None, None)
