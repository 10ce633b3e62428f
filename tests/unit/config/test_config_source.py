"""Files, directories and URLs: what is read, in which order, and the one line for what cannot be."""

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pyagent.config import SourceError, SourceText, default_sources, expand_sources, read_source, split_values
from pyagent.config.source import MAX_BYTES, mask_url

TEXT = '[[inputs.mem]]\n  alias = "é"\n'


async def refused(where: str, **settings: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await read_source(where, **{"environ": {}, **settings})
    assert "\n" not in str(caught.value)
    return caught.value


# Files.


async def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert await read_source(str(file)) == SourceText(str(file), TEXT)


async def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_bytes(b'a = "caf\xe9"')
    assert (await read_source(str(file))).text == 'a = "caf\ufffd"'


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("a = 1".encode("utf-16"), "it is text in UTF-16; save it as UTF-8"),
        ("\ufeffa = 1".encode("utf-16-be"), "it is text in UTF-16; save it as UTF-8"),
        ("a = 1".encode("utf-16-le"), "it is text in UTF-16; save it as UTF-8"),
        (b"a = '\0'\n", "it is not text (it contains NUL bytes)"),
        (b"\n <!DOCTYPE html><html>", "it is HTML or XML, not TOML (a login page?)"),
        (b"#" * (MAX_BYTES + 1), f"it is larger than {MAX_BYTES >> 20} MiB"),
    ],
)
async def test_what_is_no_configuration(tmp_path: Path, content: bytes, wanted: str) -> None:
    file = tmp_path / "a.conf"
    file.write_bytes(content)
    error = await refused(str(file))
    assert str(error) == f"cannot read the configuration {file}: {wanted}"
    assert not error.retryable


async def test_what_is_no_file(tmp_path: Path) -> None:
    assert str(await refused(f"{tmp_path}/none")).endswith("none: No such file or directory; correct the path")
    assert str(await refused(str(tmp_path))).endswith("it is a directory; name a file, or use --config-directory")
    assert "embedded null " in str(await refused("a\0b"))  # the rest is Python's words, which change


# Where configurations are.


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(TEXT)


def test_values_are_lists_with_commas() -> None:
    assert split_values(["a, b", "c"]) == ["a", "b", "c"]


def test_directories_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "d/b.conf",
        "d/a/z.conf",
        "d/c/.hidden.conf",
        "d/c/x.conf.bak",
        "d/c/y.CONF",
        "d/..data/n.conf",
        "d/.conf",
    )
    (tmp_path / "d/l.conf").symlink_to(tmp_path / "d/b.conf")
    (tmp_path / "d/linked").symlink_to(tmp_path / "d/a")
    (tmp_path / "d/nowhere.conf").symlink_to(tmp_path / "gone")
    found = expand_sources(["x.conf,y.conf"], [f"{tmp_path}/d"])
    wanted = ["d/a/z.conf", "d/b.conf", "d/c/.hidden.conf", "d/l.conf", "d/nowhere.conf"]
    assert found == ["x.conf", "y.conf", *(f"{tmp_path}/{name}" for name in wanted)]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_directory_that_is_a_link_is_followed(tmp_path: Path, slash: str) -> None:
    tree(tmp_path, "d/a.conf")
    (tmp_path / "l").symlink_to(tmp_path / "d")
    warnings: list[str] = []
    assert expand_sources([], [f"{tmp_path}/l{slash}"], warnings) == [f"{tmp_path}/l/a.conf"]
    assert warnings == []


@pytest.mark.parametrize("files", [(), ("a.conf.bak", "telegraf.toml", "below/b.cfg")])
def test_a_directory_without_a_configuration_is_named(tmp_path: Path, files: tuple[str, ...]) -> None:
    (tmp_path / "d").mkdir()
    tree(tmp_path, *(f"d/{name}" for name in files))
    warnings: list[str] = []
    assert expand_sources([], [f"{tmp_path}/d"], warnings) == []
    assert warnings == [f"the directory {tmp_path}/d holds no configuration: none of its files is called *.conf"]


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        ("influx:8086/api/v2/telegrafs/1", "an address begins with its scheme: http://influx:8086/api/v2/telegrafs/1"),
        ("influx/api/v2/telegrafs/1", "an address begins with its scheme: http://influx/api/v2/telegrafs/1"),
        ("/nowhere/a.conf", "correct the path"),
        ("nowhere.conf", "it is looked for in the folder of the start"),
    ],
)
async def test_a_file_that_is_not_there_has_advice(where: str, advice: str) -> None:
    assert str(await refused(where)).endswith(f"No such file or directory; {advice}")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read the directory .*/none: No such file or directory"):
        expand_sources([], [f"{tmp_path}/none"])
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(SourceError, match=r"cannot read the directory .*/link: No such file or directory"):
        expand_sources([], [f"{tmp_path}/link"])


