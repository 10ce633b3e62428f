"""Programs that write, and how they end: nothing that write() took is lost with exit status 0 and without a word.

Each is a process of its own; the receiver is here.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from write_receiver import Receiver

DEADLINE = 100
"""Seconds; a guard against hanging."""
PREFACE = """
import atexit, os, signal, sys, threading, time
from pyagent.client import Writer

writer = Writer(os.environ["TO"], "t", "o", "b", flush_interval=600, close_timeout=float(os.environ["TIME"]))

def send(count=100, who="main"):
    for n in range(count):
        writer.write("m", {"n": n}, {"who": who})
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def started(body: str, to: str, seconds: float = 60.0, preface: str = PREFACE) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            preface + textwrap.dedent(body),
        ],
        env={**os.environ, "TO": to, "TIME": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    with process:
        try:
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    return process.returncode, out, err


def run(body: str, to: str, seconds: float = 60.0, preface: str = PREFACE) -> tuple[int, str, str]:
    return ended(started(body, to, seconds, preface))


def who(receiver: Receiver) -> Counter[str]:
    lines = receiver.lines
    assert len(set(lines)) == len(lines), "a line came twice"
    return Counter(line.partition(" ")[0].removeprefix("m,who=") for line in lines)


class TestScripts:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ("send()", 0),
            ("send(); sys.exit(3)", 3),
            ("send(); raise ValueError", 1),
            ("send(); writer.close()", 0),
            ("send(); writer.flush(); os._exit(4)", 4),
            ("with writer: send()", 0),
            ("send(); del writer", 0),
            ("atexit.register(send)", 0),
            ("atexit.register(lambda: (send(), writer.close()))", 0),
        ],
        ids=["end", "exit", "exception", "close", "flush", "with", "del", "atexit", "close in atexit"],
    )
    def test_all_arrives_however_it_ends(self, body: str, status: int, receiver: Receiver) -> None:
        found, _, err = run(body, receiver.url)
        assert (found, who(receiver)) == (status, {"main": 100})
        assert "ValueError" in err or not err

    def test_an_atexit_of_before_the_writer_is_not_too_late(self, receiver: Receiver) -> None:
        early = "import atexit\natexit.register(lambda: send())\n"
        assert run("send(1)", receiver.url, preface=early + PREFACE)[0] == 0
        assert who(receiver) == {"main": 101}

    def test_names_of_hosts_are_found_at_the_end(self, receiver: Receiver) -> None:
        status, _, err = run("atexit.register(send)", receiver.url.replace("127.0.0.1", "localhost"))
        assert (status, err, who(receiver)) == (0, "", {"main": 100})

    def test_a_python_that_starts_no_thread_at_its_end_delivers_all_the_same(self, receiver: Receiver) -> None:
        body = """
        def refuse(thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        def last():
            threading.Thread.start = refuse
            send()
        atexit.register(last)
        """
        status, _, err = run(body, receiver.url.replace("127.0.0.1", "localhost"))
        assert (status, err, who(receiver)) == (0, "", {"main": 100})

    @pytest.mark.parametrize(
        "body",
        [
            "threading.Thread(target=late).start()",
            "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor(1).submit(late)",
        ],
        ids=["thread", "executor"],
    )
    def test_a_thread_may_write_when_the_main_one_has_ended(self, body: str, receiver: Receiver) -> None:
        late = "send(10, 'early')\ndef late():\n    threading.main_thread().join(); time.sleep(0.1); send(10, 'late')\n"
        if "Executor" in body:
            late = late.replace("threading.main_thread().join(); ", "")
        assert run(late + body, receiver.url)[0] == 0
        assert who(receiver) == {"early": 10, "late": 10}

    def test_sigterm_ends_it_as_before_with_all_delivered(self, receiver: Receiver) -> None:
        process = started("send(); print('sent', flush=True); time.sleep(600)", receiver.url)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM
        assert who(receiver) == {"main": 100}

    def test_sigterm_ends_it_whatever_goes_wrong(self, receiver: Receiver) -> None:
        body = """
        from pyagent.client import endings
        def fail(most):
            raise RuntimeError("broken")
        endings.finish_all = fail
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
        """
        assert run(body, receiver.url)[0] == -signal.SIGTERM

    def test_sigterm_in_the_middle_of_close(self, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        process = started("send()\nprint('closing', flush=True)\nwriter.close()", receiver.url, 5)
        assert process.stdout is not None
        process.stdout.readline()
        receiver.wait_for_requests(1)
        process.send_signal(signal.SIGTERM)
        receiver.rule = None
        status, _, err = ended(process)
        assert status == -signal.SIGTERM
        assert who(receiver) == {"main": 100}
        assert "before the end" not in err

    def test_a_handler_of_the_program_stays(self, receiver: Receiver) -> None:
        body = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        Writer(os.environ["TO"], "t", "o", "b")
        send()
        print("sent", flush=True)
        time.sleep(600)
        """
        process = started(body, receiver.url)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 7
        assert who(receiver) == {"main": 100}

    def test_asyncio(self, receiver: Receiver) -> None:
        body = """
        import asyncio
        async def main():
            send(300)
            await writer.aflush()
            send(5)
        asyncio.run(main())
        """
        assert run(body, receiver.url)[0] == 0
        assert who(receiver) == {"main": 305}
        assert len(receiver.bodies) == 2


class TestFailures:
    def test_a_server_that_is_away_is_told_with_the_number(self) -> None:
        status, _, err = run("send()", "http://127.0.0.1:1", 0.2)
        assert status == 0
        assert "cannot deliver 100 points before the end, they are lost: cannot write to bucket 'b'" in err
        assert err.count("before the end") == 1

    def test_one_deadline_holds_for_all_that_waits(self, receiver: Receiver) -> None:
        receiver.hang.set()
        body = "writer._batch = 10\nsend(30)\nprint(writer.close(0.2))"
        status, out, err = run(body, receiver.url)
        assert (status, out) == (0, "30\n")
        assert "cannot deliver 30 points before the end, they are lost: no answer from bucket 'b'" in err

    def test_a_thread_that_waits_for_room_does_not_hold_the_end_for_ever(self) -> None:
        preface = PREFACE.replace("flush_interval=600", "flush_interval=600, max_points=10")
        status, _, err = run("threading.Thread(target=send).start()", "http://127.0.0.1:1", 0.3, preface)
        assert status == 0
        assert "BufferFull: cannot take the point: 10 points wait already" in err
        assert "cannot deliver 10 points before the end, they are lost" in err

    def test_a_server_that_comes_back_in_time_gets_all(self, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "not yet"}) if len(receiver.bodies) < 3 else None
        assert run("send()", receiver.url)[0] == 0
        assert who(receiver) == {"main": 100}


class TestForks:
    def test_before_the_first_flush(self, receiver: Receiver) -> None:
        body = """
        send(10, "parent")
        child = os.fork()
        send(10, "parent" if child else "child")
        if child:
            os.waitpid(child, 0)
        """
        status, _, err = run(body, receiver.url)
        assert (status, err) == (0, "")
        assert who(receiver) == {"parent": 20, "child": 10}

    @pytest.mark.parametrize(
        ("module", "call"),
        [
            ("engine", "send(1, who)"),
            ("lines", "writer.write_lines(f'm,who={who} n=0 {time.time_ns()}')"),
            ("endings", "Writer(os.environ['TO'], 't', 'o', 'b').write('m', {'n': 0}, {'who': who})"),
            ("host", "Writer(os.environ['TO'], 't', 'o', 'b').write('m', {'n': 0}, {'who': who})"),
        ],
    )
    def test_while_another_thread_is_about_to_import_what_writes(
        self, module: str, call: str, receiver: Receiver
    ) -> None:
        preface = PREFACE.replace("\nwriter =", "\ndef make(): return") if module in ("endings", "host") else PREFACE
        body = f"""
        import faulthandler
        reached = threading.Event()
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "pyagent.client.{module}" and not reached.is_set():
                    reached.set()
                    time.sleep(0.3)  # the fork comes now, or waits for this
        def work(who):
            {call}
        sys.meta_path.insert(0, Slow())
        thread = threading.Thread(target=work, args=("parent",))
        thread.start()
        reached.wait()
        child = os.fork()
        if not child:
            faulthandler.dump_traceback_later(30, exit=True)
            work("child")
            sys.exit(0)
        thread.join()
        print(os.waitpid(child, 0)[1])
        """
        status, out, err = run(body, receiver.url, preface=preface)
        assert (status, out, err) == (0, "0\n", "")
        assert who(receiver) == {"parent": 1, "child": 1}

    def test_with_an_open_connection_both_go_on(self, receiver: Receiver) -> None:
        body = """
        send(10, "parent"); writer.flush()
        child = os.fork()
        for _ in range(3):
            send(10, "parent" if child else "child"); writer.flush()
        if child:
            os.waitpid(child, 0)
        """
        status, _, err = run(body, receiver.url)
        assert (status, err) == (0, "")
        assert who(receiver) == {"parent": 40, "child": 30}

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, method: str, receiver: Receiver, tmp_path: Path) -> None:
        script = tmp_path / "program.py"
        body = f"""
        if __name__ == "__main__":
            import multiprocessing
            send(10, "parent")
            context = multiprocessing.get_context("{method}")
            process = context.Process(target=send, args=(10, "child"))
            process.start(); process.join()
            with context.Pool(2) as pool:
                pool.starmap(send, [(5, "a"), (5, "b")])
                pool.close(); pool.join()
            assert process.exitcode == 0
        """
        script.write_text(PREFACE + textwrap.dedent(body))
        environ = {**os.environ, "TO": receiver.url, "TIME": "60"}
        done = subprocess.run([sys.executable, script], env=environ, capture_output=True, text=True, timeout=DEADLINE)
        assert (done.returncode, done.stderr) == (0, "")
        assert who(receiver) == {"parent": 10, "child": 10, "a": 5, "b": 5}

    def test_a_closed_writer_is_closed_in_the_child_too(self, receiver: Receiver) -> None:
        body = """
        from pyagent.client import WriterClosed
        send(1); writer.close()
        child = os.fork()
        try:
            send(1)
        except WriterClosed:
            os.write(1, b"closed ")
        if child:
            os.waitpid(child, 0)
        """
        assert run(body, receiver.url)[:2] == (0, "closed closed ")

    def test_a_child_that_is_terminated_delivers(self, receiver: Receiver) -> None:
        body = """
        import multiprocessing
        def work(sent):
            send(100, "child"); sent.set(); time.sleep(600)
        context = multiprocessing.get_context("fork")
        sent = context.Event()
        process = context.Process(target=work, args=(sent,))
        process.start(); sent.wait(); process.terminate(); process.join()
        print(process.exitcode)
        """
        assert run(body, receiver.url)[:2] == (0, "-15\n")
        assert who(receiver) == {"child": 100}

    def test_workers_of_a_server_that_forks(self, receiver: Receiver) -> None:
        """As gunicorn with --preload: made before the fork, each worker writes, and is ended by SIGTERM or by itself."""
        body = """
        send(3, "master")
        children = []
        for number in range(3):
            child = os.fork()
            if not child:
                going = True
                def stop(*_):
                    global going
                    going = False
                signal.signal(signal.SIGTERM, stop)
                send(20, f"worker{number}")
                os.write(ready[1], b"x") if number else None
                while going and number:
                    time.sleep(0.01)
                sys.exit(0)
            children.append(child)
        got = b""
        while len(got) < 2:
            got += os.read(ready[0], 2)
        for child in children[1:]:
            os.kill(child, signal.SIGTERM)
        print([os.waitpid(child, 0)[1] for child in children])
        """
        status, out, err = run("ready = os.pipe()\n" + textwrap.dedent(body), receiver.url)
        assert (status, out, err) == (0, "[0, 0, 0]\n", "")
        assert who(receiver) == {"master": 3, "worker0": 20, "worker1": 20, "worker2": 20}


class TestDisk:
    KEPT = PREFACE.replace("flush_interval=600", 'flush_interval=600, buffer_directory=os.environ["KEPT"]')

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KEPT", str(tmp_path))

    def run(self, body: str, to: str, seconds: float = 60.0) -> tuple[int, str, str]:
        return run(body, to, seconds, self.KEPT)

    @pytest.mark.parametrize("pause", ["", "time.sleep(0.3);"], ids=["at once", "later"])
    def test_what_was_taken_survives_kill_9(self, pause: str, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        body = f"send(100, 'killed'); {pause} os.kill(os.getpid(), 9)"
        assert self.run(body, receiver.url)[0] == -9
        receiver.rule = None
        status, out, err = self.run("send(1, 'next'); writer.flush(); print(writer.statistics.restored)", receiver.url)
        assert (status, out, err) == (0, "100\n", "")
        assert who(receiver) == {"killed": 100, "next": 1}

    def test_a_kill_in_the_middle_of_a_line_costs_that_line_alone(self, receiver: Receiver, tmp_path: Path) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        self.run("send(100, 'killed'); os.kill(os.getpid(), 9)", receiver.url)
        (journal,) = [path for path in tmp_path.rglob("*.lines") if path.stat().st_size]
        journal.write_bytes(journal.read_bytes()[:-5])
        receiver.rule = None
        assert self.run("send(1, 'next'); writer.flush()", receiver.url)[0] == 0
        assert who(receiver) == {"killed": 99, "next": 1}

    def test_what_could_not_be_delivered_at_the_end_is_told_and_comes_later(self, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        status, _, err = self.run("send()", receiver.url, 0.2)
        assert status == 0
        assert "100 points are not delivered before the end, and kept in" in err
        receiver.rule = None
        assert self.run("send(1, 'next')", receiver.url)[0] == 0
        assert who(receiver) == {"main": 100, "next": 1}

    def test_processes_at_one_time_keep_apart_and_the_next_takes_up_what_the_dead_have_left(
        self, receiver: Receiver
    ) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        body = """
        child = os.fork()
        send(20, "parent" if child else "child")
        if child:
            os.waitpid(child, 0)
        os.kill(os.getpid(), 9)
        """
        assert self.run(body, receiver.url)[0] == -9
        receiver.rule = None
        body = "send(1, 'next'); writer.flush()\nwhile writer.statistics.delivered < 41: time.sleep(0.01)"
        status, _, err = self.run(body, receiver.url)
        assert (status, err) == (0, "")
        assert who(receiver) == {"parent": 20, "child": 20, "next": 1}

    def test_a_child_that_lives_on_does_not_hold_what_is_the_parents(self, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "away"})
        body = """
        send(20, "parent")
        if not os.fork():
            os.close(1); os.close(2)
            while os.getppid() == parent: time.sleep(0.01)
            sys.stdin.read()
            os._exit(0)
        os.kill(parent, 9)
        """
        process = subprocess.Popen(
            [sys.executable, "-c", self.KEPT + "\nparent = os.getpid()\n" + textwrap.dedent(body)],
            env={**os.environ, "TO": receiver.url, "TIME": "60"},
            stdin=subprocess.PIPE,
        )
        with process:  # its end closes the standard input, which ends the child
            assert process.wait(DEADLINE) == -9
            receiver.rule = None
            assert self.run("send(1, 'next'); writer.flush()", receiver.url)[0] == 0
            assert who(receiver) == {"parent": 20, "next": 1}
