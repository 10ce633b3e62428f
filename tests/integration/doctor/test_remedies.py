"""Each check of the doctor fails where something is wrong, and its own remedy mends it.

A case is an async generator: it breaks something, yields the check that fails first and a part of its remedy, and does then
what the remedy says.
"""

import ast
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from doctor_hosts import HOST_CHECKS, MEM, answering, influxdb, output, wrong

import pyagent.cli.doctor
from pyagent.cli.doctor import reach
from pyagent.cli.doctor.examination import Examination
from pyagent.cli.doctor.findings import Level, Report
from pyagent.kit.http_client import HttpClient
from pyagent.runtime.settings import RunSettings
from pyagent.sandbox import Sandbox
from pyagent.testing.servers import free_port

IN_CONTAINER = reach.in_container
Case = AsyncIterator[tuple[str, str]]


class World:
    """A server that is set up, and a configuration that works with it."""

    def __init__(self, server: Sandbox, folder: Path, certificates: Path, stack: AsyncExitStack) -> None:
        self.server, self.folder, self.certificates, self.stack = server, folder, certificates, stack
        self.text = ""
        """In place of what is made of the following."""
        self.inputs = MEM
        self.agent = '[agent]\n  hostname = "web1"\n'
        self.options: dict[str, str] = {"url": server.url}
        self.environ = {"INFLUX_TOKEN": server.token}
        self.source = ""
        """A URL in place of the file."""
        self.probe = False

    async def examine(self) -> Report:
        file = self.folder / "a.conf"
        file.write_text(self.text or self.agent + self.inputs + output(**self.options))
        report = Report()
        plugins = self.folder / "plugins.d"
        plugins.mkdir(exist_ok=True)
        settings = RunSettings(configs=(self.source or str(file),), environ=self.environ, plugin_directories=(plugins,))
        await Examination(report, settings, probe=self.probe).run()
        return report

    async def listen(self, handler: Any, tls: ssl.SSLContext | None = None) -> str:
        return await self.stack.enter_async_context(answering(handler, tls))

    async def listen_with_tls(self) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates / "server.pem", self.certificates / "key.pem")
        return await self.listen(influxdb(), context)

    async def host(self, text: str) -> str:
        """The URL of a configuration at the server."""
        return f"{self.server.url}/api/v2/telegrafs/{await self.server.add_telegraf('x', text)}"

    async def delete(self, measurement: str) -> None:
        client = HttpClient(timeout=10)
        body = {
            "start": "1970-01-01T00:00:00Z",
            "stop": "2262-01-01T00:00:00Z",
            "predicate": f'_measurement="{measurement}"',
        }
        answer = await client.request(
            "POST",
            f"{self.server.url}/api/v2/delete?org=home&bucket=metrics",
            headers={"Authorization": f"Token {self.server.token}"},
            body=json.dumps(body).encode(),
        )
        assert answer.status == 204, answer.text
        await client.close()

    def change(self, kind: str, **members: Any) -> None:
        """Another value in the only document of a kind."""
        documents = self.server.state.documents
        (one,) = (one for one in documents.all(kind) if not str(one.get("name", "")).startswith("_"))
        documents.put(kind, one["id"], {**one, **members})

    def file_input(self, record: dict[str, Any], more: str) -> str:
        (self.folder / "data.json").write_text(json.dumps(record))
        return (
            f'[[inputs.file]]\n  files = ["{self.folder}/data.json"]\n  data_format = "json"\n'
            f'  json_time_key = "t"\n  {more}\n'
        )


# The configuration ----------------------------------------------------------------------------------------------------


async def a_plugin_that_is_misspelt(world: World) -> Case:
    world.inputs = "[[inputs.memm]]\n"
    yield "configuration", "pyagent config check"
    world.inputs = MEM


async def the_output_for_influxdb_1(world: World) -> Case:
    """Also where nobody has configured it: it is left of a package's default configuration."""
    right = output(world.server.url)
    world.text = MEM + right + f'[[outputs.influxdb]]\n  urls = ["{world.server.url}"]\n'
    yield "server", "outputs.influxdb is for InfluxDB 1: write [[outputs.influxdb_v2]]"
    world.text = MEM + right


