"""The kit for inputs that ask URLs: who asks, where requests go, logins, bounds, and what a failure says."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pyagent.api import ConfigError, PyagentError, Secret
from pyagent.kit.http import Credentials, HttpOptions, UrlClient
from pyagent.testing.inputs import make_options
from pyagent_plugins.inputs.nginx import Nginx

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Site:
    """A server that answers as a function says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.handler: Handler | None = None
        self.connections = 0
        self.url = ""
        self.other = ""
        """The same server, by another name of this host."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        names = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, str(request.rel_url), names, await request.read()))
        return web.Response(text="yes") if self.handler is None else await self.handler(request)

    @property
    def last(self) -> tuple[str, str, dict[str, str], bytes]:
        return self.requests[-1]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    server = web.Server(made.answer)

    def connect() -> Any:
        made.connections += 1
        return server()

    listening = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    made.url, made.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    try:
        yield made
    finally:
        listening.close()
        await server.shutdown(0.1)


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., UrlClient]]:
    """Makes clients from a table of options, and closes them."""
    made: list[UrlClient] = []

    def make(options: dict[str, Any] | None = None, **arguments: Any) -> UrlClient:
        made.append(UrlClient(make_options(Nginx, options or {}), **arguments))
        return made[-1]

    yield make
    for each in made:
        await each.close()


Make = Callable[..., UrlClient]


# Who asks -----------------------------------------------------------------------------------------------------------------


async def test_a_user_a_token_and_a_file_of_a_token(site: Site, client: Make, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  first\n")
    cases = [
        (Credentials(), None),
        (Credentials(username=Secret("ann"), password=Secret("pä:ss")), "Basic YW5uOnDDpDpzcw=="),
        (Credentials(token=Secret(" t0k \n")), "Bearer t0k"),
        (Credentials(token_file=str(file)), "Bearer first"),
        (Credentials(token=Secret("t0k"), token_file=str(file)), "Bearer t0k"),
        (Credentials(username=Secret("a"), password=Secret("b"), token=Secret("t0k")), "Basic YTpi"),
    ]
    for credentials, expected in cases:
        await client(credentials=credentials).request(site.url)
        assert site.last[2].get("authorization") == expected
    changing = client(credentials=Credentials(token_file=str(file)))
    await changing.request(site.url)
    file.write_text("second")
    await changing.request(site.url)
    assert site.last[2]["authorization"] == "Bearer second"
    file.unlink()
    with pytest.raises(PyagentError, match=rf"^cannot read the token's file {file}: No such file or directory$"):
        await changing.request(site.url)


async def test_headers_of_the_configuration_win_in_any_case(site: Site, client: Make) -> None:
    asking = client(
        credentials=Credentials(token=Secret("t0k")),
        headers={"AUTHORIZATION": Secret("Own word"), "host": "queue.example", "X-Extra": "yes"},
    )
    await asking.request(site.url, headers={"x-extra": "no", "Accept": "text/plain"})
    sent = site.last[2]
    assert (sent["authorization"], sent["host"], sent["x-extra"]) == ("Own word", "queue.example", "yes")
    assert sent["accept"] == "text/plain"


# Where it goes ------------------------------------------------------------------------------------------------------------


async def test_connections_are_kept_between_gathers(site: Site, client: Make) -> None:
    asking = client()
    for _ in range(3):
        assert (await asking.request(site.url)).text == "yes"
    assert site.connections == 1


async def test_a_redirect_is_followed_and_credentials_stay_with_their_host(site: Site, client: Make) -> None:
    async def redirecting(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/end":
            return web.Response(text="end")
        status, _, target = request.path.strip("/").partition("/")
        where = {"near": "/end?x=1", "far": f"{site.other}/end", "round": "/302/round", "none": ""}[target]
        return web.Response(status=int(status), headers={"Location": where} if where else {})

    site.handler = redirecting
    asking = client(credentials=Credentials(token=Secret("t0k")), headers={"X-Extra": "yes"})
    assert (await asking.request(f"{site.url}/302/near", "POST", body=b"text")).text == "end"
    assert site.last[:2] == ("GET", "/end?x=1")
    assert site.last[3] == b""
    assert site.last[2]["authorization"] == "Bearer t0k"
    await asking.request(f"{site.url}/307/near", "POST", body=b"text", compress=True)
    assert (site.last[0], site.last[3]) == ("POST", b"text")  # the server inflates it
    assert site.last[2]["content-encoding"] == "gzip"
    await asking.request(f"{site.url}/308/far")
    assert "authorization" not in site.last[2]
    assert site.last[2]["x-extra"] == "yes"
    with pytest.raises(PyagentError, match=r"it redirects in a circle, or more than 10 times$"):
        await asking.request(f"{site.url}/302/round")
    with pytest.raises(PyagentError, match="the answer's status is 302"):
        await asking.request(f"{site.url}/302/none")


@pytest.mark.parametrize(
    "location", ["http+unix:///run/docker.sock:/containers", "file:///etc/passwd", "http://", "//"]
)
async def test_a_redirect_leads_to_no_socket_and_no_file(location: str, site: Site, client: Make) -> None:
    async def redirecting(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    site.handler = redirecting
    with pytest.raises(PyagentError, match=r"it redirects to '.*', which is no URL of HTTP$|it redirects in a circle"):
        await client().request(site.url)


async def test_a_unix_socket(tmp_path: Path, client: Make) -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((str(request.rel_url), request.headers["Host"]))
        if request.path == "/moved":
            return web.Response(status=301, headers={"Location": "/status"})
        return web.Response(text="socket")

    server = web.Server(answer)
    path = tmp_path / "x.sock"
    listening = await asyncio.get_running_loop().create_unix_server(server, path)
    asking = client()
    assert (await asking.request(f"http+unix://{path}:/status?auto")).text == "socket"
    assert (await asking.request(f"http+unix://{path}")).text == "socket"
    assert asked == [("/status?auto", "localhost"), ("/", "localhost")]
    assert (await asking.request(f"http+unix://{path}:/moved")).text == "socket"
    assert asked[-1] == ("/status", "localhost")
    listening.close()
    await server.shutdown(0.1)
    with pytest.raises(
        PyagentError, match=f"^cannot read http\\+unix://{tmp_path}/none.sock:/x: cannot connect to {tmp_path}"
    ):
        await asking.request(f"http+unix://{tmp_path}/none.sock:/x")


async def test_a_proxy_is_the_one_of_the_options(site: Site, client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.delenv("no_proxy", raising=False)
    target = "http://nobody.invalid/page"
    assert (await client({"use_system_proxy": True}).request(target)).text == "yes"
    assert site.last[2]["host"] == "nobody.invalid"
    with pytest.raises(PyagentError, match=r"cannot connect to nobody\.invalid:80"):
        await client().request(target)
    monkeypatch.delenv("http_proxy")
    assert (await client({"http_proxy_url": site.url}).request(target)).text == "yes"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("localhost/status", "write http://, https:// or http+unix:// before it"),
        ("ftp://localhost/", "write http://, https:// or http+unix:// before it"),
        ("http://", "it names no host"),
        ("http:///status", "it names no host"),
        ("http://user:secret@h:99999/", "Port out of range 0-65535"),
        ("http+unix://run/x.sock:/status", "write http+unix:///PATH/OF/SOCKET:/what/to/ask/for"),
    ],
)
def test_a_url_that_cannot_work_is_found_at_the_start(url: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UrlClient(make_options(Nginx), [url])
    assert cause in str(caught.value)
    assert caught.value.option == "urls"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"cookie_auth_url": "login"}, "cookie_auth_url"),
        ({"client_id": "a", "client_secret": "b", "token_url": "tokens"}, "token_url"),
    ],
)
def test_so_is_that_of_a_login(options: dict[str, str], option: str) -> None:
    with pytest.raises(ConfigError, match="write http://, https:// or") as caught:
        UrlClient(make_options(Nginx, options))
    assert caught.value.option == option


# What comes back ----------------------------------------------------------------------------------------------------------


async def test_a_status_that_was_not_expected(site: Site, client: Make) -> None:
    async def status(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:]))

    site.handler = status
    asking = client()
    with pytest.raises(PyagentError) as caught:
        await asking.request(f"{site.url.replace('//', '//me:s3cret@')}/404?token=s3cret")
    assert str(caught.value) == (
        f"cannot read {site.url.replace('//', '//***@')}/404?token=***: the answer's status is 404 (Not Found), not 200"
    )
    with pytest.raises(PyagentError, match=r"403 \(Forbidden\), not 200; correct the credentials$"):
        await asking.request(f"{site.url}/403")
    with pytest.raises(PyagentError, match=r"status is 599 \(\), not 200, 418$|status is 599 \(.*\), not 200, 418$"):
        await asking.request(f"{site.url}/599", expected=(418, 200))
    assert (await asking.request(f"{site.url}/418", expected=(200, 418))).status == 418


async def test_answers_are_inflated_and_bounded(site: Site, client: Make) -> None:
    async def large(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"})

    site.handler = large
    assert len((await client().request(site.url)).body) == 1_000_000
    with pytest.raises(PyagentError, match=r"the answer is larger than 999999 bytes$"):
        await client(max_body=999_999).request(site.url)


async def test_time_until_an_answer_begins_and_for_all_of_it(site: Site, client: Make) -> None:
    never = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        if request.path == "/body":
            await response.prepare(request)
            await response.write(b"a")
        await never.wait()
        return response

    site.handler = slow
    with pytest.raises(PyagentError, match=r"no answer within 0\.05 s$"):
        await client({"response_timeout": "50ms", "timeout": "60s"}).request(site.url)
    with pytest.raises(PyagentError, match=r"no answer within 0\.05 s$"):
        await client({"timeout": "50ms", "response_timeout": "60s"}).request(site.url)
    with pytest.raises(PyagentError, match=r"no answer within 0\.2 s$"):
        await client({"response_timeout": "60s", "timeout": "200ms"}).request(f"{site.url}/body")
    never.set()


# Logins -------------------------------------------------------------------------------------------------------------------


COOKIE = {
    "cookie_auth_username": "me",
    "cookie_auth_password": "pw-of-me",
    "cookie_auth_headers": {"Content-Type": "application/json"},
    "cookie_auth_body": '{"a": 1}',
}


class Sessions:
    """Wants a cookie of `/login`, which gives a new one each time."""

    def __init__(self, site: Site) -> None:
        self.logins = 0
        self.status = 200
        site.handler = self.answer

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/login":
            self.logins += 1
            response = web.Response(status=self.status)
            if self.status == 200:
                response.set_cookie("session", f"s{self.logins}")
            return response
        good = request.cookies.get("session") == f"s{self.logins}"
        return web.Response(status=200 if good else 401, text="in")


async def test_cookies_are_got_once_and_sent(site: Site, client: Make) -> None:
    sessions = Sessions(site)
    asking = client({**COOKIE, "cookie_auth_url": f"{site.url}/login"})
    answers = await asyncio.gather(*(asking.request(f"{site.url}/{number}") for number in range(5)))
    assert [answer.text for answer in answers] == ["in"] * 5
    assert sessions.logins == 1
    method, path, headers, body = site.requests[0]
    assert (method, path, body) == ("POST", "/login", b'{"a": 1}')
    assert headers["authorization"] == "Basic bWU6cHctb2YtbWU="
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers


async def test_cookies_that_the_server_forgot_are_got_anew(site: Site, client: Make) -> None:
    sessions = Sessions(site)
    asking = client({"cookie_auth_url": f"{site.url}/login", "cookie_auth_method": "PUT"})
    await asking.request(site.url)
    sessions.logins = 7
    with pytest.raises(PyagentError, match="401"):
        await asking.request(site.url)
    assert (await asking.request(site.url)).text == "in"
    assert [request[0] for request in site.requests if request[1] == "/login"] == ["PUT", "PUT"]
    assert "cookie" not in site.requests[-2][2]


async def test_cookies_are_renewed_in_time(site: Site, client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(site)
    asking = client({"cookie_auth_url": f"{site.url}/login", "cookie_auth_renewal": "1h"})
    await asking.request(site.url)
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + 3599)
    await asking.request(site.url)
    assert sessions.logins == 1
    monkeypatch.setattr(loop, "time", lambda: real() + 3601)
    await asking.request(site.url)
    assert sessions.logins == 2


async def test_a_login_that_fails_is_tried_once_for_all_urls(site: Site, client: Make) -> None:
    sessions = Sessions(site)
    sessions.status = 500
    asking = client({**COOKIE, "cookie_auth_url": f"{site.url}/login?password=geheim"})
    found = await asyncio.gather(*(asking.request(f"{site.url}/{n}") for n in range(5)), return_exceptions=True)
    assert {str(error).partition(": ")[2] for error in found} == {
        f"cannot log in at {site.url}/login?password=***: the answer's status is 500"
    }
    assert sessions.logins == 1


class Tokens:
    """OAuth2's token endpoint at `/token`, and a page that wants its token."""

    def __init__(self, site: Site, *, in_body: bool = False, lifetime: object = 3600) -> None:
        self.given = 0
        self.in_body = in_body
        self.lifetime = lifetime
        self.text: str | None = None
        self.forms: list[dict[str, str]] = []
        site.handler = self.answer

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/token":
            good = request.headers.get("Authorization") == f"Bearer token{self.given}"
            return web.Response(status=200 if good else 401, text="in")
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        by_header = request.headers.get("Authorization") == "Basic bWU6cHclMkZvZiUyMG1l"
        by_body = (form.get("client_id"), form.get("client_secret")) == ("me", "pw/of me")
        if not (by_body if self.in_body else by_header):
            return web.json_response({"error": "invalid_client", "error_description": "who\n is it"}, status=401)
        if self.text is not None:
            return web.Response(text=self.text)
        self.given += 1
        found = {"access_token": f"token{self.given}", "token_type": "bearer", "expires_in": self.lifetime}
        return web.json_response(found)


