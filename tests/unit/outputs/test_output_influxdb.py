"""outputs.influxdb: what it sends to an InfluxDB 1, and what becomes of a batch for each answer."""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pyagent.api import ConfigError, Metric, PartialWrite, Partition, Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, MemoryBatch, Raw, ScriptedServer, make_batch, make_output, write
from pyagent_plugins.outputs.influxdb import InfluxDB1

LINES = ["mem,host=a used=1i 10", "mem,host=b used=2i 20", "mem,host=c used=3i 30"]
CREATED = Answer(200, '{"results":[{"statement_id":0}]}')


def error(status: int, text: str, **headers: str) -> Answer:
    """As InfluxDB 1.6 says it."""
    named = {"Content-Type": "application/json", "X-Influxdb-Version": "1.6.7", "X-Influxdb-Error": "..."}
    return Answer(status, json.dumps({"error": text}) + "\n", named | headers)


async def outcome(
    *script: Answer | Raw, lines: list[str] | None = None, **options: Any
) -> tuple[Exception | None, ScriptedServer]:
    """What one write ends in; the database is there."""
    options = {"skip_database_creation": True, "password": "nobody-sees-it", **options}
    async with ScriptedServer(*script) as server:
        plugin = make_output(InfluxDB1, {"urls": [server.url], **options})
        try:
            await write(plugin, MemoryBatch(lines or LINES))
        except (Retry, Reject, TooLarge) as failure:
            text = str(failure)
            assert text.startswith(f"cannot write to database 'telegraf' at {server.url}: ")
            assert "nobody-sees-it" not in text
            assert "\n" not in text
            return failure, server
        finally:
            await plugin.close()
        return None, server


class TestRequests:
    async def test_defaults(self) -> None:
        failure, server = await outcome()
        [request] = server.requests
        assert failure is None
        assert (request.method, request.target) == ("POST", "/write?db=telegraf")
        assert request.headers["content-encoding"] == "gzip"
        assert request.text == "".join(line + "\n" for line in LINES)

    @pytest.mark.parametrize(("consistency", "query"), [("", {}), ("one", {}), ("quorum", {"consistency": ["quorum"]})])
    async def test_consistency_and_retention_policy(self, consistency: str, query: dict[str, list[str]]) -> None:
        async with ScriptedServer() as server:
            table = {"urls": [server.url], "skip_database_creation": True, "retention_policy": "a b"}
            plugin = make_output(InfluxDB1, table | {"write_consistency": consistency, "database": ""})
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        found = parse_qs(urlsplit(server.requests[0].target).query)
        assert found == {"db": ["telegraf"], "rp": ["a b"], **query}

    @pytest.mark.parametrize(
        ("options", "header"),
        [
            ({"username": "u"}, "Basic dTo="),
            ({"http_headers": {"authorization": "Bearer x"}, "username": "u"}, "Bearer x"),
        ],
    )
    async def test_credentials(self, options: dict[str, Any], header: str) -> None:
        _, server = await outcome(password="", **options)
        assert server.requests[0].headers["authorization"] == header

    async def test_credentials_of_the_url(self) -> None:
        async with ScriptedServer() as server:
            url = server.url.replace("//", "//us%40er:pa%3Ass@")
            plugin = make_output(InfluxDB1, {"urls": [url], "skip_database_creation": True})
            assert "pa" not in plugin.destination(None)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert server.requests[0].headers["authorization"] == "Basic dXNAZXI6cGE6c3M="

    async def test_the_old_name_of_urls(self) -> None:
        async with ScriptedServer() as server:
            plugin = make_output(InfluxDB1, {"url": server.url, "precision": "s", "skip_database_creation": True})
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"urls": ["ftp://x"]}, "unsupported scheme 'ftp'"),
            ({"urls": ["udp://x"]}, "it names no port"),
            ({"urls": ["unix://x"]}, "it names no socket"),
            ({"write_consistency": "some"}, "write_consistency"),
            ({"content_encoding": "br"}, "content_encoding"),
            ({"http_headers": {"a": "b\nc"}}, "line break"),
            ({"database_tag": 'a"b', "retention_policy_tag": "c"}, "cannot use these tags"),
        ],
    )
    def test_wrong_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            make_output(InfluxDB1, options)