async def quotes_of_a_web_page(world: World) -> Case:
    world.inputs = "[[inputs.mem]]\n  alias = “x”\n"
    yield "configuration", "pyagent config check"
    world.inputs = '[[inputs.mem]]\n  alias = "x"\n'


async def no_input(world: World) -> Case:
    world.inputs = ""
    yield "configuration", "[[inputs.mem]]"
    world.inputs = MEM


async def no_output(world: World) -> Case:
    world.text = MEM
    yield "configuration", "add [[outputs.influxdb_v2]]"
    world.text = MEM + output(world.server.url)


async def a_file_that_is_not_there(world: World) -> Case:
    world.source = str(world.folder / "other.conf")
    yield "configuration", "correct the path"
    world.source = str(world.folder / "a.conf")


async def a_hosted_text_without_a_token(world: World) -> Case:
    world.source = await world.host(MEM + output(world.server.url))
    world.environ = {}
    yield "configuration", "put INFLUX_TOKEN=... into the environment"
    world.environ = {"INFLUX_TOKEN": world.server.token}


async def a_hosted_text_with_another_servers_token(world: World) -> Case:
    world.source = await world.host(MEM + output(world.server.url))
    world.environ = {"INFLUX_TOKEN": "x" * 88}
    yield "configuration", "copy the whole token again"
    world.environ = {"INFLUX_TOKEN": world.server.token}


async def a_hosted_text_that_the_token_may_not_read(world: World) -> Case:
    world.source = await world.host(MEM + output(world.server.url))
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"], telegrafs=[])}
    yield "configuration", "give it the right to read this Telegraf configuration"
    token = await world.server.authorize(write=["metrics"], telegrafs=[world.source.rpartition("/")[2]])
    world.environ = {"INFLUX_TOKEN": token}


async def a_hosted_text_that_was_deleted(world: World) -> Case:
    url = await world.host(MEM + output(world.server.url))
    world.source = f"{url[:-16]}0123456789abcdef"
    yield "configuration", "copy the URL again"
    world.source = url


async def a_hosted_texts_id_that_was_cut(world: World) -> Case:
    url = await world.host(MEM + output(world.server.url))
    world.source = url[:-2]
    yield "configuration", "copy it again"
    world.source = url


async def a_text_of_a_server_that_hosts_none(world: World) -> Case:
    async def victoria_metrics(request: web.Request) -> web.Response:
        return web.Response(status=204 if request.path == "/ping" else 400)

    url = await world.host(MEM + output(world.server.url))
    world.source = url.replace(world.server.url, await world.listen(victoria_metrics))
    yield "configuration", "copy the URL again"
    world.source = url


async def a_plugin_of_ones_own_with_a_mistake(world: World) -> Case:
    file = world.folder / "plugins.d/own.py"
    file.parent.mkdir()
    file.write_text("import nosuch_library\n")
    world.inputs = MEM + "[[inputs.own]]\n"
    yield "plugin", "-m pip install nosuch_library"
    file.write_text(
        "from pyagent.api import Accumulator, Input\n"
        "class Own(Input):\n"
        "    def gather(self, acc: Accumulator) -> None:\n"
        '        acc.add("own", {"value": 1})\n'
    )


# Inputs and filters ---------------------------------------------------------------------------------------------------


async def an_input_that_fails(world: World) -> Case:
    file = world.folder / "lines"
    world.inputs = f'[[inputs.file]]\n  files = ["{file}"]\n  data_format = "influx"\n'
    yield "gather", "nothing has this name, or may be read there"
    file.write_text("m v=1\n")


async def an_input_that_follows_a_file_that_is_not_there(world: World) -> Case:
    file = world.folder / "lines"
    world.inputs = MEM + f'[[inputs.tail]]\n  files = ["{file}"]\n  data_format = "influx"\n'
    yield "start", "wait until there is one"
    file.touch()


