"""The HTTP listeners' dialects: who may write, what is answered, and what the queue holds then."""

import asyncio
import base64
import gzip
import re
from pathlib import Path
from typing import Any

import pytest
import tomli
from serving import json_of, serving

from pyagent.api import ConfigError, Input
from pyagent.testing import make_input
from pyagent_plugins.inputs.http_listener_v2 import HTTPListenerV2
from pyagent_plugins.inputs.influxdb_listener import InfluxDBListener
from pyagent_plugins.inputs.influxdb_v2_listener import InfluxDBV2Listener

PLUGINS: dict[str, type[Input[Any]]] = {
    "influxdb_v2_listener": InfluxDBV2Listener,
    "influxdb_listener": InfluxDBListener,
    "http_listener_v2": HTTPListenerV2,
}
PATHS = {"influxdb_v2_listener": "/api/v2/write", "influxdb_listener": "/write", "http_listener_v2": "/telegraf"}
ALL = pytest.mark.parametrize("name", PLUGINS)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# All of them ----------------------------------------------------------------------------------------------------------


@ALL
async def test_lines_are_taken(name: str) -> None:
    async with serving(PLUGINS[name]) as served:
        for body, headers in ((b"m,a=b f=1i 1\n", {}), (gzip.compress(b"m f=2i 2"), {"Content_Encoding": "gzip"})):
            answer = await served.post(PATHS[name], body, **headers)
            assert (answer.status, answer.body) == (204, b"")
        # Members may be joined, as by a writer that keeps its backlog compressed.
        joined = gzip.compress(b"m f=3i 3\n") + gzip.compress(b"m f=4i 4\n")
        assert (await served.post(PATHS[name], joined, Content_Encoding="x-gzip")).status == 204
        assert served.lines() == ["m,a=b f=1i 1", "m f=2i 2", "m f=3i 3", "m f=4i 4"]


@ALL
async def test_lines_may_end_in_cr_lf(name: str) -> None:
    async with serving(PLUGINS[name]) as served:
        body = b'm f=1i 1\r\n\r\n# no\r\nm f=t 2\r\nm f="a\r\nb" 3\r\n'
        assert (await served.post(PATHS[name], body)).status == 204
        assert served.lines() == ["m f=1i 1", "m f=true 2", 'm f="a', 'b" 3']
    async with serving(PLUGINS[name], name_prefix="x") as served:
        assert (await served.post(PATHS[name], body)).status == 204


