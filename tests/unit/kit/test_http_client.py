"""The HTTP client that plugins share: what it shows, what it bounds, and whom it trusts."""

import gzip
import ssl
from pathlib import Path

import pytest
from yarl import URL

from pyagent.api import ConfigError, Secret
from pyagent.kit import http_client
from pyagent.kit.http_client import HttpClient, HttpError, _proxy_for
from pyagent.kit.tls import TlsOptions
from pyagent.testing.outputs import Answer, Raw, ScriptedServer


@pytest.fixture
def https(certificates: Path) -> ScriptedServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    return ScriptedServer(tls=context)


def demanding(certificates: Path, *, suites: str = "", newest: str = "TLSv1_3", client: bool = False) -> ScriptedServer:
    """A server with these suites of TLS 1.2, versions up to that, and certificates of clients asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    context.maximum_version = ssl.TLSVersion[newest]
    if suites:
        context.set_ciphers(suites)
    if client:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return ScriptedServer(tls=context)


async def get(url: str, tls: TlsOptions | None = None, **options: str) -> int:
    client = HttpClient(tls=tls, proxy=options.get("proxy", ""), local_address=options.get("local_address", ""))
    try:
        return (await client.request("GET", url)).status
    finally:
        await client.close()


class TestTls:
    async def test_own_authorities_are_trusted(self, certificates: Path, https: ScriptedServer) -> None:
        async with https:
            assert await get(https.url, TlsOptions(tls_ca=str(certificates / "ca.pem"))) == 204

    @pytest.mark.parametrize("authority", [None, "another-ca.pem"])
    async def test_others_are_not(self, authority: str | None, certificates: Path, https: ScriptedServer) -> None:
        async with https:
            tls = TlsOptions(tls_ca=str(certificates / authority)) if authority else None
            with pytest.raises(HttpError, match=r"cannot connect to 127\.0\.0\.1:\d+: .*certificate verify failed"):
                await get(https.url, tls)

    def test_with_own_authorities_those_of_the_system_are_not_trusted(self, certificates: Path) -> None:
        context = TlsOptions(tls_ca=str(certificates / "ca.pem")).ssl_context()
        assert context is not None
        assert [dict(sum(one["subject"], ()))["commonName"] for one in context.get_ca_certs()] == ["ca"]

    async def test_any_certificate(self, https: ScriptedServer) -> None:
        async with https:
            assert await get(https.url, TlsOptions(insecure_skip_verify=True)) == 204

    @pytest.mark.parametrize(("name", "good"), [("influx.example", True), ("another.example", False)])
    async def test_the_name_to_expect(self, name: str, good: bool, certificates: Path, https: ScriptedServer) -> None:
        tls = TlsOptions(tls_ca=str(certificates / "ca.pem"), tls_server_name=name)
        async with https:
            if good:
                assert await get(https.url, tls) == 204
            else:
                with pytest.raises(HttpError, match="Hostname mismatch"):
                    await get(https.url, tls)

    def test_a_locked_key(self, certificates: Path) -> None:
        certificate, key = str(certificates / "server.pem"), str(certificates / "locked.pem")
        TlsOptions(tls_cert=certificate, tls_key=key, tls_key_pwd=Secret("open-sesame")).ssl_context()
        for password in ("", "wrong"):  # without any, OpenSSL would ask at the terminal
            with pytest.raises(ConfigError, match="cannot load tls_cert") as caught:
                TlsOptions(tls_cert=certificate, tls_key=key, tls_key_pwd=Secret(password)).ssl_context()
            assert caught.value.option == "tls_cert"

    async def test_a_client_certificate_with_a_locked_key_is_shown(self, certificates: Path) -> None:
        authority, pem, key = (str(certificates / name) for name in ("ca.pem", "server.pem", "locked.pem"))
        mine = TlsOptions(tls_ca=authority, tls_cert=pem, tls_key=key, tls_key_pwd=Secret("open-sesame"))
        async with demanding(certificates, client=True) as server:
            assert await get(server.url, mine) == 204
            with pytest.raises(HttpError):
                await get(server.url, TlsOptions(tls_ca=authority))
            assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("names", "good"),
        [
            (["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], True),
            (["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], True),
            (["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], False),
            ([], True),
        ],
    )
    async def test_only_suites_that_are_allowed_are_used(
        self, names: list[str], good: bool, certificates: Path
    ) -> None:
        tls = TlsOptions(tls_ca=str(certificates / "ca.pem"), tls_cipher_suites=names)
        async with demanding(certificates, suites="ECDHE-ECDSA-AES256-GCM-SHA384", newest="TLSv1_2") as server:
            if good:
                assert await get(server.url, tls) == 204
            else:
                with pytest.raises(
                    HttpError,
                    match=r"cannot connect to 127\.0\.0\.1:\d+: \S",
                ):
                    await get(server.url, tls)

    @pytest.mark.parametrize(("oldest", "good"), [("", True), ("TLS12", True), ("TLS13", False)])
    async def test_the_oldest_version(self, oldest: str, good: bool, certificates: Path) -> None:
        tls = TlsOptions(tls_ca=str(certificates / "ca.pem"), tls_min_version=oldest)
        async with demanding(certificates, newest="TLSv1_2") as server:
            if good:
                assert await get(server.url, tls) == 204
            else:
                with pytest.raises(HttpError, match=r"cannot connect to 127\.0\.0\.1:\d+: \S"):
                    await get(server.url, tls)

    def test_a_file_that_is_no_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing of that kind")
        with pytest.raises(ConfigError, match=r"cannot load tls_ca '.*/ca\.pem': .*; give the path of a PEM file"):
            TlsOptions(tls_ca=str(tmp_path / "ca.pem")).ssl_context()


class TestProxy:
    async def test_its_password_is_not_shown(self) -> None:
        async with ScriptedServer(Answer(407)) as proxy:
            with pytest.raises(HttpError, match="the proxy answered 407") as caught:
                await get("https://influx.example", proxy=f"http://me:the-password@127.0.0.1:{proxy.port}")
        assert "the-password" not in str(caught.value)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_one_of_the_environment_is_not_for_this_host(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with ScriptedServer(Answer(502)) as proxy, ScriptedServer() as server:
            monkeypatch.setenv("http_proxy", proxy.url)
            assert await get("http://influx.example") == 502
            assert await get(f"http://{host}:{server.port}") == 204
            assert (len(proxy.requests), len(server.requests)) == (1, 1)

    @pytest.mark.parametrize(
        ("excepted", "url", "proxied"),
        [
            ("", "http://influx.example", True),
            ("*", "http://influx.example", False),
            ("other.example, influx.example", "http://influx.example", False),
            ("example", "http://influx.example", False),
            (".example", "http://influx.example", False),
            ("*.example", "http://influx.example", False),
            (".influx.example", "http://influx.example", True),
            ("flux.example", "http://influx.example", True),
            ("INFLUX.example:8086", "http://influx.example:8086", False),
            ("influx.example:8086", "http://influx.example", True),
            ("10.0.0.0/8", "http://10.1.2.3:8086", False),
            ("10.0.0.0/8", "http://11.1.2.3:8086", True),
            ("10.1.2.3", "http://10.1.2.3:8086", False),
            ("10.1.2.3:80", "http://10.1.2.3:8086", True),
            ("10.1.2.3:8086", "http://10.1.2.3:8086", False),
            ("fd00::/8", "http://[fd00::1]:8086", False),
            ("[fd00::1]:8086", "http://[fd00::1]:8086", False),
            ("[fd00::1]", "http://[fd00::1]", False),
            ("10.0.0.0/99,,:", "http://10.1.2.3:8086", True),
        ],
    )
    def test_what_no_proxy_excepts(
        self, excepted: str, url: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
        monkeypatch.setenv("no_proxy", excepted)
        assert _proxy_for(URL(url)) == ("http://proxy.example:3128" if proxied else None)


class TestLocalAddress:
    @pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:0", "localhost"])
    async def test_connects_from_it(self, text: str) -> None:
        async with ScriptedServer() as server:
            assert await get(server.url, local_address=text) == 204

    @pytest.mark.parametrize("text", ["::1", "[::1]", "[::1]:0", "127.0.0.1:65535"])
    def test_forms(self, text: str) -> None:
        HttpClient(local_address=text)

    @pytest.mark.parametrize("text", ["127.0.0.1:x", "127.0.0.1:65536", ":80", "127.0.0.1:-1"])
    def test_what_it_cannot_be(self, text: str) -> None:
        with pytest.raises(ConfigError, match="cannot use the local address") as caught:
            HttpClient(local_address=text)
        assert caught.value.option == "local_address"

    async def test_one_that_is_not_of_this_host(self) -> None:
        async with ScriptedServer() as server:
            with pytest.raises(HttpError, match="cannot connect to") as caught:
                await get(server.url, local_address="192.0.2.1")
        assert "\n" not in str(caught.value)


class TestBrokenAnswers:
    async def failure(self, *script: Answer | Raw, timeout: float = 5.0) -> HttpError:
        async with ScriptedServer(*script) as server:
            client = HttpClient(max_body=1000, timeout=timeout)
            with pytest.raises(HttpError) as caught:
                await client.request("POST", server.url, body=b"x")
            await client.close()
        assert "\n" not in str(caught.value)
        return caught.value

    @pytest.mark.parametrize(
        ("step", "text", "body"),
        [
            (Raw(b"HTTP/1.1 429 Slow\r\nX-A: b\r\nContent-Length: 9\r\n\r\nhalf"), "the answer broke off", b"half"),
            (
                Raw(b"HTTP/1.1 429 Slow\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
                "broke off",
                b"half",
            ),
            (Answer(429, b"garbage", {"X-A": "b", "Content-Encoding": "gzip"}), "the answer broke off", b""),
        ],
    )
    async def test_the_status_is_not_lost(self, step: Answer | Raw, text: str, body: bytes) -> None:
        error = await self.failure(step)
        assert text in str(error)
        assert error.response is not None
        assert (error.response.status, error.response.headers["x-a"], error.response.body) == (429, "b", body)

    async def test_a_body_without_end(self) -> None:
        error = await self.failure(Answer(200, b"x" * 5000))
        assert str(error) == "the answer is larger than 1000 bytes"
        assert error.response is not None
        assert error.response.status == 200

    async def test_a_body_that_stalls(self) -> None:
        stalled = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then="stall")
        error = await self.failure(stalled, timeout=0.1)
        assert str(error) == "no answer within 0.1 s"
        assert error.response is not None
        assert (error.response.status, error.response.body) == (200, b"half")

    @pytest.mark.parametrize("step", [Raw(), Raw(then="reset"), Raw(b"HTTP/1.1 2"), Raw(b"\x00\x01\x02\r\n\r\n")])
    async def test_without_a_status_there_is_no_answer(self, step: Raw) -> None:
        error = await self.failure(step, step)
        assert error.response is None

    async def test_a_bomb_is_bounded(self) -> None:
        error = await self.failure(Answer(200, gzip.compress(b"\x00" * (50 << 20)), {"Content-Encoding": "gzip"}))
        assert "larger than 1000 bytes" in str(error)


async def test_a_header_goes_before_the_user_of_the_url() -> None:
    client = HttpClient()
    async with ScriptedServer(Answer(200), Answer(200)) as server:
        url = server.url.replace("://", "://me:pass@")
        await client.request("GET", url, headers={"Authorization": "Bearer of-options"})
        await client.request("GET", url)
        await client.close()
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer of-options", "Basic bWU6cGFzcw=="]


async def test_an_answer_that_had_to_wait_for_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(_: int) -> bool:
        return True

    monkeypatch.setattr(http_client, "hold", waits)
    client = HttpClient(timeout=0.05)
    async with ScriptedServer(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "stall")) as server:
        with pytest.raises(HttpError) as caught:
            await client.request("GET", server.url)
        await client.close()
    assert str(caught.value) == (
        "no answer within 0.05 s, as others at the same time were more than 256 MiB; ask for it in a table of its own"
    )