async def a_filter_of_an_input_that_keeps_all_out(world: World) -> Case:
    world.inputs = MEM + '  namepass = ["cpu"]\n'
    yield "filters", "look at the filters of"
    world.inputs = MEM + '  namepass = ["mem"]\n'


async def a_filter_of_the_output_that_keeps_all_out(world: World) -> Case:
    world.options["more"] = '  namedrop = ["m*"]\n'
    yield "filters", "look at the filters of"
    del world.options["more"]


async def seconds_that_are_read_as_nanoseconds(world: World) -> Case:
    record = {"t": int(time.time()), "v": 1}
    world.inputs = world.file_input(record, 'json_time_format = "unix_ns"')
    yield "times", "json_time_format = 'unix'"
    world.inputs = world.file_input(record, 'json_time_format = "unix"')


async def local_time_that_is_read_as_utc(world: World) -> Case:
    record = {"t": datetime.fromtimestamp(time.time() + 7200, UTC).strftime("%Y-%m-%dT%H:%M:%S"), "v": 1}
    form = 'json_time_format = "2006-01-02T15:04:05"'
    world.inputs = world.file_input(record, form)
    yield "times", "json_timezone"
    world.inputs = world.file_input(record, f'{form}\n  json_timezone = "Etc/GMT-2"')


async def metrics_that_are_older_than_the_bucket_keeps_them(world: World) -> Case:
    world.inputs = world.file_input({"t": int(time.time()) - 7200, "v": 1}, 'json_time_format = "unix"')
    world.change("buckets", retention=3600)
    yield "retention", "keep points for longer"
    world.change("buckets", retention=86400)


# The way to the server ------------------------------------------------------------------------------------------------


async def an_address_that_is_none(world: World) -> Case:
    right = world.options["url"]
    world.text = MEM + output("unix:///nosuch/socket")
    yield "connect", "start the server, or correct `urls`"
    world.text = MEM + output(right)


async def a_name_that_nobody_knows(world: World) -> Case:
    world.options["url"] = "http://influxdb.invalid:8086"
    yield "dns", "correct the name"
    world.options["url"] = world.server.url


async def a_service_of_a_compose_file_on_the_hosts_network(world: World) -> Case:
    world.options["url"] = "http://no-such-service-of-compose:8086"
    yield "dns", "with network_mode: host write localhost"
    world.options["url"] = world.server.url.replace("127.0.0.1", "localhost")


async def nobody_listens(world: World) -> Case:
    port = free_port()
    world.options["url"] = f"http://127.0.0.1:{port}"
    yield "connect", "start the server, or correct the port"
    started = await world.stack.enter_async_context(Sandbox(port=port))
    await started.setup(org="home", bucket="metrics", token=world.server.token)


async def a_certificate_of_an_unknown_authority(world: World) -> Case:
    world.options["url"] = await world.listen_with_tls()
    yield "tls", "tls_ca"
    world.options["more"] = f'  tls_ca = "{world.certificates}/ca.pem"'


async def a_certificate_of_another_name(world: World) -> Case:
    authority = f'  tls_ca = "{world.certificates}/ca.pem"'
    world.options["url"] = (await world.listen_with_tls()).replace("127.0.0.1", "localhost")
    world.options["more"] = authority
    yield "tls", "tls_server_name"
    world.options["more"] = f'{authority}\n  tls_server_name = "influx.example"'


async def a_certificate_that_is_not_verified(world: World) -> Case:
    world.options["url"] = await world.listen_with_tls()
    world.options["more"] = "  insecure_skip_verify = true"
    yield "tls", "give its authority with tls_ca"
    world.options["more"] = f'  tls_ca = "{world.certificates}/ca.pem"'


async def https_to_a_port_that_speaks_http(world: World) -> Case:
    world.options["url"] = world.server.url.replace("http", "https")
    yield "tls", "write http:// in place of https://"
    world.options["url"] = world.server.url


