"""outputs.influxdb_v2 against a server that answers by a script: its requests, and what becomes of the batch."""

import asyncio
import gzip
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, LineOptions, Reject, Retry, Secret, TooLarge
from pyagent.testing.outputs import Answer, MemoryBatch, Raw, ScriptedServer, make_output, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB
from pyagent_plugins.outputs.influxdb_v2.address import WriteAddress
from pyagent_plugins.outputs.influxdb_v2.answers import named_lines

TOKEN = "a-token-that-nobody-may-see"
NO_SUCH_PATH = 'remoteAddr: "127.0.0.1:1"; requestURI: /x; unsupported path requested: "/x"\n'  # of VictoriaMetrics
LINES = ["mem,host=a used=1i 10", "mem,host=b used=2i 20", "mem,host=c used=3i 30"]


def output(*urls: str, **options: Any) -> InfluxDB:
    table = {"urls": list(urls), "token": TOKEN, "organization": "o", "bucket": "b", **options}
    return make_output(InfluxDB, table)


async def outcome(
    *script: Answer | Raw, lines: list[str] | None = None, **options: Any
) -> tuple[Exception | None, ScriptedServer]:
    """What one write ends in; every message is checked for being one line without the token."""
    async with ScriptedServer(*script) as server:
        plugin = output(server.url, **options)
        try:
            await write(plugin, MemoryBatch(lines or LINES))
        except (Retry, Reject, TooLarge) as error:
            text = str(error)
            assert text.startswith(f"cannot write to bucket 'b' at {server.url}: ")
            assert TOKEN not in text
            assert "\n" not in text
            assert len(text) <= 500
            return error, server
        finally:
            await plugin.close()
        return None, server


class TestRequest:
    async def test_is_as_telegraf_sends_it(self) -> None:
        _, server = await outcome(organization="my org", bucket="b")
        (request,) = server.requests
        assert (request.method, request.target) == ("POST", "/api/v2/write?bucket=b&org=my+org")
        assert request.headers["authorization"] == f"Token {TOKEN}"
        assert request.headers["content-type"] == "text/plain; charset=utf-8"
        assert request.headers["content-encoding"] == "gzip"
        assert request.headers["user-agent"].startswith("pyagent/")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert gzip.decompress(request.body).decode() == "".join(f"{line}\n" for line in LINES)

    async def test_identity_has_no_content_encoding(self) -> None:
        _, server = await outcome(content_encoding="identity")
        (request,) = server.requests
        assert "content-encoding" not in request.headers
        assert request.body.decode().splitlines() == LINES

    @pytest.mark.parametrize(
        ("suffix", "bucket", "organization", "target"),
        [
            ("", "b/1", "my org", "/api/v2/write?bucket=b%2F1&org=my+org"),
            ("/", "b", "o", "/api/v2/write?bucket=b&org=o"),
            ("/base/", "b", "o", "/base/api/v2/write?bucket=b&org=o"),
            ("/base/?keep=1&a=b", "b/1", "my org", "/base/api/v2/write?a=b&bucket=b%2F1&keep=1&org=my+org"),
            ("//deep/../base//x", "b", "o", "/base/x/api/v2/write?bucket=b&org=o"),
            ("?bucket=other&org=another", "b", "o", "/api/v2/write?bucket=b&org=o"),
            ("/a%20b", "b&c=d", "é~-_.", "/a%20b/api/v2/write?bucket=b%26c%3Dd&org=%C3%A9~-_."),
            ("", "", "", "/api/v2/write?bucket=&org="),
        ],
    )
    async def test_path_and_query(self, suffix: str, bucket: str, organization: str, target: str) -> None:
        async with ScriptedServer() as server:
            plugin = output(server.url + suffix, bucket=bucket, organization=organization)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert server.requests[0].target == target

    async def test_an_empty_token_is_sent_too(self) -> None:
        _, server = await outcome(token="")
        assert server.requests[0].headers["authorization"] == "Token"

    async def test_own_headers_win(self) -> None:
        own = {"X-Site": "north", "authorization": "Bearer other", "user-agent": "mine/2", "Host": "elsewhere.example"}
        _, server = await outcome(http_headers=own, user_agent="mine/1")
        headers = server.requests[0].headers
        assert {name.lower(): headers[name.lower()] for name in own} == {name.lower(): own[name] for name in own}

    async def test_user_agent(self) -> None:
        _, server = await outcome(user_agent="mine/1")
        assert server.requests[0].headers["user-agent"] == "mine/1"

    async def test_the_connection_is_kept(self) -> None:
        async with ScriptedServer(Answer(204), Answer.error(500, "internal error", "x")) as server:
            plugin = output(server.url)
            await write(plugin, MemoryBatch(LINES))
            with pytest.raises(Retry):
                await write(plugin, MemoryBatch(LINES))
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (server.connections, len(server.requests)) == (1, 3)

    async def test_a_large_body_arrives_whole(self) -> None:
        lines = [f'm s="{"x" * 100_000}" {n}' for n in range(40)]
        error, server = await outcome(lines=lines, content_encoding="identity")
        assert error is None
        assert server.requests[0].text.splitlines() == lines

    async def test_through_a_proxy(self) -> None:
        async with ScriptedServer(Answer(502)) as proxy:
            plugin = output("http://influx.example:8086", http_proxy=f"http://me:the-password@127.0.0.1:{proxy.port}")
            with pytest.raises(Retry, match=r"at http://influx\.example:8086: 502"):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert proxy.requests[0].target == "http://influx.example:8086/api/v2/write?bucket=b&org=o"
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")

    async def test_a_proxy_that_refuses_does_not_show_its_password(self) -> None:
        async with ScriptedServer(Answer(407)) as proxy:
            plugin = output("https://influx.example", http_proxy=f"http://me:the-password@127.0.0.1:{proxy.port}")
            with pytest.raises(Retry, match="the proxy answered 407") as caught:
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert "the-password" not in str(caught.value)

    def test_line_options(self) -> None:
        assert output().line_options() == LineOptions()
        chosen = output(influx_uint_support=True, influx_omit_timestamp=True).line_options()
        assert chosen == LineOptions(uint_support=True, omit_timestamp=True)