def oauth(site: Site) -> dict[str, Any]:
    return {"client_id": "me", "client_secret": "pw/of me", "token_url": f"{site.url}/token"}


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_token_by_oauth2(in_body: bool, site: Site, client: Make) -> None:
    tokens = Tokens(site, in_body=in_body)
    asking = client(
        {**oauth(site), "audience": "all", "scopes": ["a", "b"]}, credentials=Credentials(token=Secret("x"))
    )
    for _ in range(3):
        assert (await asking.request(site.url)).text == "in"
    assert tokens.given == 1
    assert tokens.forms[-1].items() >= {"grant_type": "client_credentials", "scope": "a b", "audience": "all"}.items()
    assert ("client_secret" in tokens.forms[-1]) == in_body


@pytest.mark.parametrize("in_body", [False, True])
async def test_a_secret_that_is_not_utf8_is_sent_by_its_bytes(in_body: bool, site: Site, client: Make) -> None:
    Tokens(site, in_body=in_body)
    with pytest.raises(PyagentError, match="who is it"):
        await client({**oauth(site), "client_secret": "pw\udcff"}).request(site.url)


async def test_a_token_is_got_anew_before_its_end(site: Site, client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(site, lifetime="100")
    asking = client(oauth(site))
    await asking.request(site.url)
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + 89)
    await asking.request(site.url)
    assert tokens.given == 1
    monkeypatch.setattr(loop, "time", lambda: real() + 91)
    await asking.request(site.url)
    assert tokens.given == 2


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("no json", "the answer has no access_token"),
        ("[1]", "the answer has no access_token"),
        ('{"access_token": 5}', "the answer has no access_token"),
        ('{"access_token": "a", "expires_in": "soon"}', "the answer's expires_in is no number of seconds"),
    ],
)
async def test_an_answer_without_a_token(text: str, cause: str, site: Site, client: Make) -> None:
    Tokens(site).text = text
    with pytest.raises(PyagentError) as caught:
        await client(oauth(site)).request(site.url)
    assert str(caught.value) == f"cannot read {site.url}: cannot get a token from {site.url}/token: {cause}"


async def test_a_secret_that_is_wrong(site: Site, client: Make) -> None:
    Tokens(site)
    with pytest.raises(PyagentError) as caught:
        await client({**oauth(site), "client_secret": "geheim"}).request(site.url)
    assert str(caught.value).endswith(f"from {site.url}/token: the answer's status is 401: who is it")
    assert "geheim" not in str(caught.value)


def test_the_options_are_those_of_telegraf() -> None:
    names = (
        "timeout idle_conn_timeout max_idle_conn max_idle_conn_per_host response_timeout local_address use_system_proxy"
        " http_proxy_url tls_ca tls_cert tls_key tls_key_pwd tls_min_version tls_cipher_suites insecure_skip_verify"
        " tls_server_name tls_renegotiation_method tls_enable client_id client_secret token_url audience scopes"
        " cookie_auth_url cookie_auth_method cookie_auth_headers cookie_auth_username cookie_auth_password"
        " cookie_auth_body cookie_auth_renewal"
    )
    assert set(HttpOptions.__struct_fields__) == set(names.split())