async def http_to_a_port_that_speaks_https(world: World) -> Case:
    async def as_go_answers(request: web.Request) -> web.Response:
        return web.Response(status=400, text="Client sent an HTTP request to an HTTPS server.\n")

    world.options["url"] = await world.listen(as_go_answers)
    yield "server", "write https:// in place of http://"
    world.options["url"] = await world.listen_with_tls()
    world.options["more"] = f'  tls_ca = "{world.certificates}/ca.pem"'


async def a_proxy_that_lets_nobody_through(world: World) -> Case:
    async def proxy(request: web.Request) -> web.Response:
        return web.Response(status=403, text="<html>", headers={"Server": "squid"})

    world.options["more"] = f'  http_proxy = "{await world.listen(proxy)}"'
    yield "server", "a proxy must hand on what InfluxDB says"
    del world.options["more"]


async def another_program(world: World) -> Case:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", headers={"Server": "nginx"})

    world.options["url"] = await world.listen(page)
    yield "server", "correct the host and port"
    world.options["url"] = world.server.url


async def an_influxdb_1(world: World) -> Case:
    async def old(request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"X-Influxdb-Version": "1.8.10"})

    world.options["url"] = await world.listen(old)
    yield "server", "upgrade it to InfluxDB 2"
    world.options["url"] = world.server.url


async def a_server_that_starts(world: World) -> Case:
    await world.server.fault(kind="status", status=503, paths=["/ping"])
    yield "server", "wait until it has started"
    await world.server.clear_faults()


async def a_clock_that_is_wrong(world: World) -> Case:
    world.options["url"] = await world.listen(influxdb(date=7200))
    yield "clock", "timedatectl set-ntp true"
    world.options["url"] = await world.listen(influxdb())


async def a_server_that_nobody_set_up(world: World) -> Case:
    empty = await world.stack.enter_async_context(Sandbox())
    world.options["url"] = empty.url
    yield "setup", f"pyagent provision setup --url {empty.url}"
    await empty.setup(org="home", bucket="metrics", token=world.server.token)


# A write --------------------------------------------------------------------------------------------------------------


async def a_variable_that_is_not_set(world: World) -> Case:
    """The name is sent as the token. The loading of the configuration says it as well."""
    world.environ = {}
    yield "configuration", "set it"
    world.environ = {"INFLUX_TOKEN": world.server.token}


async def a_token_in_quotes(world: World) -> Case:
    world.environ = {"INFLUX_TOKEN": f"'{world.server.token}'"}
    yield "token", "remove them"
    world.environ = {"INFLUX_TOKEN": world.server.token}


async def a_token_that_was_cut(world: World) -> Case:
    world.environ = {"INFLUX_TOKEN": world.server.token[:12]}
    yield "token", "copy the whole token again"
    world.environ = {"INFLUX_TOKEN": world.server.token}


async def a_token_that_was_revoked(world: World) -> Case:
    token = await world.server.authorize(write=["metrics"], description="agent")
    documents = world.server.state.documents
    (one,) = (one for one in documents.all("authorizations") if one["description"] == "agent")
    documents.delete("authorizations", one["id"])
    world.environ = {"INFLUX_TOKEN": token}
    yield "token", "copy the whole token again, of this server"
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"])}


async def a_token_that_is_switched_off(world: World) -> Case:
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"], description="agent")}
    documents = world.server.state.documents
    (one,) = (one for one in documents.all("authorizations") if one["description"] == "agent")
    documents.put("authorizations", one["id"], {**one, "status": "inactive"})
    yield "token", "activate it"
    documents.put("authorizations", one["id"], one)


async def an_organization_that_is_misspelt(world: World) -> Case:
    world.options["org"] = "hone"
    yield "organization", "write organization = 'home'"
    world.options["org"] = "home"


async def a_users_address_as_the_organization(world: World) -> Case:
    world.options["org"] = "admin@example.org"
    yield "organization", "it is neither the user nor an e-mail address; its ID will do as well"
    world.options["org"] = world.server.org_id