class TestDelivered:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 207, 208])
    async def test_statuses(self, status: int) -> None:
        error, server = await outcome(Answer(status))
        assert error is None
        assert len(server.requests) == 1

    async def test_the_status_is_enough_where_the_body_breaks_off(self) -> None:
        error, server = await outcome(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"))
        assert error is None
        assert len(server.requests) == 1

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_the_status_is_enough_where_the_body_cannot_be_inflated(self, encoding: str) -> None:
        error, _ = await outcome(Answer(200, b"not compressed at all", {"Content-Encoding": encoding}))
        assert error is None


class TestKept:
    @pytest.mark.parametrize("status", [203, 205, 226, 408, 425, 429, 500, 501, 502, 503, 504, 507, 599])
    async def test_what_time_may_heal(self, status: int) -> None:
        error, server = await outcome(Answer(status))
        assert isinstance(error, Retry)
        assert (error.slow, error.after) == (False, None)
        assert f": {status} Reason" in str(error)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "advice"),
        [
            (Answer.error(401, "unauthorized", "unauthorized access"), "correct `token`"),
            (Answer.error(403, "forbidden", "insufficient permissions for write"), "give a `token` that may write"),
            (Answer.error(404, "not found", 'bucket "b" not found'), "make the bucket or correct `bucket`"),
            (Answer.error(404, "not found", 'organization name "o" not found'), "correct `organization` ('o')"),
            (Answer(404, "404 page not found"), "if it is no InfluxDB 2, correct `urls`"),
            (Answer.error(400, "invalid", "Please provide either orgID or org"), "correct `organization` or `urls`"),
            (Answer.error(400, "invalid", "invalid precision; valid are ns, us"), "correct `organization` or `urls`"),
            (Answer(400, "<html>plain HTTP to an HTTPS port", {"Content-Type": "text/html"}), "it is no InfluxDB 2"),
            (Answer(200, "<html>Please log in", {"Content-Type": "Text/HTML; charset=utf-8"}), "it is no InfluxDB 2"),
            (Answer(400, NO_SUCH_PATH, {"Content-Type": "text/plain; charset=utf-8"}), "correct the path in `urls`"),
            *((Answer(status), "correct `urls`") for status in (402, 405, 406, 407, 409, 410, 411, 415, 418, 431, 451)),
            *((Answer(status), "redirects are not followed") for status in (300, 301, 302, 303, 304, 307, 308)),
        ],
    )
    async def test_what_only_a_person_can_mend(self, answer: Answer, advice: str) -> None:
        error, server = await outcome(answer)
        assert isinstance(error, Retry)
        assert error.slow
        assert advice in str(error)
        assert len(server.requests) == 1

    async def test_a_redirect_is_shown_and_its_query_is_not(self) -> None:
        error, server = await outcome(
            Answer(302, headers={"Location": "https://me:pass-word@influx.example/api?secret=1"})
        )
        assert "(https://influx.example/api)" in str(error)
        assert len(server.requests) == 1

    async def test_a_body_that_broke_on_its_way_is_sent_again_as_it_is(self) -> None:
        error, _ = await outcome(Answer.error(400, "invalid", "unable to read data: gzip: invalid checksum"))
        assert isinstance(error, Retry)
        assert not error.slow

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("2", 2.0),
            ("1.5", 1.5),
            ("0", None),
            ("-3", None),
            ("86400", 600.0),
            ("nan", None),
            ("inf", 600.0),
            ("x", None),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    async def test_retry_after_in_seconds(self, status: int, header: str, seconds: float | None) -> None:
        error, _ = await outcome(Answer(status, headers={"Retry-After": header}))
        assert isinstance(error, Retry)
        # Counted from the answer on: a little of it has passed.
        assert error.after == (seconds and pytest.approx(seconds, abs=0.5))

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("Mon, 02 Jan 2040 10:00:03 GMT", 3.0),
            ("Mon, 02 Jan 2040 12:00:00 GMT", 600.0),
            ("Mon, 02 Jan 2040 09:00:00 GMT", None),
            ("Mon, 02 Jan 2040 10:00:03 -0000", 3.0),
            ("Mon, 99 Jan 2040 10:00:03 GMT", None),
        ],
    )
    async def test_retry_after_as_a_date_counts_by_the_servers_clock(self, header: str, seconds: float | None) -> None:
        headers = {"Retry-After": header, "Date": "Mon, 02 Jan 2040 10:00:00 GMT"}
        error, _ = await outcome(Answer(503, headers=headers))
        assert isinstance(error, Retry)
        assert error.after == (seconds and pytest.approx(seconds, abs=0.5))

    async def test_retry_after_as_a_date_without_the_servers_clock(self) -> None:
        date = format_datetime(datetime(2100, 1, 1, tzinfo=UTC), usegmt=True)
        error, _ = await outcome(Answer(429, headers={"Retry-After": date}))
        assert isinstance(error, Retry)
        assert error.after == pytest.approx(600.0, abs=0.5)

    @pytest.mark.parametrize(
        ("step", "cause"),
        [
            (Raw(then="reset"), "the server closed the connection without an answer|Connection reset by peer"),
            (Raw(), "the server closed the connection without an answer"),
            (Raw(b"HTTP/1.1 20"), "the server closed the connection without an answer"),
            (Raw(b"SSH-2.0-OpenSSH_9\r\n"), "the answer is not HTTP"),
            (Raw(b"HTTP/1.1 204 No\r\n" + b"X: " + b"y" * 100_000), "the answer is not HTTP"),
        ],
    )
    async def test_a_broken_answer(self, step: Raw, cause: str) -> None:
        error, _ = await outcome(step, step)
        assert isinstance(error, Retry)
        assert not error.slow
        assert any(text in str(error) for text in cause.split("|"))

    async def test_no_answer(self) -> None:
        error, _ = await outcome(Raw(then="stall"), timeout="100ms")
        assert isinstance(error, Retry)
        assert "no answer within 0.1 s" in str(error)

    async def test_nobody_listens(self) -> None:
        async with ScriptedServer() as server:
            pass
        plugin = output(server.url)
        with pytest.raises(Retry, match=r"cannot connect to 127\.0\.0\.1:\d+: Connect") as caught:
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert not caught.value.slow