class TestDatabases:
    async def test_it_is_created_once(self) -> None:
        async with ScriptedServer(CREATED) as server:
            plugin = make_output(InfluxDB1, {"urls": [server.url]})
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert [request.target for request in server.requests] == ["/query", *["/write?db=telegraf"] * 2]

    @pytest.mark.parametrize(
        "answer",
        [
            error(403, "not authorized to execute statement"),
            Answer(200, '{"results":[{"error":"invalid name"}]}'),
            Answer(404),
            Answer(200, "[]"),
        ],
    )
    async def test_one_that_cannot_be_created_is_written_to(
        self, answer: Answer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ScriptedServer(answer) as server:
            plugin = make_output(InfluxDB1, {"urls": [server.url]})
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert [request.target for request in server.requests] == ["/query", "/write?db=telegraf"]
        assert len(caplog.records) == (answer.body != "[]")

    async def test_a_server_without_one_gets_it_and_the_batch(self) -> None:
        lost = error(404, 'database not found: "telegraf"')
        async with ScriptedServer(CREATED, Answer(), lost, CREATED) as server:
            plugin = make_output(InfluxDB1, {"urls": [server.url]})
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        targets = [request.target.partition("?")[0] for request in server.requests]
        assert targets == ["/query", "/write", "/write", "/query", "/write"]

    async def test_without_leave_the_batch_is_kept(self) -> None:
        failure, server = await outcome(error(404, 'database not found: "telegraf"'))
        assert isinstance(failure, Retry)
        assert failure.needs_operator
        assert "skip_database_creation is set" in str(failure)
        assert len(server.requests) == 1

    async def test_a_warning_comes_once(self, caplog: pytest.LogCaptureFixture) -> None:
        refusal = error(401, "authorization failed")
        async with ScriptedServer(*[refusal] * 4) as server:
            plugin = make_output(InfluxDB1, {"urls": [server.url]})
            for _ in range(2):
                with pytest.raises(Retry, match=r"401 .*correct `username`"):
                    await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]


class TestAnswers:
    @pytest.mark.parametrize("answer", [Answer(204), Answer(200), error(500, "hinted handoff queue not empty")])
    async def test_delivered(self, answer: Answer) -> None:
        assert (await outcome(answer))[0] is None

    @pytest.mark.parametrize(
        ("answer", "slow"),
        [
            (Answer(503), False),
            (error(500, "timeout"), False),
            (error(500, "engine: cache-max-memory-size exceeded"), False),
            (error(400, "unexpected EOF"), False),
            (Answer(429, headers={"Retry-After": "7"}), False),
            (Answer(408), False),
            (error(400, "database is required"), True),
            (error(400, "invalid consistency level"), True),
            (error(401, "authorization failed"), True),
            (error(403, '"u" user is not authorized to write to database "telegraf"'), True),
            (error(500, "retention policy not found: week"), True),
            (Answer(404, "404 page not found\n", {"Content-Type": "text/plain"}), True),
            (Answer(302, headers={"Location": "http://elsewhere"}), True),
            (Answer(200, "<html>log in</html>", {"Content-Type": "text/html"}), True),
            (Answer(400, "<html>bad</html>", {"Content-Type": "text/html"}), True),
            (Answer(400, "bad", {"Content-Type": "text/plain"}), True),
            (Raw(then="reset"), False),
        ],
    )
    async def test_kept(self, answer: Answer | Raw, slow: bool) -> None:
        failure, _ = await outcome(answer)
        assert type(failure) is Retry
        assert failure.needs_operator is slow
        if isinstance(answer, Answer) and answer.headers.get("Retry-After"):
            assert failure.after == pytest.approx(7, abs=1)

    async def test_too_large(self) -> None:
        failure, _ = await outcome(error(413, "Request Entity Too Large"))
        assert isinstance(failure, TooLarge)

    async def test_no_line_can_be_read(self) -> None:
        text = "unable to parse 'bad': missing fields\nunable to parse 'worse x': invalid field format"
        failure, _ = await outcome(error(400, text), lines=["bad", "worse x"])
        assert type(failure) is Reject
        assert failure.indices == (0, 1)

    async def test_the_lines_that_can_be_read_are_stored(self) -> None:
        text = "partial write: unable to parse 'bad': missing fields\nunable to parse 'b x': invalid field format dropped=0"
        failure, _ = await outcome(error(400, text), lines=["bad", "mem used=1i 5", "b x"])
        assert isinstance(failure, PartialWrite)
        assert (failure.rejected, failure.suspects) == (2, (0, 2))

    async def test_a_conflict_of_types(self) -> None:
        text = (
            'partial write: field type conflict: input field "v" on measurement "m" is type float, '
            "already exists as type integer dropped=2"
        )
        failure, _ = await outcome(error(400, text), lines=["m v=1 1", "m w=2 2", "m v=3 3", "n v=4 4"])
        assert isinstance(failure, PartialWrite)
        assert (failure.rejected, failure.suspects) == (2, (0, 2))

    async def test_points_beyond_the_retention_policy_are_the_oldest(self) -> None:
        text = "partial write: points beyond retention policy dropped=2"
        failure, _ = await outcome(error(400, text), lines=["m v=1 50", "m v=2 2", "m v=3 40", "m v=4 1"])
        assert isinstance(failure, PartialWrite)
        assert (failure.rejected, failure.suspects) == (2, (1, 3))

    async def test_a_limit_that_names_nothing(self) -> None:
        text = "partial write: max-series-per-database limit exceeded: (1) dropped=1"
        failure, _ = await outcome(error(400, text))
        assert isinstance(failure, PartialWrite)
        assert (failure.rejected, failure.suspects) == (1, ())

    async def test_the_next_server_is_asked(self) -> None:
        async with ScriptedServer(*[Answer(500)] * 2) as one, ScriptedServer() as two:
            plugin = make_output(InfluxDB1, {"urls": [one.url, two.url], "skip_database_creation": True})
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert len(two.requests) == 2