async def no_organization(world: World) -> Case:
    world.options["org"] = ""
    yield "organization", "set `organization`"
    world.options["org"] = "home"


async def a_bucket_in_other_letters(world: World) -> Case:
    world.options["bucket"] = "METRICS"
    yield "bucket", "write bucket = 'metrics'"
    world.options["bucket"] = "metrics"


async def a_bucket_with_the_retention_policy_of_influxdb_1(world: World) -> Case:
    world.options["bucket"] = "metrics/autogen"
    yield "bucket", "write bucket = 'metrics'"
    world.options["bucket"] = "metrics"


async def a_bucket_that_is_like_one_of_very_many(world: World) -> Case:
    for number in range(150):
        await world.server.add_bucket(f"room {number:03}")
    world.options["bucket"] = "Room 149"
    yield "bucket", "write bucket = 'room 149'"
    world.options["bucket"] = "room 149"


async def a_bucket_that_is_not_there(world: World) -> Case:
    world.options["bucket"] = "power"
    yield "bucket", "make the bucket"
    await world.server.add_bucket("power")


async def a_token_for_another_bucket(world: World) -> Case:
    await world.server.add_bucket("second")
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["second"])}
    yield "write", "make a token for this bucket"
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"])}


async def a_bucket_that_was_made_again(world: World) -> Case:
    """It has the name of before, and another ID."""
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"])}
    world.server.state.documents.delete("buckets", world.server.bucket_id)
    await world.server.add_bucket("metrics")
    yield "write", "a bucket that was deleted and made again needs a new one"
    world.environ = {"INFLUX_TOKEN": await world.server.authorize(write=["metrics"])}


async def a_path_that_influxdb_does_not_know(world: World) -> Case:
    world.options["url"] = f"{world.server.url}/api/v2/telegrafs/0123456789abcdef"
    yield "write", f"write urls = ['{world.server.url}']"
    world.options["url"] = world.server.url


