"""The thread of the writers, and a fork: it stands still meanwhile."""

import threading

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
