"""outputs.influxdb_v2: its options, right and wrong."""

import ssl
from collections.abc import Mapping
from typing import Any

import pytest
from writing import LINES, TOKEN, output

from pyagent.api import ConfigError, Limits, Retry, Secret
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, make_output, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB


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
            ({"timeout": "-1s"}, "timeout", "must be 0 or more"),
            ({"token": TOKEN + "\n"}, "token", "line break"),
            ({"http_headers": {"X-Site": "a\r\nX: b"}}, "http_headers", "line break"),
            ({"http_proxy": "socks5://127.0.0.1:1"}, "http_proxy", "unsupported scheme 'socks5'"),
            ({"local_address": "127.0.0.1:x"}, "local_address", "not an address"),
            ({"tls_ca": "nowhere.pem"}, "tls_ca", "'nowhere.pem': No such file or directory"),
            ({"tls_min_version": "TLS14"}, "tls_min_version", "unknown TLS version"),
            ({"tls_cipher_suites": ["TLS_BEST"]}, "tls_cipher_suites", "OpenSSL does not know it"),
            ({"urls": ["unix://run/influx.sock"]}, "urls", "it names no socket"),
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
            {"tls_renegotiation_method": "now and then"},
        ],
    )
    def test_wrong_values(self, table: Mapping[str, Any]) -> None:
        with pytest.raises(ConfigError):
            make_output(InfluxDB, table)

    @pytest.mark.parametrize(
        "table",
        [
            {"exclude_bucket_tag": True},
            {"timeout": "0s"},
            {"tls_min_version": ""},
            {"tls_enable": False, "tls_ca": "nowhere.pem"},
            {"rate_limit": 0},
            {"rate_limit_period": "5m"},
            {"concurrent_writes": 0},
            *({"tls_renegotiation_method": method} for method in ("", "never", "once", "freely")),
        ],
    )
    def test_what_telegraf_takes_is_taken(self, table: Mapping[str, Any]) -> None:
        assert make_output(InfluxDB, table).partition() is None

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
        assert [node.name for node in make_output(InfluxDB)._pool.nodes] == ["http://localhost:8086"]

    async def test_close_without_a_write_and_twice(self) -> None:
        plugin = output("http://127.0.0.1:1")
        await plugin.close()
        await plugin.close()

    def test_no_secret_in_its_text(self) -> None:
        plugin = output("http://127.0.0.1:1", http_headers={"Authorization": "Bearer hidden-too"})
        assert TOKEN not in repr(plugin.options)
        assert "hidden-too" not in repr(plugin.options)
        assert Secret(TOKEN) == plugin.options.token


def test_the_engine_is_told_the_limits() -> None:
    plugin = output("http://h:1", concurrent_writes=4, rate_limit="5MB", rate_limit_period="5m")
    assert plugin.limits() == Limits(4, 5_000_000, 300.0)
    assert output("http://h:1").limits() == Limits()
    assert output("http://h:1").partition() is None


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256"),
    ],
)
def test_cipher_suites_by_their_iana_names(iana: str, openssl: str) -> None:
    context = make_output(InfluxDB, {"tls_cipher_suites": [iana]}).options.ssl_context()
    assert context is not None
    old = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert old == [openssl]


@pytest.mark.parametrize("names", [["TLS_AES_128_GCM_SHA256"], ["secure"], []])
def test_suites_that_are_always_allowed(names: list[str]) -> None:
    context = make_output(InfluxDB, {"tls_cipher_suites": names}).options.ssl_context()
    usual = {suite["name"] for suite in ssl.create_default_context().get_ciphers()}
    assert context is None or {suite["name"] for suite in context.get_ciphers()} == usual
