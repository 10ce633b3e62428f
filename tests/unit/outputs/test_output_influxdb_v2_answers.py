"""outputs.influxdb_v2: what becomes of the batch for each answer of the server."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from writing import TOKEN, conflict, outcome

from pyagent.api import Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, Raw

NO_SUCH_PATH = 'remoteAddr: "127.0.0.1:1"; requestURI: /x; unsupported path requested: "/x"\n'  # of VictoriaMetrics


class TestDelivered:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 207, 208])
    async def test_statuses(self, status: int) -> None:
        error, server = await outcome(Answer(status))
        assert error is None
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [200, 204])
    async def test_a_type_without_a_body_is_no_page(self, status: int) -> None:
        """Gateways name a type for every answer, for one without a body too."""
        error, _ = await outcome(Answer(status, headers={"Content-Type": "text/html; charset=UTF-8"}))
        assert error is None


class TestStrictlyDelivered:
    """As programs and imports want it, which are pointed at all kinds of addresses."""

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    async def test_what_servers_of_line_protocol_say(self, status: int) -> None:
        error, _ = await outcome(Answer(status, headers={"Content-Type": "text/html"}), strict=True)
        assert error is None

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(200, '{"status": "ok"}', {"Content-Type": "application/json"}),
            Answer(200, "Hello", {"Content-Type": "text/plain"}),
            Answer(201, "[]"),
            Answer(202, "accepted"),
            *(Answer(status) for status in (203, 205, 206, 207, 208, 226)),
        ],
    )
    async def test_any_other_success_is_another_servers(self, answer: Answer) -> None:
        error, _ = await outcome(answer, strict=True)
        assert isinstance(error, Retry)
        assert error.needs_operator
        assert "these are not the words of InfluxDB: correct `urls`" in str(error)


class TestKept:
    @pytest.mark.parametrize("status", [203, 205, 226, 425, 429, 500, 501, 502, 503, 504, 507, 599])
    async def test_what_time_may_heal(self, status: int) -> None:
        error, server = await outcome(Answer(status))
        assert isinstance(error, Retry)
        assert (error.needs_operator, error.after) == (False, None)
        assert f": {status} Reason" in str(error)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "advice"),
        [
            (Answer.error(401, "unauthorized", "unauthorized access"), "correct `token`"),
            (Answer.error(403, "forbidden", "insufficient permissions for write"), "give a `token` that may write"),
            (Answer.error(404, "not found", 'bucket "b" not found'), "make the bucket or correct `bucket`"),
            (Answer.error(404, "not found", 'organization name "o" not found'), "correct `organization` ('o')"),
            (
                Answer.error(408, "request timeout", "request timed out"),
                "raise its limit, or lower `metric_batch_size`",
            ),
            (Answer(404, "404 page not found"), "if it is no InfluxDB 2, correct `urls`"),
            (Answer.error(400, "invalid", "Please provide either orgID or org"), "correct `organization` or `urls`"),
            (Answer.error(400, "invalid", "invalid precision; valid are ns, us"), "correct `organization` or `urls`"),
            (Answer(400, "<html>plain HTTP to an HTTPS port", {"Content-Type": "text/html"}), "it is no InfluxDB 2"),
            (
                Answer(400, "Client sent an HTTP request to an HTTPS server.\n"),
                "this port speaks https: write https://",
            ),
            (Answer(400, "400 Bad Request: malformed Host header"), "correct `urls` or `http_headers`"),
            (Answer(200, "<html>Please log in", {"Content-Type": "Text/HTML; charset=utf-8"}), "it is no InfluxDB 2"),
            (Answer(400, NO_SUCH_PATH, {"Content-Type": "text/plain; charset=utf-8"}), "correct the path in `urls`"),
            *((Answer(status), "correct `urls`") for status in (402, 405, 406, 407, 409, 410, 411, 415, 418, 431, 451)),
            *((Answer(status), "redirects are not followed") for status in (300, 301, 302, 303, 304, 307, 308)),
        ],
    )
    async def test_what_only_a_person_can_mend(self, answer: Answer, advice: str) -> None:
        error, server = await outcome(answer)
        assert isinstance(error, Retry)
        assert error.needs_operator
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
        assert not error.needs_operator

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

    @pytest.mark.parametrize(
        "answer", [conflict(""), Answer(422, headers={"X-Influxdb-Version": "2"}), Answer.error(422, "x", "dropped=2")]
    )
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
            Answer(400, headers={"X-Influxdb-Version": "v2.7.12"}),
            Answer(400, headers={"x-platform-error-code": "invalid"}),
            Answer(400, '{"error":"engine: cache full"}', {"Content-Type": "application/json"}),
            Answer.error(400, "invalid", "unable to parse 'a line that is not ours v=': missing field value"),
            Answer.error(400, "invalid", "unable to parse '"),
            Answer(
                400,
                'remoteAddr: "10.0.0.1:5002"; requestURI: /api/v2/write; cannot parse influx line protocol data: incorrect '
                'influx line "m f=\\"a\\nb\\" 1": cannot parse field value for "f": missing closing quote',
                {"Content-Type": "text/plain; charset=utf-8"},
            ),
        ],
    )
    async def test_a_400_about_lines_that_names_none_of_ours_is_bisected(self, answer: Answer) -> None:
        error, _ = await outcome(answer)
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored) == (None, False)

    @pytest.mark.parametrize("status", [400, 422])
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            ("", {}),
            ("cannot unmarshal", {"Content-Type": "text/plain"}),
            ('remoteAddr: "10.0.0.1:5002"; requestURI: /api/v2/write; out of memory', {"Content-Type": "text/plain"}),
            ("[" * 100_000, {"Content-Type": "application/json"}),
            ("[1]", {"Content-Type": "application/json"}),
            ('{"message":"Bad Request"}', {"Content-Type": "application/json"}),
            ('{"code":400,"message":"Bad Request"}', {"Content-Type": "application/json"}),
            (b"\xff\xfe\x00", {"Content-Type": "application/json"}),
            (b"x" * (2 << 20), {"Content-Type": "text/plain"}),
            ("unable to parse 'mem,host=a used=1i 10': x", {"Content-Type": "text/plain"}),
        ],
    )
    async def test_words_that_are_not_influxdbs_cost_nothing(
        self, status: int, body: str, headers: dict[str, str]
    ) -> None:
        error, server = await outcome(Answer(status, body, headers))
        assert isinstance(error, Retry)
        assert error.needs_operator
        assert "these are not the words of InfluxDB" in str(error)
        assert len(server.requests) == 1

    async def test_the_whole_message_is_never_shown(self) -> None:
        error, _ = await outcome(Answer.error(400, "invalid", f"\x1b[31mred\r\n{TOKEN} " + "x" * 5000))
        assert " [31mred *** xxx" in str(error)
        assert "\x1b" not in str(error)