class TestTooLarge:
    async def test_413(self) -> None:
        error, _ = await outcome(Answer(413, "<html>nginx", {"Content-Type": "text/html"}))
        assert isinstance(error, TooLarge)

    async def test_413_in_the_midst_of_the_body(self) -> None:
        early = Raw(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "stall", unread=True)
        error, _ = await outcome(
            early, lines=[f'm s="{"x" * 100_000}" {n}' for n in range(100)], content_encoding="identity"
        )
        assert isinstance(error, TooLarge)


def conflict(dropped: str) -> Answer:
    text = f'partial write: field type conflict: input field "used" on measurement "mem" is type float{dropped}'
    return Answer.error(422, "unprocessable entity", f"failure writing points to database: {text}")


class TestRejected:
    async def test_a_partial_write_is_not_sent_again(self) -> None:
        error, server = await outcome(conflict(" dropped=2 for database: 12 for retention policy: autogen"))
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == (None, True, 2)
        assert "422 unprocessable entity: failure writing points" in str(error)
        assert len(server.requests) == 1

    async def test_a_partial_write_of_nothing_names_all_lines(self) -> None:
        error, _ = await outcome(conflict(" dropped=3"))
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == ((0, 1, 2), True, 3)

    async def test_a_stripped_field_drops_no_metric(self) -> None:
        error, _ = await outcome(conflict(" dropped=0"))
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == (None, True, 0)

    @pytest.mark.parametrize("answer", [conflict(""), Answer(422), Answer.error(422, "x", "dropped=2")])
    async def test_a_422_that_does_not_say_what_was_stored_is_bisected(self, answer: Answer) -> None:
        error, _ = await outcome(answer)
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored) == (None, False)

    async def test_influxdb_1_says_400_for_a_partial_write(self) -> None:
        body = '{"error":"partial write: field type conflict: input field \\"used\\" dropped=1"}'
        error, _ = await outcome(Answer(400, body, {"Content-Type": "application/json"}))
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == (None, True, 1)
        assert "400 Reason: partial write" in str(error)

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(400),
            Answer(400, "cannot unmarshal", {"Content-Type": "text/plain"}),
            Answer(400, "[" * 100_000, {"Content-Type": "application/json"}),
            Answer(400, "[1]", {"Content-Type": "application/json"}),
            Answer(400, b"\xff\xfe\x00", {"Content-Type": "application/json"}),
            Answer.error(400, "invalid", "unable to parse 'a line that is not ours v=': missing field value"),
            Answer.error(400, "invalid", "unable to parse '"),
            Answer(400, b"x" * (2 << 20), {"Content-Type": "text/plain"}),
            Raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 50\r\n\r\n{"),
        ],
    )
    async def test_a_400_that_names_no_line_is_bisected(self, answer: Answer | Raw) -> None:
        error, _ = await outcome(answer)
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored) == (None, False)

    async def test_the_whole_message_is_never_shown(self) -> None:
        error, _ = await outcome(Answer.error(400, "invalid", f"\x1b[31mred\r\n{TOKEN} " + "x" * 5000))
        assert " [31mred *** xxx" in str(error)
        assert "\x1b" not in str(error)