async def a_proxy_that_wants_a_length(world: World) -> Case:
    inner, refuses = influxdb(), [True]

    async def proxy(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v2/write" and refuses:
            return web.Response(status=411)
        answer: web.StreamResponse = await inner(request)
        return answer

    world.options["url"] = await world.listen(proxy)
    yield "write", "look at the settings of the proxy"
    refuses.clear()


async def a_server_whose_disk_is_full(world: World) -> Case:
    await world.server.fault(kind="status", status=500, methods=["POST"])
    yield "write", "look at its log and its disk, then restart it"
    await world.server.clear_faults()


async def a_proxy_with_a_limit_of_bodies(world: World) -> Case:
    await world.server.fault(kind="too-large", bytes=4096)
    yield "batch", "lower metric_batch_size"
    world.agent += "  metric_batch_size = 10\n"


async def a_proxy_that_does_not_pass_compressed_bodies(world: World) -> Case:
    inner = influxdb()

    async def proxy(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Content-Encoding"):
            return web.Response(status=415)
        answer: web.StreamResponse = await inner(request)
        return answer

    world.options["url"] = await world.listen(proxy)
    yield "batch", 'write content_encoding = "identity"'
    world.options["more"] = '  content_encoding = "identity"'


async def a_server_that_takes_comments_and_no_points(world: World) -> Case:
    """A full disk is met by the first point, and by nothing that stores nothing."""
    inner, full = influxdb(), [True]

    async def server(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v2/write" and full and b"pyagent_probe" in await request.read():
            headers = {"X-Influxdb-Version": "v2.9.1"}
            return web.json_response({"message": "no space left on device"}, status=500, headers=headers)
        answer: web.StreamResponse = await inner(request)
        return answer

    world.options["url"] = await world.listen(server)
    world.probe = True
    yield "probe", "look at InfluxDB's log and disk"
    full.clear()


# What is in the bucket ------------------------------------------------------------------------------------------------


async def points_of_1970(world: World) -> Case:
    await world.server.write(f"weather,host=web1 v=1 {int(time.time())}")
    yield "points", "give the precision with which they are written"
    await world.delete("weather")
    await world.server.write(f"weather,host=web1 v=1 {int(time.time())}", "s")


async def points_in_the_future(world: World) -> Case:
    await world.server.write(f"weather,host=web1 v=1 {int(time.time()) + 3600}", "s")
    yield "points", "convert times to UTC, and delete the points that are ahead"
    await world.delete("weather")


async def two_agents_that_write_the_same(world: World) -> Case:
    now = int(time.time())
    await world.server.write("\n".join(f"mem,host=web1 v=1 {now - second}" for second in range(0, 150, 3)), "s")
    yield "writers", "stop one of them: systemctl list-units"
    await world.delete("mem")
    await world.server.write(
        "\n".join(f"mem,host=web1 v=1 {now // 10 * 10 - second}" for second in range(0, 150, 10)), "s"
    )


async def a_host_that_is_called_as_containers_are(world: World) -> Case:
    world.agent = '[agent]\n  hostname = "0123456789ab"\n'
    yield "host", "set `hostname` in [agent]"
    world.agent = '[agent]\n  hostname = "web1"\n'


def _cases() -> Iterator[Any]:
    for name, found in list(globals().items()):
        if getattr(found, "__annotations__", {}).get("return") is Case:
            yield pytest.param(found, id=name)


CASES = list(_cases())


@pytest.fixture
async def world(tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("container", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reach, "in_container", lambda: False)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Sandbox(faults=True))
        await server.setup(org="home", bucket="metrics")
        yield World(server, tmp_path, certificates, stack)


@pytest.mark.parametrize("case", CASES)
async def test_a_check_fails_and_its_remedy_mends_it(world: World, case: Callable[[World], Case]) -> None:
    steps = case(world)
    check, remedy = await anext(steps)
    found = [one for one in (await world.examine()).findings if one.level in (Level.FAILED, Level.WARNING)]
    assert found
    assert (found[0].check, remedy in found[0].remedy) == (check, True), found
    with pytest.raises(StopAsyncIteration):
        await anext(steps)
    assert wrong(await world.examine()) == []


def test_each_check_has_a_case() -> None:
    """By the calls that tell a failure or a warning."""
    told: set[str] = set()
    for file in Path(pyagent.cli.doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                first = node.args[0] if node.args else None
                if name in ("failed", "warning", "tell") and isinstance(first, ast.Constant):
                    told.add(first.value)
    source = ast.parse(Path(__file__).read_text())
    yielded = {
        node.value.elts[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Yield)
        and isinstance(node.value, ast.Tuple)
        and isinstance(node.value.elts[0], ast.Constant)
    }
    assert told - yielded - HOST_CHECKS == {"url"}  # loading a configuration refuses what is no URL before


# What is no fault, and is worth a word --------------------------------------------------------------------------------


def notes(report: Report) -> str:
    return "\n".join(f"{one.check}: {one.text} -> {one.remedy}" for one in report.findings if one.level is Level.NOTE)


async def test_the_pages_error_is_explained_where_the_server_has_it(world: World) -> None:
    report = await world.examine()
    assert 'listen-for-data: "Error Listening for Data" on the pages of InfluxDB 2.9.1 means nothing' in notes(report)
    assert wrong(report) == []


async def test_each_address_of_a_name_on_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is ::1 first, and the server listens on 127.0.0.1 only."""
    import asyncio

    right = asyncio.BaseEventLoop.getaddrinfo

    async def both(loop: Any, host: Any, port: Any, **words: Any) -> Any:
        if host != "influx.example":
            return await right(loop, host, port, **words)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    world.options["url"] = world.server.url.replace("127.0.0.1", "influx.example")
    report = await world.examine()
    assert "127.0.0.2: Connection refused -> write 127.0.0.1 in place of influx.example" in notes(report)


async def test_localhost_in_a_container_is_the_container_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "in_container", IN_CONTAINER)
    monkeypatch.setenv("container", "docker")
    other = Sandbox()
    async with other:
        port = other.port
    world.options["url"] = f"http://127.0.0.1:{port}"
    told, *_ = wrong(await world.examine())
    assert "in a container localhost is the container itself: write the service's name" in told


async def test_a_proxy_is_named_with_what_leaves_it_out(world: World) -> None:
    async def proxy(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = await influxdb()(request)
        return answer

    world.options["url"] = "http://influx.example:8086"
    world.options["more"] = f'  http_proxy = "{await world.listen(proxy)}"'
    report = await world.examine()
    assert "proxy: requests go through the proxy 127.0.0.1 -> NO_PROXY names what it is not for" in notes(report)
    assert wrong(report) == []


async def test_a_server_that_takes_influxdbs_writes_and_is_another(world: World) -> None:
    async def victoria_metrics(request: web.Request) -> web.Response:
        return web.Response(status=204 if request.path in ("/ping", "/api/v2/write") else 400)

    world.options["url"] = await world.listen(victoria_metrics)
    report = await world.examine()
    assert "server: what answers is not InfluxDB 2, though it may take its writes" in notes(report)
    assert wrong(report) == []


async def test_which_of_several_files_has_which_output(world: World) -> None:
    (world.folder / "b.conf").write_text(output(world.server.url) + "[[inputs.mem]]\n")
    (world.folder / "a.conf").write_text(MEM + output(world.server.url))
    report = Report()
    configs = (str(world.folder / "a.conf"), str(world.folder / "b.conf"))
    await Examination(report, RunSettings(configs=configs, environ=world.environ, plugin_directories=())).run()
    assert f"{world.folder}/b.conf has inputs.mem, outputs.influxdb_v2" in notes(report)
    assert "outputs are in 2 files: each of them gets the metrics of all inputs" in notes(report)


async def test_of_outputs_that_are_called_alike_the_place_is_told(world: World) -> None:
    world.text = MEM + output(world.server.url) + output(world.server.url, bucket="power")
    (one,) = [one for one in (await world.examine()).findings if one.level is Level.FAILED]
    assert one.check == "bucket"
    assert one.about == f"outputs.influxdb_v2 {world.server.url} ({world.folder}/a.conf:8)"


async def test_an_input_that_tells_of_the_running_agent_is_no_fault(world: World) -> None:
    world.inputs = MEM + "[[inputs.internal]]\n"
    report = await world.examine()
    assert wrong(report) == []
    assert any(one.check == "gather" and one.level is Level.SKIPPED for one in report.findings)


async def test_a_firewall_that_drops_what_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a socket whose queue is full does: it does not answer at all."""
    monkeypatch.setattr(reach, "PATIENCE", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        try:
            world.options["url"] = f"http://127.0.0.1:{place[1]}"
            (told,) = wrong(await world.examine())
        finally:
            for one in waiting:
                one.close()
    assert told.startswith(f"connect: port {place[1]} of 127.0.0.1: no answer -> a firewall drops it")


async def test_a_proxy_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def proxy(request: web.Request) -> web.Response:
        return web.Response(status=403, text="<html>")

    monkeypatch.setenv("http_proxy", await world.listen(proxy))
    assert wrong(await world.examine()) == []  # loopback is never proxied
    world.options["url"] = "http://influx.example:8086"
    report = await world.examine()
    assert "proxy: requests go through the proxy 127.0.0.1 -> NO_PROXY names" in notes(report)
    assert wrong(report)[0].startswith("server: what answers is not InfluxDB: 403")


async def test_what_the_output_sends_with_each_request_is_sent(world: World) -> None:
    inner, seen = influxdb(), set()

    async def proxy(request: web.Request) -> web.StreamResponse:
        seen.add(request.headers.get("X-Scope"))
        answer: web.StreamResponse = await inner(request)
        return answer

    world.options["url"] = await world.listen(proxy)
    world.options["more"] = '  [outputs.influxdb_v2.http_headers]\n    X-Scope = "abc"\n'
    assert wrong(await world.examine()) == []
    assert seen == {"abc"}
