"""A writer in this process, against a receiver: batches, failures, bounds, counting, ends."""

import asyncio
import contextlib
import inspect
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.client import BufferFull, ConfigError, Int, NotDelivered, PointError, Rejected, Writer, WriterClosed
from pyagent.client.host import host

DOWN = "http://127.0.0.1:1"


def names(lines: list[str]) -> list[str]:
    return [line.partition(" ")[0] for line in lines]


def until_it_fails(writer: Writer) -> None:
    """A flush that has hardly any time may end before it has begun."""
    while not writer.statistics.error:
        with contextlib.suppress(NotDelivered):
            writer.flush(0.05)


class TestDelivery:
    def test_points_arrive_in_order_and_in_one_request(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer(tags={"host": "h"})
        for n in range(100):
            writer.write("m", {"n": n}, {"a": "b"})
        writer.flush()
        assert [line.split()[1] for line in receiver.lines] == [f"n={n}" for n in range(100)]
        assert set(names(receiver.lines)) == {"m,a=b,host=h"}
        assert len(receiver.bodies) == 1
        assert receiver.headers[0]["Authorization"] == "Token t"
        counted = writer.statistics
        assert (counted.taken, counted.delivered, counted.waiting) == (100, 100, 0)
        assert counted.last_success is not None
        assert writer.close() == 0
        assert writer.statistics.delivered == 100

    def test_what_waits_is_sent_after_the_flush_interval(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer(flush_interval=0.01)
        writer.write("m", {"n": 1})
        receiver.wait_for(1)
        writer.write("m", {"n": 2})
        assert [line.split()[1] for line in receiver.wait_for(2)] == ["n=1", "n=2"]

    def test_a_full_batch_is_sent_at_once(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer(batch_size=10, flush_interval=3600)
        for n in range(25):
            writer.write("m", {"n": n})
        assert len(receiver.wait_for(20)) == 20, "what is no batch waits for its interval"

    def test_an_answer_that_is_none_of_influxdb_delivers_nothing(
        self, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        receiver.rule = lambda _: (200, {"status": "ok"})
        writer = make_writer()
        writer.write("m", {"n": 1})
        with pytest.raises(NotDelivered):
            writer.flush(0.1)
        until_it_fails(writer)
        assert "200 OK; these are not the words of InfluxDB: correct `url`" in writer.statistics.error
        assert (writer.statistics.delivered, writer.health()["status"]) == (0, "fail")

    def test_each_time_is_set_where_the_point_is_given(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer()
        writer.write("m", {"n": 1})
        writer.write("m", {"n": 1}, time=datetime.now())
        writer.flush()
        assert all(line.split()[2].isdigit() for line in receiver.lines)

    def test_threads_may_write_at_once(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer(batch_size=100)

        def work(thread: int) -> None:
            for n in range(500):
                writer.write("m", {"n": n}, {"thread": thread})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()
        assert len(receiver.lines) == 4000
        assert len(set(receiver.lines)) == 4000

    def test_one_thread_serves_all_writers_and_ends_with_the_last(self, make_writer: MakeWriter) -> None:
        before = set(threading.enumerate())
        writers = [make_writer() for _ in range(3)]
        for writer in writers:
            writer.write("m", {"n": 1})
            writer.flush()
        assert [one.name for one in set(threading.enumerate()) - before if "receiver" not in one.name].count(
            "pyagent client"
        ) == 1
        for writer in writers:
            writer.close()
        assert host.thread is None
        assert not any(one.name.startswith("pyagent client") for one in threading.enumerate())

    async def test_asyncio(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        async with make_writer() as writer:
            for n in range(300):
                writer.write("m", {"n": n})
            await writer.awrite("m", {"n": 300})
            await writer.aflush()
            assert len(receiver.lines) == 301
            assert len(receiver.bodies) == 1
            writer.write("m", {"n": 301})
        assert len(receiver.lines) == 302

    def test_a_closed_writer_says_so(self, make_writer: MakeWriter) -> None:
        writer = make_writer()
        writer.write("m", {"n": 1})
        assert writer.close() == 0
        assert writer.close() == 0
        with pytest.raises(WriterClosed, match="closed"):
            writer.write("m", {"n": 1})
        writer.flush()

    def test_one_that_was_never_used_can_be_closed(self, make_writer: MakeWriter) -> None:
        writer = make_writer()
        writer.flush()
        assert writer.close() == 0
        with pytest.raises(WriterClosed):
            writer.write("m", {"n": 1})


class TestFailures:
    def test_nothing_is_lost_while_the_receiver_is_away(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "busy"})
        writer = make_writer()
        for n in range(100):
            writer.write("m", {"n": n})
        with pytest.raises(NotDelivered) as raised:
            writer.flush(0)
        assert raised.value.left == 100
        until_it_fails(writer)
        with pytest.raises(NotDelivered, match=r"cannot deliver 100 points within 0 s: .*503.*they wait on"):
            writer.flush(0)
        counted = writer.statistics
        assert (counted.waiting, counted.delivered, counted.dropped) == (100, 0, 0)
        health = writer.health()
        assert (health["status"], health["waiting"], health["last_success"]) == ("fail", 100, None)
        receiver.rule = None
        writer.flush()
        assert len(receiver.lines) == 100
        assert "503" in writer.statistics.last_error
        assert writer.statistics.error == ""
        assert (writer.health()["status"], writer.health()["waiting"]) == ("pass", 0)

    def test_close_says_how_many_are_left(self, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
        writer = make_writer(url=DOWN)
        for n in range(7):
            writer.write("m", {"n": n})
        assert writer.close(0.2) == 7
        (message,) = [one.getMessage() for one in caplog.records if "before the end" in one.getMessage()]
        assert message.startswith("cannot deliver 7 points before the end, they are lost: cannot write to bucket 'b'")
        assert "buffer_directory" in message
        assert (writer.statistics.lost, writer.statistics.waiting) == (7, 0)

    def test_a_receiver_that_hangs_does_not_hold_close(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        receiver.hang.set()
        writer = make_writer(timeout=600, batch_size=10)
        for n in range(30):
            writer.write("m", {"n": n})
        assert writer.close(0.1) == 30

    def test_one_bad_line_costs_no_other(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        def rule(body: bytes) -> tuple[int, dict[str, Any]] | None:
            if b"n=500" in body:
                return 400, {"code": "invalid", "message": "there is something wrong"}
            return None

        receiver.rule = rule
        told: list[Rejected] = []
        writer = make_writer(on_rejected=told.append)
        for n in range(1000):
            writer.write("m", {"n": n})
        writer.flush()
        assert len(receiver.lines) == 999
        (rejected,) = told
        assert rejected.line.startswith("m n=500 ")
        assert "there is something wrong" in rejected.reason
        assert writer.rejected == told
        counted = writer.statistics
        assert (counted.taken, counted.delivered, counted.rejected, counted.waiting) == (1000, 999, 1, 0)

    def test_a_callback_may_write_and_ask_but_not_wait(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        receiver.rule = lambda body: (400, {"code": "invalid", "message": "no"}) if b"n=5 " in body else None
        told: list[Any] = []

        def callback(rejected: Rejected) -> None:
            writer.write("log", {"text": rejected.reason})
            told.append(writer.statistics.rejected)
            try:
                writer.flush()
            except RuntimeError as error:
                told.append(str(error))

        writer = make_writer(on_rejected=callback)
        for n in range(10):
            writer.write("m", {"n": n})
        writer.flush()
        writer.flush()
        assert len(receiver.lines) == 10
        assert told == [1, "cannot wait for the writer in on_rejected: it is the writer's own thread that calls it"]

    @pytest.mark.parametrize("kept", [False, True], ids=["made anew each time", "kept"])
    def test_a_callback_may_use_another_writer(
        self, kept: bool, make_writer: MakeWriter, receiver: Receiver, tmp_path: Path
    ) -> None:
        receiver.rule = lambda body: (
            (400, {"code": "invalid", "message": "no"}) if body.startswith(b"m ") and b"m n=5" in body else None
        )
        closed: list[int] = []
        others: list[Writer] = []

        def other() -> Writer:
            return Writer(
                receiver.url, "t", "o", "refused", buffer_directory=tmp_path, close_timeout=1e6, sigterm=False
            )

        def callback(rejected: Rejected) -> None:
            if kept:
                others[:] = others or [other()]
                others[0].write("refused", {"line": rejected.line})
                return
            with other() as mine:
                mine.write("refused", {"line": rejected.line})
            closed.append(mine.close())

        writer = make_writer(on_rejected=callback)
        for n in (4, 5):
            writer.write("m", {"n": n})
        writer.flush(1e6)
        for one in others:
            one.close(1e6)
        assert [line.partition(" 1")[0] for line in receiver.wait_for(2)] == ["m n=4", 'refused line="m n=5']
        assert closed == ([] if kept else [0])

    def test_a_callback_may_start_a_writer_where_threads_cannot_be_started(
        self, make_writer: MakeWriter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As at the end of the interpreter with some Pythons: the loop then runs in the thread that waits."""

        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name.startswith("pyagent"):
                raise RuntimeError("can't start new thread")
            start(thread)

        receiver.rule = lambda body: (
            (400, {"code": "invalid", "message": "no"}) if body.startswith(b"m ") and b"m n=5" in body else None
        )
        others: list[Writer] = []

        def callback(rejected: Rejected) -> None:
            others.append(make_writer())
            others[0].write("refused", {"line": rejected.line})
            assert others[0].statistics.waiting == 1

        writer = make_writer(on_rejected=callback)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for n in (4, 5):
                writer.write("m", {"n": n})
            writer.flush(1e6)
        assert others[0].close() == 0
        assert [line.partition(" 1")[0] for line in receiver.lines] == ["m n=4", 'refused line="m n=5']

    def test_points_go_out_when_the_system_has_a_thread_to_give_again(
        self, make_writer: MakeWriter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        writer = make_writer(batch_size=2)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            writer.write("m", {"n": 1})
        writer.write("m", {"n": 2})
        assert names(receiver.wait_for(2)) == ["m", "m"]

    def test_a_callback_that_raises_harms_nobody(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        receiver.rule = lambda body: (400, {"code": "invalid", "message": "no"}) if b"n=5" in body else None

        def broken(rejected: Rejected) -> None:
            raise RuntimeError

        writer = make_writer(on_rejected=broken)
        for n in range(10):
            writer.write("m", {"n": n})
        writer.flush()
        assert len(receiver.lines) == 9

    def test_a_field_of_another_type_in_the_bucket_is_written_with_that(
        self, make_writer: MakeWriter, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        conflict = (
            "failure writing points to database: partial write: field type conflict: "
            'input field "n" on measurement "m" is type float, already exists as type integer dropped=2'
        )

        def rule(body: bytes) -> tuple[int, dict[str, Any]] | None:
            bad = [line for line in body.splitlines() if line.startswith(b"m ") and b"i " not in line]
            receiver.stored += [line for line in body.splitlines() if line not in bad] if bad else []
            return (422, {"code": "unprocessable entity", "message": conflict}) if bad else None

        receiver.rule = rule
        writer = make_writer()
        writer.write("m", {"n": 4})
        writer.write("other", {"n": 4})
        writer.write("m", {"n": 0.5})
        writer.flush()
        writer.flush()
        assert sorted(line.rpartition(" ")[0] for line in receiver.lines) == ["m n=4i", "other n=4"]
        (rejected,) = writer.rejected
        assert rejected.line.startswith("m n=0.5 ")
        assert 'input field "n" on measurement "m" is type float, already exists as type integer' in rejected.reason
        counted = writer.statistics
        assert (counted.taken, counted.delivered, counted.rejected, counted.waiting) == (3, 2, 1, 0)
        assert "1 point is sent again with the type that the bucket has" in caplog.text
        assert caplog.text.count("refused for good") == 1

    def test_the_pause_that_the_receiver_asks_for_is_kept_for_all_that_waits(
        self, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        receiver.rule = lambda body: (503, {"message": "busy", "headers": {"Retry-After": "600"}})
        writer = make_writer(batch_size=10)
        for n in range(50):
            writer.write("m", {"n": n})
        for _ in range(3):
            with pytest.raises(NotDelivered):
                writer.flush(0.1)
        assert len(receiver.bodies) == 1

    def test_a_wrong_address_or_file_is_told_by_the_call(self, make_writer: MakeWriter) -> None:
        with pytest.raises(ConfigError, match="INFLUX_HOST"):
            Writer("localhost:8086", "t", "o", "b")
        with pytest.raises(ConfigError, match="INFLUX_BUCKET"):
            Writer("http://localhost:8086", "t", "o", "")
        with pytest.raises(ConfigError, match="names no socket"):
            Writer("unix://run")
        with pytest.raises(ConfigError, match="token"):
            Writer("http://localhost:8086", "a\nb", "o", "b")
        with pytest.raises(ConfigError, match=r"tls_ca '/nowhere/ca\.pem'"):
            make_writer(url="https://localhost:1", tls_ca="/nowhere/ca.pem").write("m", {"n": 1})

    @pytest.mark.parametrize(
        ("status", "message", "advice"),
        [
            (302, "", "into `url`"),
            (404, "what", "correct `url`"),
            (404, "organization name not found", "correct `org` ('o')"),
            (404, "bucket not found", "correct `bucket`"),
            (408, "late", "lower `batch_size`"),
            (400, "Please provide either orgID or org", "correct `org` or `url`"),
            (400, "", "correct `url`"),
        ],
    )
    def test_advice_is_in_the_words_of_the_arguments(
        self, status: int, message: str, advice: str, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        receiver.rule = lambda body: (status, {"code": "x", "message": message} if message else {})
        writer = make_writer()
        writer.write("m", {"n": 1})
        with pytest.raises(NotDelivered):
            writer.flush(0)
        until_it_fails(writer)
        for text in (writer.statistics.error, writer.statistics.last_error):
            assert advice in text
            assert not any(word in text for word in ("`urls`", "`organization`", "metric_batch_size", "http_headers"))

    @pytest.mark.parametrize("option", ["batch_size", "max_points", "max_bytes", "flush_interval", "close_timeout"])
    def test_a_bound_of_nothing_is_refused(self, option: str, make_writer: MakeWriter) -> None:
        with pytest.raises(ValueError, match=option):
            make_writer(**{option: 0})


class TestHealth:
    @pytest.mark.parametrize("options", [{"flush_interval": 0.01, "timeout": 600}, {"timeout": 0.5, "batch_size": 1}])
    def test_it_warns_while_no_answer_comes(
        self, options: dict[str, Any], make_writer: MakeWriter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pyagent.client.engine._SLACK", -0.4)
        receiver.hang.set()
        writer = make_writer(**options)
        writer.write("m", {"n": 1})
        while (health := writer.health())["status"] == "pass":
            pass
        assert health["status"] == "warn"
        assert health["error"].startswith(f"no answer from bucket 'b' at {receiver.url} for ")
        assert health["error"].endswith("; 1 point waits")
        assert (health["waiting"], health["last_success"]) == (1, None)

    def test_what_waits_for_its_flush_interval_is_well(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer()
        writer.write("m", {"n": 1})
        assert (writer.health()["status"], writer.health()["waiting"]) == ("pass", 1)
        writer.flush()
        writer.write("m", {"n": 1})
        assert writer.health()["status"] == "pass"


class TestBounds:
    def test_raise(self, make_writer: MakeWriter) -> None:
        writer = make_writer(url=DOWN, max_points=100, when_full="raise")
        for n in range(100):
            writer.write("m", {"n": n})
        with pytest.raises(BufferFull, match="100 points wait already"):
            writer.write("m", {"n": 100})
        assert (writer.statistics.taken, writer.statistics.waiting) == (100, 100)
        assert writer.close(0) == 100

    def test_raise_by_bytes(self, make_writer: MakeWriter) -> None:
        writer = make_writer(url=DOWN, max_bytes=10_000, when_full="raise")
        for _ in range(8):
            writer.write("m", {"text": "x" * 1000})
        with pytest.raises(BufferFull):
            writer.write_lines("m text=1\n" * 1000)
        assert writer.statistics.waiting == 8

    def test_drop_oldest(self, make_writer: MakeWriter, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        receiver.rule = lambda body: (503, {"message": "busy"})
        writer = make_writer(max_points=100, batch_size=10, when_full="drop_oldest")
        for n in range(1000):
            writer.write("m", {"n": n})
        with pytest.raises(NotDelivered):
            writer.flush(0.05)
        receiver.rule = None
        writer.flush()
        counted = writer.statistics
        assert counted.delivered + counted.dropped == counted.taken == 1000
        assert 0 < counted.delivered <= 110
        assert receiver.lines[-1].startswith("m n=999 ")
        assert "dropped so far" in caplog.text

    def test_block(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        receiver.rule = lambda body: (503, {"message": "busy"})
        writer = make_writer(max_points=100, batch_size=10)
        done = threading.Event()

        def work() -> None:
            for n in range(300):
                writer.write("m", {"n": n})
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        while writer.statistics.waiting < 100:
            pass
        assert not done.is_set()
        receiver.rule = None
        thread.join()
        writer.flush()
        assert [line.split()[1] for line in receiver.lines] == [f"n={n}" for n in range(300)]

    async def test_asyncio_waits_for_room_without_stopping_other_tasks(
        self, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        receiver.rule = lambda body: (503, {"message": "busy"})
        writer = make_writer(max_points=20, batch_size=10)
        for n in range(20):
            writer.write("m", {"n": n})

        async def more() -> None:
            await writer.awrite("m", {"n": 20})

        while not writer._is_full():
            await asyncio.sleep(0.001)
        task = asyncio.create_task(more())
        await asyncio.sleep(0.02)
        assert not task.done()
        receiver.rule = None
        await task
        await writer.aclose()
        assert len(receiver.lines) == 21

    def test_a_bound_below_a_batch_stops_nobody(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        for options in ({"max_points": 10}, {"max_bytes": 1000}):
            writer = make_writer(**options)
            for n in range(100):
                writer.write("m", {"n": n})
            writer.close()
        assert len(receiver.lines) == 200


class TestLines:
    def test_lines_are_taken_as_they_are(self, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer(tags={"host": "h"})
        assert writer.write_lines(b"m,a=b n=4i 1800000000000000000\nm n=4\n") == 2
        assert writer.write_lines("m n=5u 1800000000", precision="s") == 1
        writer.flush()
        assert receiver.lines[0] == "m,a=b,host=h n=4i 1800000000000000000"
        assert receiver.lines[2] == "m,host=h n=5u 1800000000000000000"

    def test_a_bad_line_costs_no_other(
        self, make_writer: MakeWriter, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[Rejected] = []
        writer = make_writer(on_rejected=told.append)
        assert writer.write_lines("m n=1\nm n=\nm n=2 1800000000\nm n=3\n") == 2
        writer.flush()
        assert [line.split()[1] for line in receiver.lines] == ["n=1", "n=3"]
        assert [one.line for one in told] == ["m n=", "m n=2 1800000000"]
        assert "line 2, column" in told[0].reason
        assert "1970-01-01T00:00:01Z as nanoseconds" in told[1].reason
        assert writer.statistics.refused == 2
        assert "2 lines or rows are not taken" in caplog.text

    def test_a_text_that_influxdb_does_not_take_costs_its_line_alone(
        self, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        writer = make_writer()
        longest = "x" * 2**20
        assert writer.write_lines(f'm n=1\nm t="{longest}y"\nm t="{longest}"\n') == 2
        (refused,) = writer.rejected
        assert "'t' has 1048577 bytes of text; InfluxDB takes 1048576" in refused.reason
        writer.flush()
        assert len(receiver.lines) == 2
        assert writer.write_lines(b't t="%s\xff"\nm t="\xff"\n' % longest.encode()) == 1
        assert "'t' has 1048577 bytes of text" in list(writer.rejected)[-1].reason


def test_what_is_far_ahead_is_warned_of_once(make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    writer = make_writer()
    soon = datetime.now() + timedelta(minutes=61)
    for _ in range(3):
        writer.write("m", {"n": 1}, time=soon)
    (record,) = [one for one in caplog.records if "future" in one.getMessage()]
    assert "of a point of 'm' is 60 min in the future" in record.getMessage()


def test_a_refused_point_is_not_counted(make_writer: MakeWriter, receiver: Receiver) -> None:
    writer = make_writer(schema={"f": float})
    writer.write("m", {"f": Int(1)})
    with pytest.raises(PointError):
        writer.write("#m", {"f": 1})
    writer.flush()
    assert writer.statistics.taken == 1
    assert len(receiver.lines) == 1


def test_the_environment_gives_what_is_not_given(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, make_writer: MakeWriter
) -> None:
    for name, value in {"HOST": receiver.url, "TOKEN": "secret-of-env", "ORG": "o", "BUCKET": "b"}.items():
        monkeypatch.setenv(f"INFLUX_{name}", value)
    with Writer(sigterm=False) as writer:
        writer.write("m", {"n": 1})
    assert receiver.headers[0]["Authorization"] == "Token secret-of-env"
    assert "secret-of-env" not in repr(writer._settings)


def test_its_import_brings_nothing_that_costs(tmp_path: Path) -> None:
    code = "import sys, pyagent.client; print(*({'aiohttp', 'asyncio', 'isal', 'psutil'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout.strip() == ""


def test_the_page_has_every_argument_and_every_name(root: Path) -> None:
    page = (root / "docs" / "client.md").read_text()
    arguments = set(inspect.signature(Writer).parameters) - {"token", "org", "bucket"}  # by their variables
    calls = {name for name in vars(Writer) if not name.startswith("_")} - {"rejected"}
    assert sorted(name for name in arguments | calls if name not in page) == []


def test_its_benchmark_starts_beside_one_that_has_the_name_of_a_library(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "bench" / "client.py", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