class TestPartitions:
    @pytest.mark.parametrize(
        ("partition", "place"),
        [
            ("x/y", "database 'x', retention policy 'y',"),
            ("x/", "database 'x', retention policy 'p',"),
            ("/y", "database 'd', retention policy 'y',"),
            ("/", "database 'd', retention policy 'p',"),
            ("a/b/", "database 'a/b', retention policy 'p',"),
            (None, "database 'd', retention policy 'p',"),
        ],
    )
    def test_both_tags(self, partition: str | None, place: str) -> None:
        options = {"database": "d", "retention_policy": "p", "database_tag": "db", "retention_policy_tag": "rp"}
        plugin = make_output(InfluxDB1, {**options, "exclude_retention_policy_tag": True})
        assert plugin.destination(partition).partition(" at ")[0] == place
        assert plugin.partition() == Partition(template='{{.Tag "db"}}/{{.Tag "rp"}}', leaves_out=("rp",))

    @pytest.mark.parametrize(
        ("kind", "place"),
        [("database", "database 'x'"), ("retention_policy", "database 'telegraf', retention policy 'x',")],
    )
    def test_one_tag(self, kind: str, place: str) -> None:
        plugin = make_output(InfluxDB1, {f"{kind}_tag": "t", f"exclude_{kind}_tag": True})
        assert plugin.partition() == Partition("t", True)
        assert plugin.destination("x").partition(" at ")[0] == place

    async def test_a_database_whose_name_is_not_utf8_is_asked_for_by_its_bytes(self) -> None:
        async with ScriptedServer(CREATED) as server:
            plugin = make_output(InfluxDB1, {"urls": [server.url], "database_tag": "t"})
            await write(plugin, MemoryBatch(LINES, partition="\udcff"))
            await plugin.close()
        created, written = server.requests
        assert created.text == "q=CREATE+DATABASE+%22%FF%22"
        assert written.target == "/write?db=%FF"
        assert plugin.destination("\udcff").startswith(r"database '\xff' at ")


class TestDatagrams:
    async def received(self, metrics: list[Metric], **options: Any) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.setblocking(False)
            url = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
            plugin = make_output(InfluxDB1, {"urls": [url], **options})
            await plugin.connect()
            await write(plugin, make_batch(plugin, metrics))
            await plugin.close()
            datagrams = []
            async with asyncio.timeout(10):
                while sum(datagram.count(b"=") for datagram in datagrams) < sum(len(m.fields) for m in metrics):
                    datagrams.append(await asyncio.get_running_loop().sock_recv(receiver, 65536))
        return datagrams

    async def test_a_datagram_for_each_line(self) -> None:
        metrics = [Metric("m", {}, {"v": n, "s": 'a\nb"'}, n) for n in range(100)]
        found = await self.received(metrics)
        assert found == [f'm v={n}i,s="a\nb\\"" {n}\n'.encode() for n in range(100)]

    async def test_a_long_line_is_split_by_its_fields(self) -> None:
        metrics = [Metric("m", {"t": "u"}, {f"f{n}": n for n in range(20)}, 5)]
        found = await self.received(metrics, udp_payload="50B", local_address="127.0.0.1")
        assert len(found) > 1
        assert all(len(line) <= 50 and line.startswith(b"m,t=u f") and line.endswith(b" 5\n") for line in found)

    async def test_nobody_there_is_told_by_the_next_write(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        plugin = make_output(InfluxDB1, {"urls": [f"udp4://127.0.0.1:{port}"]})
        with pytest.raises(Retry, match=f"cannot send to udp4://127.0.0.1:{port}"):
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()


async def test_a_unix_socket(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "influx.sock")
    plugin = make_output(InfluxDB1, {"urls": [f"unix://{tmp_path}/influx.sock"], "skip_database_creation": True})
    await write(plugin, MemoryBatch(LINES))
    await plugin.close()
    server.close()
    await server.wait_closed()
    assert seen[0].startswith(b"POST /write?db=telegraf HTTP/1.1\r\n")
