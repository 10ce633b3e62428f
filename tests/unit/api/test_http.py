"""The HTTP client that plugins share: what it shows, what it bounds, and whom it trusts."""

import gzip
import ssl
import subprocess
from pathlib import Path

import pytest

from pyagent.api import ConfigError, Secret
from pyagent.api.http import HttpClient, HttpError, TlsOptions
from pyagent.testing.outputs import Answer, Raw, ScriptedServer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, another-ca.pem, server.pem (of 127.0.0.1 and influx.example), key.pem and locked.pem."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    try:
        for name in ("ca", "another-ca"):
            subject = f"-subj /CN={name} -days 30 -keyout {name}.key -out {name}.pem"
            openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes {subject}")
    except FileNotFoundError:
        pytest.skip("the program openssl is missing: apt install openssl")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:influx.example")
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout key.pem -out request")
    openssl("x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem")
    openssl("pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:open-sesame")
    return folder


@pytest.fixture
def https(certificates: Path) -> ScriptedServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
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