def test_a_directory_inside_that_cannot_be_read_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "d/a.conf", "d/closed/b.conf")
    listdir = os.listdir

    def closed(path: str) -> list[str]:  # the superuser may read any directory: no mode bits can stand for this
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", closed)
    warnings: list[str] = []
    assert expand_sources([], [f"{tmp_path}/d"], warnings) == [f"{tmp_path}/d/a.conf"]
    assert warnings == [
        f"{tmp_path}/d/closed: skipped: cannot read the directory {tmp_path}/d/closed: Permission denied"
    ]


def test_default_places_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "etc/telegraf/telegraf.conf", "home/.telegraf/telegraf.conf")
    lstat = os.lstat

    def closed(path: str) -> os.stat_result:
        if ".telegraf" in path or path.endswith("telegraf.d"):
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    monkeypatch.setattr(os, "lstat", closed)
    warnings: list[str] = []
    found = default_sources({"HOME": f"{tmp_path}/home"}, f"{tmp_path}/etc", warnings)
    assert found == [f"{tmp_path}/etc/telegraf/telegraf.conf"]
    assert warnings == [
        f"cannot look for {tmp_path}/home/.telegraf/telegraf.conf: Permission denied",
        f"cannot look for {tmp_path}/etc/telegraf/telegraf.d: Permission denied",
    ]


def test_a_default_place_that_is_a_link_to_nowhere_is_named_when_it_is_read(tmp_path: Path) -> None:
    tree(tmp_path, "etc/telegraf/telegraf.d/.keep")
    (tmp_path / "etc/telegraf/telegraf.conf").symlink_to(tmp_path / "gone")
    assert default_sources({}, f"{tmp_path}/etc") == [f"{tmp_path}/etc/telegraf/telegraf.conf"]


def test_an_empty_telegraf_d_is_what_a_package_installs(tmp_path: Path) -> None:
    tree(tmp_path, "etc/telegraf/telegraf.conf")
    (tmp_path / "etc/telegraf/telegraf.d").mkdir()
    warnings: list[str] = []
    assert default_sources({}, f"{tmp_path}/etc", warnings) == [f"{tmp_path}/etc/telegraf/telegraf.conf"]
    assert warnings == []


def test_default_places_one_after_the_other(tmp_path: Path) -> None:
    etc, home = tmp_path / "etc", tmp_path / "home"

    def found(**environ: str) -> list[str]:
        return [name.removeprefix(f"{tmp_path}/") for name in default_sources({"HOME": str(home), **environ}, str(etc))]

    assert found() == []
    tree(etc, "telegraf/telegraf.d/b.conf", "telegraf/telegraf.d/a.conf")
    assert found() == ["etc/telegraf/telegraf.d/a.conf", "etc/telegraf/telegraf.d/b.conf"]
    tree(etc, "telegraf/telegraf.conf")
    assert found()[0] == "etc/telegraf/telegraf.conf"
    assert len(found()) == 3
    tree(home, ".telegraf/telegraf.conf")
    assert found() == ["home/.telegraf/telegraf.conf"]
    assert found(TELEGRAF_CONFIG_PATH="/nowhere/x.conf") == ["home/.telegraf/telegraf.conf"]
    assert found(TELEGRAF_CONFIG_PATH="http://h/x") == ["http://h/x"]
    assert found(TELEGRAF_CONFIG_PATH="http://h/x", TELEGRAF_CONFIG="/nowhere/x.conf") == ["/nowhere/x.conf"]
    assert found(TELEGRAF_CONFIG="x", PYAGENT_CONFIG="http://h/y, z.conf") == ["http://h/y", "z.conf"]


# URLs.