@ALL
async def test_a_body_of_which_too_much_would_be_made_is_413(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.pipeline.offload._MOST_TEXT", 10_000)
    monkeypatch.setattr("pyagent.pipeline.offload._MOST_METRICS", 10_000)
    settings: tuple[dict[str, str], ...] = ({}, {"name_prefix": "x"})
    for more in settings:
        async with serving(PLUGINS[name], **more) as served:
            answer = await served.post(PATHS[name], b"m f=1i\n" * 1000)
            assert answer.status == 413
            assert "divide it" in (json_of(answer).get("message") or json_of(answer)["error"])
            assert served.lines() == []
            assert (await served.post(PATHS[name], b"m f=1i\n" * 10)).status == 204


@ALL
async def test_a_large_body_is_read_beside_the_loop_and_no_metric_is_lost(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyagent.pipeline.offload._SMALL", 1000)
    for prefix in ("", "x"):
        async with serving(PLUGINS[name], name_prefix=prefix) as served:
            large = b"".join(b"m f=%di %d\n" % (number, number) for number in range(3500))
            wanted = [prefix + line for line in large.decode().splitlines()]
            answers = await asyncio.gather(*(served.post(PATHS[name], body) for body in (large, b"m f=1i 1", large)))
            assert [answer.status for answer in answers] == [204] * 3
            assert sorted(served.lines()) == sorted([*wanted, *wanted, prefix + "m f=1i 1"])
            assert (await served.post(PATHS[name], large + b"bad\n")).status == 400
            assert served.lines() == (wanted if name == "influxdb_listener" else [])


@ALL
async def test_a_full_queue_is_429_and_nothing_of_the_body_was_taken(name: str) -> None:
    async with serving(PLUGINS[name], limit=3) as served:
        served.runner.plugin._server.patience = 0.05
        assert (await served.post(PATHS[name], b"m f=1i 1\nm f=2i 2\n")).status == 204
        answer = await served.post(PATHS[name], b"m f=3i 3\nm f=4i 4\n")
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert "full" in (json_of(answer).get("message") or json_of(answer)["error"])
        assert served.lines() == ["m f=1i 1", "m f=2i 2"]
        assert (await served.post(PATHS[name], b"m f=3i 3\nm f=4i 4\n")).status == 204


@ALL
async def test_the_same_bad_lines_again_and_again_do_not_end_it(name: str) -> None:
    async with serving(PLUGINS[name]) as served:
        for _ in range(5):
            answer = await served.post(PATHS[name], b"m f=1i 1\nm f=\nm f=3i 3\n" + b"bad\n" * 30)
            assert answer.status == 400
            message = json_of(answer).get("message") or json_of(answer)["error"]
            assert "line 2" in message
            assert "21 more bad lines" in message
        assert served.lines() == (["m f=1i 1", "m f=3i 3"] * 5 if name == "influxdb_listener" else [])


@ALL
async def test_other_paths_and_methods_are_refused(name: str) -> None:
    async with serving(PLUGINS[name]) as served:
        assert (await served.post("/elsewhere", b"m f=1i 1")).status == 404
        answer = await served.request("DELETE", PATHS[name])
        assert answer.status == 405
        assert "POST" in answer.headers["Allow"]
        assert served.lines() == []


# InfluxDB 2 -----------------------------------------------------------------------------------------------------------


async def test_v2_token() -> None:
    async with serving(InfluxDBV2Listener, {"token": "correct-horse"}) as served:
        for wrong in ({}, {"Authorization": "Token correct-hors"}, {"Authorization": basic("x", "correct-horse")}):
            answer = await served.post("/api/v2/write", b"m f=1i 1", **wrong)
            assert answer.status == 401
            assert json_of(answer) == {"code": "unauthorized", "message": "unauthorized access"}
        for right in ("Token correct-horse", "Bearer correct-horse", "token correct-horse"):
            assert (await served.post("/api/v2/write", b"m f=1i 1", Authorization=right)).status == 204
        assert len(served.lines()) == 3
        # Whether it lives is nobody's secret.
        assert (await served.request("GET", "/ping")).status == 204
        assert (await served.request("GET", "/health")).status == 200


async def test_v2_precision() -> None:
    async with serving(InfluxDBV2Listener) as served:
        for unit in ("ns", "us", "ms", "s", ""):
            assert (await served.post(f"/api/v2/write?precision={unit}", b"m f=1i 7")).status == 204
        assert [line.split()[-1] for line in served.lines()] == ["7", "7000", "7000000", "7000000000", "7"]
        answer = await served.post("/api/v2/write?precision=h", b"m f=1i 7")
        assert answer.status == 400
        assert json_of(answer)["message"] == "invalid precision; valid precision units are ns, us, ms, and s"


async def test_v2_bucket_tag() -> None:
    async with serving(InfluxDBV2Listener, {"bucket_tag": "bucket"}) as served:
        for query in ("?bucket=my%20bucket", "?bucket=", ""):
            assert (await served.post(f"/api/v2/write{query}", b"m f=1i 7")).status == 204
        assert served.lines() == ["m,bucket=my\\ bucket f=1i 7", "m f=1i 7", "m f=1i 7"]


async def test_v2_health_and_ready() -> None:
    async with serving(InfluxDBV2Listener) as served:
        for path in ("/health", "/api/v2/health"):
            assert json_of(await served.request("GET", path))["status"] == "pass"
        for path in ("/ready", "/api/v2/ready"):
            ready = json_of(await served.request("GET", path))
            assert ready["status"] == "ready"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", ready["started"])
        assert (await served.request("HEAD", "/ping")).headers["X-Influxdb-Version"]


# InfluxDB 1 -----------------------------------------------------------------------------------------------------------


async def test_v1_credentials() -> None:
    async with serving(InfluxDBListener, {"basic_username": "mon", "basic_password": "s3cret"}) as served:
        wrong = ["", basic("mon", "s3cre"), basic("mo", "s3cret"), "Basic !!", "Basic bW9u", "Token mon", "Bearer x"]
        for header in wrong:
            answer = await served.post("/write", b"m f=1i 1", **({"Authorization": header} if header else {}))
            assert (answer.status, json_of(answer)) == (401, {"error": "authorization failed"})
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        for header in (basic("mon", "s3cret"), "Token mon:s3cret"):
            assert (await served.post("/write", b"m f=1i 1", Authorization=header)).status == 204
            assert (
                await served.request("GET", "/query?q=SHOW+DATABASES", b"", {"Authorization": header})
            ).status == 200
        assert (await served.request("GET", "/query?q=SHOW+DATABASES")).status == 401
        assert (await served.request("GET", "/ping")).status == 204
        assert len(served.lines()) == 2


async def test_v1_precision() -> None:
    async with serving(InfluxDBListener) as served:
        for unit in ("n", "ns", "u", "us", "ms", "s", ""):
            assert (await served.post(f"/write?precision={unit}", b"m f=1i 7")).status == 204
        times = [line.split()[-1] for line in served.lines()]
        assert times == ["7", "7", "7000", "7000", "7000000", "7000000000", "7"]
        assert (await served.post("/write?precision=fortnight", b"m f=1i 7")).status == 400


async def test_v1_tags_of_database_and_retention_policy() -> None:
    options = {"database_tag": "db", "retention_policy_tag": "rp"}
    async with serving(InfluxDBListener, options) as served:
        for query in ("?db=a&rp=b", "?db=a", ""):
            assert (await served.post(f"/write{query}", b"m f=1i 7")).status == 204
        assert served.lines() == ["m,db=a,rp=b f=1i 7", "m,db=a f=1i 7", "m f=1i 7"]


# Any HTTP -------------------------------------------------------------------------------------------------------------


async def test_http_paths_methods_headers_and_codes() -> None:
    options = {
        "paths": ["/one", "/two"],
        "path_tag": True,
        "methods": ["PATCH"],
        "http_success_code": 202,
        "http_headers": {"X-From": "here"},
        "http_header_tags": {"X-Shard": "shard", "X-Absent": "absent"},
    }
    async with serving(HTTPListenerV2, options) as served:
        for path in ("/one", "/two"):
            answer = await served.request("PATCH", path, b"m f=1i 7", {"x-shard": "blue"})
            assert (answer.status, answer.headers["X-From"]) == (202, "here")
        answer = await served.post("/one", b"m f=1i 7")
        assert (answer.status, answer.headers["X-From"], answer.headers["Allow"]) == (405, "here", "PATCH")
        assert served.lines() == [f"m,http_listener_v2_path=/{n},shard=blue f=1i 7" for n in ("one", "two")]


async def test_http_query_as_the_source() -> None:
    async with serving(HTTPListenerV2, {"data_source": "query", "methods": ["GET"]}) as served:
        assert (await served.request("GET", "/telegraf?m,a=b+f=1i,s=%22x%20y%22+7")).status == 204
        assert served.lines() == ['m,a=b f=1i,s="x y" 7']


@pytest.mark.parametrize("options", [{"basic_username": "mon"}, {"basic_password": "s3cret"}])
async def test_http_credentials_are_asked_for_when_one_of_them_is_set(options: dict[str, str]) -> None:
    async with serving(HTTPListenerV2, options) as served:
        right = basic(options.get("basic_username", ""), options.get("basic_password", ""))
        for header in ("", basic("mon", "s3cret"), right):
            answer = await served.post("/telegraf", b"m f=1i 7", **({"Authorization": header} if header else {}))
            assert answer.status == (204 if header == right else 401)


async def test_http_precision_of_the_format() -> None:
    async with serving(HTTPListenerV2, {"influx_timestamp_precision": "1s"}) as served:
        assert (await served.post("/telegraf", b"m f=1i 7")).status == 204
        assert served.lines() == ["m f=1i 7000000000"]


async def test_http_takes_any_format_whole_or_not_at_all() -> None:
    options = {"data_format": "json", "json_string_fields": ["s"], "path_tag": True, "http_header_tags": {"X-S": "s"}}
    async with serving(HTTPListenerV2, options, limit=3) as served:
        assert (await served.post("/telegraf", b'{"a": 1, "s": "x"}', X_S="y")).status == 204
        answer = await served.post("/telegraf", b'{"a": ')
        assert (answer.status, json_of(answer)) == (
            400,
            {"error": "http: bad request: line 1: column 6: expecting value"},
        )
        assert (await served.post("/telegraf", b'[{"a": 2}, {"a": 3}]')).status == 204
        assert (await served.post("/telegraf", b'{"a": 4}')).status == 429
        assert [line.rpartition(" ")[0] for line in served.lines()] == [
            'http_listener_v2,http_listener_v2_path=/telegraf,s=y a=1,s="x"',
            *(f"http_listener_v2,http_listener_v2_path=/telegraf a={n}" for n in (2, 3)),
        ]
    async with serving(HTTPListenerV2, {"data_format": "value", "data_source": "query", "methods": ["GET"]}) as served:
        assert (await served.request("GET", "/telegraf?17")).status == 204
        assert [line.rpartition(" ")[0] for line in served.lines()] == ["http_listener_v2 value=17i"]


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("http_listener_v2", {"data_format": "value", "data_type": "x"}, "data_type 'x'"),
        ("http_listener_v2", {"http_success_code": 404}, "http_success_code 404"),
        ("http_listener_v2", {"http_headers": {"X": "a\r\nY: b"}}, "http_headers"),
        ("influxdb_listener", {"token_shared_secret": "s3cret", "token_username": "u"}, "token_shared_secret"),
        ("influxdb_v2_listener", {"parser_type": "newest"}, "parser_type"),
        ("influxdb_v2_listener", {"service_address": "nowhere"}, "nowhere"),
        ("influxdb_v2_listener", {"service_address": "udp://:8186"}, "no address"),
        ("influxdb_v2_listener", {"service_address": "::1:8186"}, "no address"),
        ("influxdb_v2_listener", {"service_address": ":65536"}, "no address"),
        ("http_listener_v2", {"service_address": "unix://relative"}, "no address"),
        ("http_listener_v2", {"service_address": "unix:///s", "socket_mode": "rw"}, "socket_mode"),
        ("influxdb_v2_listener", {"max_body_size": -1}, "max_body_size"),
        ("influxdb_v2_listener", {"tls_key": "/nowhere.pem"}, "tls_cert"),
        ("influxdb_v2_listener", {"tls_cert": "/nowhere.pem"}, "'/nowhere.pem': No such file"),
        ("influxdb_v2_listener", {"tls_cipher_suites": ["X"]}, "tls_cipher_suites"),
    ],
)
def test_options_that_cannot_work(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_input(PLUGINS[name], options)
    assert message in str(raised.value)


@ALL
def test_the_defaults_and_what_telegraf_accepts_are_accepted(name: str) -> None:
    make_input(PLUGINS[name])
    for address in (":8186", "localhost:8186", "tcp://:8186", "[::1]:8186", "tcp://[::]:8186", "unix:///run/x.sock"):
        make_input(PLUGINS[name], {"service_address": address})


@pytest.mark.parametrize("name", ["influxdb_v2_listener", "http_listener_v2"])
def test_the_configurations_of_influxdbs_pages_load(shared: Path, name: str) -> None:
    table = tomli.loads((shared / f"corpus/wizard/{name}.conf").read_text())["inputs"][name][0]
    make_input(PLUGINS[name], table)
    text = (shared / f"corpus/wizard/{name}.conf").read_text()
    for option in re.findall(r"^  # (\w+) = ", text, re.MULTILINE):
        assert option in PLUGINS[name].options_type.__struct_fields__