def parse_error(*lines: str) -> Answer:
    return Answer.error(400, "invalid", "\n".join(f"unable to parse '{line}': missing fields" for line in lines))


class TestNamedLines:
    async def named(self, lines: list[str], answer: Answer) -> tuple[int, ...] | None:
        error, _ = await outcome(answer, lines=lines)
        assert isinstance(error, Reject)
        assert not error.rest_stored
        return error.lines

    async def test_one(self) -> None:
        assert await self.named(["m v=1 1", "broken", "m v=3 3"], parse_error("broken")) == (1,)

    async def test_several_and_equal_ones(self) -> None:
        lines = ["broken", "m v=1 1", "m used=", "broken"]
        assert await self.named(lines, parse_error("broken", "m used=", "broken")) == (0, 2, 3)

    async def test_quotes_and_colons_in_the_line(self) -> None:
        lines = ["m v=1 1", "m s=\"it's': unable to parse 'm v=1 1': x\" 2x"]
        assert await self.named(lines, parse_error(lines[1])) == (1,)

    async def test_a_reason_with_quotes(self) -> None:
        line = "m v=9223372036854775808i"
        message = (
            f"unable to parse '{line}': unable to parse integer: strconv.ParseInt: parsing \"9\": value out of range"
        )
        assert await self.named(["m v=1", line], Answer.error(400, "invalid", message)) == (1,)

    async def test_a_line_break_within_the_line(self) -> None:
        lines = ['m s="one\ntwo" 1', 'm s="three\nfour" 2x']
        assert await self.named(lines, parse_error(lines[1])) == (1,)

    async def test_an_unbalanced_quote_swallows_what_follows(self) -> None:
        lines = ["m v=1 1", 'm s="abc 2', "m v=3 3", "m v=4 4"]
        assert await self.named(lines, parse_error("\n".join(lines[1:]))) == (1,)

    async def test_bytes_that_are_not_utf8(self) -> None:
        lines = ["m v=1 1", "caf\udce9\udcff \xe9"]
        assert await self.named(lines, parse_error("caf\ufffd\ufffd \xe9")) == (1,)

    async def test_influxdb_1_has_stored_the_rest(self) -> None:
        body = '{"error":"partial write: unable to parse \'broken\': missing fields dropped=0"}'
        error, _ = await outcome(Answer(400, body), lines=["m v=1 1", "broken"])
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == ((1,), True, 1)

    async def test_a_line_cannot_pretend_that_the_rest_is_stored(self) -> None:
        line = 'm s="partial write: dropped=1" 1x'
        assert await self.named(["m v=1 1", line], parse_error(line)) == (1,)