class Server:
    """Answers as told, by path, and keeps the headers of what it was asked."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, body = outer.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer((host, 0), Handler)
        self.port = self.http.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, path: str, body: bytes | str, status: int = 200, **headers: str) -> str:
        self.answers[path] = status, headers, body.encode() if isinstance(body, str) else body
        return self.url + path

    def headers(self, number: int = -1) -> dict[str, str]:
        return self.asked[number][1]

    def stop(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, None),
        ({"INFLUX_TOKEN": "token-1"}, "Token token-1"),
        ({"INFLUX_TOKEN": "token-1\n"}, "Token token-1"),
        ({"INFLUX_TOKEN": ""}, None),
        ({"INFLUX_TOKEN": "token-1", "TELEGRAF_CONTROLLER_TOKEN": "token-2"}, "Bearer token-2"),
        ({"INFLUX_TOKEN": "token-1", "TELEGRAF_CONTROLLER_TOKEN": ""}, "Token token-1"),
    ],
)
async def test_a_url_is_asked_with_the_token(server: Server, environ: dict[str, str], wanted: str | None) -> None:
    url = server.answer("/api/v2/telegrafs/1", b"\xef\xbb\xbf" + TEXT.encode())
    assert await read_source(url, environ=environ) == SourceText(url, TEXT)
    assert server.headers().get("authorization") == wanted
    assert server.headers()["accept"] == "application/toml"


async def test_a_password_in_the_url_is_used_and_never_shown(server: Server) -> None:
    server.answer("/c?a=1", TEXT)
    url = server.url.replace("://", "://me:hush%20hush@")
    source = await read_source(f"{url}/c?a=1#part", environ={})
    assert source.where == server.url.replace("://", "://***@") + "/c?a=1#part"
    assert server.headers()["authorization"] == "Basic bWU6aHVzaCBodXNo"
    await read_source(f"{url}/c?a=1", environ={"INFLUX_TOKEN": "token-1"})
    assert server.headers()["authorization"] == "Token token-1"
    assert "hush" not in str(await refused(f"{url}/none"))


def test_masking() -> None:
    assert mask_url("http://u:p@h/x@y") == "http://***@h/x@y"
    assert mask_url("http://h/c?p=pass&id=1") == "http://h/c?p=***&id=1"
    assert mask_url("http://h/x@y") == "http://h/x@y"
    assert mask_url("u:p@h") == "u:p@h"


@pytest.mark.parametrize(
    ("status", "environ", "wanted"),
    [
        (401, {}, "401 Unauthorized (no way): no token was sent; set INFLUX_TOKEN to one that may read this config"),
        (
            401,
            {"INFLUX_TOKEN": "hush-hush"},
            "401 Unauthorized (no way): the server refused the token in INFLUX_TOKEN;",
        ),
        (
            403,
            {"TELEGRAF_CONTROLLER_TOKEN": "hush-hush"},
            "403 Forbidden (no way): the server refused the token in TELEG",
        ),
        (404, {}, "404 Not Found (no way): check the address, the configuration's ID and that the token may read it"),
        (500, {}, "500 Internal Server Error (no way)"),
        (204, {}, "204 No Content"),
        (302, {}, "302 Found (no way)"),
    ],
)
async def test_statuses(server: Server, status: int, environ: dict[str, str], wanted: str) -> None:
    body = "" if status == 204 else json.dumps({"code": "x", "message": "no way"})
    url = server.answer("/c", body, status)
    error = await refused(url, environ=environ)
    assert str(error).startswith(f"cannot read the configuration {url}: {wanted}")
    assert "hush" not in str(error)
    assert error.retryable


async def test_bodies_that_are_no_text(server: Server) -> None:
    html = await refused(server.answer("/c", "<html>\n"))
    assert str(html).endswith("it is HTML or XML, not TOML (a login page?)")
    assert not html.retryable
    assert "NUL bytes" in str(await refused(server.answer("/c", b"a\0b")))
    assert str(await refused(server.answer("/c", b"a = 1\nb = '\xff'"))).startswith(f"{server.url}/c:2: cannot read")


async def test_a_body_that_is_too_large(server: Server) -> None:
    url = server.answer("/c", b"#" * (MAX_BYTES + 1))
    assert (
        str(await refused(url)) == f"cannot read the configuration {url}: the answer is larger than {MAX_BYTES} bytes"
    )


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/c"
        error = await refused(url)
    assert str(error).startswith(f"cannot read the configuration {url}: cannot connect to 127.0.0.1:")
    assert "refused" in str(error)
    assert error.retryable


async def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = await refused(f"http://127.0.0.1:{silent.getsockname()[1]}/c", timeout=0.05)
    assert str(error).endswith("no answer within 0.05 s")
    assert error.retryable


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("ftp://h/c", "the scheme 'ftp' is not supported; use http or https"),
        ("http:///c", "the URL names no host"),
        ("http://h:port/c", "Port could not be cast to integer value as 'port'; check the URL"),
    ],
)
async def test_urls_that_are_none(url: str, wanted: str) -> None:
    error = await refused(url)
    assert str(error) == f"cannot read the configuration {url}: {wanted}"
    assert not error.retryable


async def test_a_redirect_on_the_same_host_keeps_the_token(server: Server) -> None:
    server.answer("/new", TEXT)
    url = server.answer("/old", "", 301, Location="/new")
    assert (await read_source(url, environ={"INFLUX_TOKEN": "token-1"})).text == TEXT
    assert [headers["authorization"] for _, headers in server.asked] == ["Token token-1", "Token token-1"]


async def test_a_redirect_to_another_host_goes_without_the_token(server: Server) -> None:
    other = Server("127.0.0.2")
    try:
        url = server.answer("/old", "", 302, Location=other.answer("/new", TEXT))
        assert (await read_source(url, environ={"INFLUX_TOKEN": "token-1"})).text == TEXT
        assert "authorization" not in other.headers()
        back = other.answer("/new", "", 302, Location=server.answer("/end", TEXT))
        assert (await read_source(url, environ={"INFLUX_TOKEN": "token-1"})).text == TEXT
        assert back
    finally:
        other.stop()


async def test_redirects_without_end(server: Server) -> None:
    url = server.answer("/c", "", 307, Location="/c")
    assert str(await refused(url)) == f"cannot read the configuration {url}: more than 5 redirects"
    assert len(server.asked) == 6


async def test_a_redirect_to_another_scheme(server: Server) -> None:
    url = server.answer("/c", "", 302, Location="file:///etc/passwd")
    assert str(await refused(url)).endswith("the scheme 'file' is not supported; use http or https")
