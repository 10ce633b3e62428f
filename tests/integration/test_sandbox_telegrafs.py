"""The embedded server's Telegraf configurations: what their bodies may hold, the text for a list of plugins, and who may do what."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import tomli
from sandbox_api import Api, reason

from pyagent.sandbox import Sandbox


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Sandbox() as server, aiohttp.ClientSession() as session:
        await server.setup()
        yield Api(session, server)


@pytest.mark.parametrize(
    ("kind", "name", "given", "keys"),
    [
        ("input", "cpu", None, {"percpu": True, "totalcpu": True, "collect_cpu_time": False, "report_active": False}),
        ("input", "disk", {}, {"ignore_fs": ["tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs"]}),
        ("input", "docker", {"endpoint": "unix:///x"}, {"endpoint": "unix:///x", "timeout": "5s", "perdevice": True, "total": False}),
        ("input", "file", {"files": ['a"b', "c"]}, {"files": ['a"b', "c"], "data_format": "influx"}),
        ("input", "nginx", {"urls": ["http://n"]}, {"urls": ["http://n"], "insecure_skip_verify": False, "response_timeout": "5s"}),
        ("input", "procstat", {"exe": "x"}, {"pid_file": "/var/run/nginx.pid"}),
        ("input", "redis", {"servers": ["tcp://r"], "password": "p"}, {"servers": ["tcp://r"]}),
        ("input", "tail", {"files": ["/l"]}, {"files": ["/l"], "data_format": "influx"}),
        ("input", "logparser", {"files": ["/l"]}, {"files": ["/l"], "from_beginning": False}),
        ("input", "mem", {}, {}),
        ("output", "influxdb_v2", {"urls": ["http://i"], "token": "$T", "organization": 'o"', "bucket": "b"},
         {"urls": ["http://i"], "token": "$T", "organization": 'o"', "bucket": "b"}),
        ("output", "file", {"files": [{"type": "stdout"}, {"type": "path", "path": "/o"}]},
         {"files": ["stdout", "/o"], "data_format": "influx"}),
    ],
)  # fmt: skip
async def test_a_list_of_plugins_becomes_a_text(
    api: Api, kind: str, name: str, given: Any, keys: dict[str, Any]
) -> None:
    plugins = [{"type": kind, "name": name, "config": given}, {"type": "input", "name": "unknown to the server"}]
    body = {"orgID": api.server.org_id, "name": "x", "plugins": plugins}
    status, made = await api("POST", "/api/v2/telegrafs", body)
    assert status == 201
    found = tomli.loads(made["config"])
    assert found["agent"]["metric_batch_size"] == 1000
    assert list(found) == ["agent", f"{kind}s"]
    (section,) = found[f"{kind}s"][name]
    assert {key: section.get(key) for key in keys} == keys
    assert made["metadata"] == {"buckets": ["b"] if name == "influxdb_v2" else []}
    assert "password" not in section


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"plugins": [{"type": "aggregator", "name": "x"}]}, (400, "unsupported telegraf plugin type aggregator")),
        ({"plugins": [{"type": "output", "name": "x"}]}, (400, "unsupported telegraf plugin x, type output")),
        ({"plugins": [{"type": "input", "name": "nginx", "config": {"urls": "x"}}]},
         (400, "json: cannot unmarshal string into Go struct field Nginx.urls of type []string")),
        ({"orgID": "bad"}, (400, "id must have a length of 16 bytes")),
        ({"orgID": None}, (400, "invalid org id for permission: invalid ID")),
        *(
            (members, (500, "An internal error has occurred - check server logs"))
            for members in ({"plugins": "x"}, {"plugins": [1]}, {"metadata": []}, {"name": 1}, {"config": "[["})
        ),
    ],
)  # fmt: skip
async def test_refusals(api: Api, members: dict[str, Any], answer: tuple[int, str]) -> None:
    body = {"orgID": api.server.org_id, "name": "x", **members}
    assert reason(await api("POST", "/api/v2/telegrafs", body)) == answer


@pytest.mark.parametrize(
    ("method", "path", "data", "cause"),
    [
        ("POST", "/api/v2/telegrafs", b"{", "POST /api/v2/telegrafs: the body cannot be decoded: unexpected EOF"),
        ("POST", "/api/v2/telegrafs", b"", "POST /api/v2/telegrafs: the body cannot be decoded: EOF"),
        (
            "PUT",
            "/api/v2/telegrafs/{id}",
            b'{"config": "[[outputs.x]]\\ntoken = \\"s3cretword\\" x"}',
            "PUT /api/v2/telegrafs/{id}: the body cannot be decoded: config is not valid TOML at line 2, column 22",
        ),
        (
            "POST",
            "/api/v2/write?org=home&bucket=monitoring-system",
            b"m f=1",
            "POST /api/v2/write: Content-Encoding is gzip, and the body does not begin as gzip does",
        ),
    ],
)
async def test_the_log_says_what_an_answer_hides(
    api: Api, caplog: pytest.LogCaptureFixture, method: str, path: str, data: bytes, cause: str
) -> None:
    key = await api.server.add_telegraf("x", "")
    headers = {"Authorization": f"Token {api.server.token}"}
    if "write" in path:
        headers["Content-Encoding"] = "gzip"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, api.server.url + path.format(id=key), data=data, headers=headers) as answer,
    ):
        assert answer.status == 500
        assert "An internal error has occurred - check server logs" in await answer.text()
    assert caplog.messages == [f"W! cannot answer {cause}"]


async def test_metadata_has_the_order_of_names(api: Api) -> None:
    body = {"orgID": api.server.org_id, "config": "", "metadata": {"z": [{"b": 1, "a": 1.5}], "buckets": ["x"]}}
    _, _, text = await api.full("POST", "/api/v2/telegrafs", body)
    assert '"metadata":{"buckets":["x"],"z":[{"a":1.5,"b":1}]}' in text


async def test_only_those_who_may_read_a_configuration_may_change_it(api: Api) -> None:
    org, config = api.server.org_id, await api.server.add_telegraf("x", "")
    body = {"orgID": org, "permissions": [{"action": "write", "resource": {"type": "telegrafs", "orgID": org}}]}
    _, made = await api("POST", "/api/v2/authorizations", body)
    api.token = made["token"]
    for method, given in (("GET", None), ("PUT", {"name": "y"}), ("DELETE", None)):
        answer = await api(method, f"/api/v2/telegrafs/{config}", given)
        assert reason(answer) == (401, f"read:orgs/{org}/telegrafs/{config} is unauthorized"), method
    assert (await api("POST", "/api/v2/telegrafs", {"orgID": org, "name": "z"}))[0] == 201
    assert await api("GET", "/api/v2/telegrafs") == (200, {"configurations": []})