# What a line and the server's message about it are made of, so that parts of one are often found in another.
PIECES = ["m", "v=1", " ", "\\", '"', "'", "': ", "unable to parse '", "\n", "missing fields", "é", "\udcff", "1"]
TEXTS = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join).filter(lambda text: not text[0].isspace())
)


@given(st.data())
def test_all_bad_lines_are_named_and_no_other(data: st.DataObject) -> None:
    lines = data.draw(st.lists(TEXTS, min_size=1, max_size=8))
    bad = data.draw(st.lists(st.sampled_from(range(len(lines))), min_size=1, unique=True).map(sorted))
    message = "\n".join(f"unable to parse '{lines[i]}': missing fields" for i in bad).replace("\udcff", "\ufffd")
    named = named_lines(message, MemoryBatch(lines))
    assert set(named) == {i for i, line in enumerate(lines) if line in {lines[i] for i in bad}}


@given(st.text(), st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_names_and_queries_arrive_as_they_are(bucket: str, organization: str, query: dict[str, str]) -> None:
    address = WriteAddress(f"http://h:1/base?{urlencode(query)}", organization)
    url, shown = address.url(bucket), address.name
    assert shown == "http://h:1/base"
    assert url.startswith("http://h:1/base/api/v2/write?")
    assert url.isascii()
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert [name for name, _ in pairs] == sorted({*query, "bucket", "org"})
    assert dict(pairs) == {**query, "bucket": bucket, "org": organization}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class TestSeveralUrls:
    def pair(self, first: str, second: str) -> tuple[InfluxDB, Clock]:
        """An output whose next write asks `first`, then takes turns."""
        plugin = output(first, second)
        plugin._clock = clock = Clock()  # type: ignore[assignment]  # a faked clock
        plugin._turn = 1
        return plugin, clock

    async def test_they_take_turns(self) -> None:
        async with ScriptedServer() as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            for _ in range(4):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (2, 2)

    @pytest.mark.parametrize(
        "step",
        [Raw(then="reset"), Answer(503), Answer(500), Answer(401), Answer(404), Answer(302), Raw(b"HTTP/1.1 2")],
    )
    async def test_failover_within_the_call(self, step: Answer | Raw, caplog: pytest.LogCaptureFixture) -> None:
        async with ScriptedServer(step, step) as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert len(two.requests) == 1
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert one.url in record.getMessage()

    async def test_one_that_failed_is_asked_last_until_its_pause_is_over(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        async with ScriptedServer(Answer(500)) as one, ScriptedServer() as two:
            plugin, clock = self.pair(one.url, two.url)
            for _ in range(4):
                await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (1, 4)
            clock.now += 2.5
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (2, 5)
            await plugin.close()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert f"{one.url} takes metrics again" in caplog.text

    async def test_one_that_asked_to_wait_is_left_alone(self) -> None:
        async with ScriptedServer(Answer(429, headers={"Retry-After": "30"})) as one, ScriptedServer() as two:
            plugin, clock = self.pair(one.url, two.url)
            await write(plugin, MemoryBatch(LINES))
            two.add(Answer(500))
            with pytest.raises(Retry, match="it asked to wait 30 s more") as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after is None  # the other one may be asked any time
            assert (len(one.requests), len(two.requests)) == (1, 2)
            clock.now += 30
            await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (2, 2)
            await plugin.close()

    async def test_all_asked_to_wait(self) -> None:
        wait = [Answer(503, headers={"Retry-After": seconds}) for seconds in ("20", "10")]
        async with ScriptedServer(wait[0]) as one, ScriptedServer(wait[1]) as two:
            plugin, clock = self.pair(one.url, two.url)
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after == 10.0
            assert one.url in str(caught.value)
            assert two.url in str(caught.value)
            clock.now += 4
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after == 6.0
            assert (len(one.requests), len(two.requests)) == (1, 1)
            clock.now += 6
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (1, 2)

    async def test_all_in_a_pause_of_our_own_are_asked_all_the_same(self) -> None:
        async with ScriptedServer(Answer(500)) as one, ScriptedServer(Answer(401)) as two:
            plugin, _ = self.pair(one.url, two.url)
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert not caught.value.slow  # the first one may come back by itself
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert len(one.requests) + len(two.requests) == 3

    @pytest.mark.parametrize("answer", [Answer(413), conflict(" dropped=1"), parse_error("x")])
    async def test_an_answer_about_the_batch_is_not_asked_for_twice(self, answer: Answer) -> None:
        async with ScriptedServer(answer) as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            with pytest.raises((Reject, TooLarge)):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (1, 0)


class TestOptions:
    @pytest.mark.parametrize(
        ("table", "option", "text"),
        [
            ({"urls": ["gopher://127.0.0.1:1"]}, "urls", "unsupported scheme 'gopher'"),
            ({"urls": ["localhost:8086"]}, "urls", "unsupported scheme 'localhost'"),
            ({"urls": ["http://"]}, "urls", "it has no host"),
            ({"urls": [""]}, "urls", "unsupported scheme ''"),
            ({"urls": ["http://h:port"]}, "urls", "Port could not be cast"),
            ({"urls": ["http://h:99999"]}, "urls", "out of range"),
            ({"urls": ["http://[::1"]}, "urls", "Invalid IPv6 URL"),
            ({"urls": ["http://h/a b"]}, "urls", "blank or control character"),
            ({"urls": ["http://h/a\r\nX: y"]}, "urls", "blank or control character"),
            ({"timeout": "-1s"}, "timeout", "negative"),
            ({"token": TOKEN + "\n"}, "token", "line break"),
            ({"http_headers": {"X-Site": "a\r\nX: b"}}, "http_headers", "line break"),
            ({"http_proxy": "socks5://127.0.0.1:1"}, "http_proxy", "unsupported scheme 'socks5'"),
            ({"local_address": "127.0.0.1:x"}, "local_address", "not an address"),
            ({"tls_ca": "nowhere.pem"}, "tls_ca", "'nowhere.pem': No such file or directory"),
            ({"tls_min_version": "TLS14"}, "tls_min_version", "unknown TLS version"),
            ({"tls_cipher_suites": ["TLS_BEST"]}, "tls_cipher_suites", "OpenSSL does not know it"),
            ({"urls": ["unix://run/influx.sock"]}, "urls", "it names no socket"),
            ({"exclude_bucket_tag": True}, "exclude_bucket_tag", "there is no bucket_tag"),
            ({"rate_limit": "5MB"}, "rate_limit", "no rate_limit_period"),
        ],
    )
    def test_what_cannot_work_is_said_at_once(self, table: Mapping[str, Any], option: str, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            make_output(InfluxDB, table)
        assert caught.value.option == option
        assert text in str(caught.value)
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize(
        "table",
        [
            {"rate_limit": "unlimited"},
            {"rate_limit": "5 MB"},
            {"content_encoding": "br"},
            {"urls": "http://127.0.0.1"},
            {"tls_renegotiation_method": "freely"},
        ],
    )
    def test_wrong_values(self, table: Mapping[str, Any]) -> None:
        with pytest.raises(ConfigError):
            make_output(InfluxDB, table)

    def test_a_password_in_a_url_is_not_shown(self) -> None:
        with pytest.raises(ConfigError) as caught:
            make_output(InfluxDB, {"urls": ["ftp://me:the-password@h"]})
        assert "the-password" not in str(caught.value)

    async def test_a_user_in_the_url_gives_way_to_the_token(self) -> None:
        async with ScriptedServer(Answer(401)) as server:
            plugin = output(server.url.replace("//", "//me:the-password@"))
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert server.requests[0].headers["authorization"] == f"Token {TOKEN}"
        assert "the-password" not in str(caught.value)

    def test_the_sample_with_all_its_options_is_taken(self) -> None:
        make_output(
            InfluxDB,
            {
                "urls": ["http://127.0.0.1:8086"],
                "local_address": "",
                "timeout": "5s",
                "http_headers": {"X-Special-Header": "Special-Value"},
                "http_proxy": "http://corporate.proxy:3128",
                "content_encoding": "gzip",
                "ping_timeout": "0s",
                "read_idle_timeout": "0s",
                "concurrent_writes": 4,
                "rate_limit_period": "0s",
                "tls_renegotiation_method": "never",
                "insecure_skip_verify": False,
            },
        )

    @pytest.mark.parametrize(
        ("token", "advice"),
        [("$INFLUX_TOKEN", "; INFLUX_TOKEN is not set"), ("${INFLUX_TOKEN}", "; INFLUX_TOKEN is not set")]
        + [(token, "; correct `token`") for token in ("$ecret", "x$INFLUX_TOKEN", "$INFLUX_TOKEN2x")],
    )
    async def test_a_401_names_the_variable_that_is_missing_and_no_secret(self, token: str, advice: str) -> None:
        async with ScriptedServer(Answer.error(401, "unauthorized", "unauthorized access")) as server:
            plugin = output(server.url, token=token)
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(["m v=1 1"]))
            await plugin.close()
        assert advice in str(caught.value)
        assert token not in str(caught.value)

    def test_the_default_url(self) -> None:
        assert [node.name for node in make_output(InfluxDB)._nodes] == ["http://localhost:8086"]

    async def test_close_without_a_write_and_twice(self) -> None:
        plugin = output("http://127.0.0.1:1")
        await plugin.close()
        await plugin.close()

    def test_no_secret_in_its_text(self) -> None:
        plugin = output("http://127.0.0.1:1", http_headers={"Authorization": "Bearer hidden-too"})
        assert TOKEN not in repr(plugin.options)
        assert "hidden-too" not in repr(plugin.options)
        assert Secret(TOKEN) == plugin.options.token


async def test_a_cancelled_write_is_cancelled() -> None:
    async with ScriptedServer(Raw(then="stall")) as server:
        plugin = output(server.url)
        with pytest.raises(TimeoutError):  # of the block, not the output's own
            async with asyncio.timeout(0.2):
                await write(plugin, MemoryBatch(LINES))
        await plugin.close()
