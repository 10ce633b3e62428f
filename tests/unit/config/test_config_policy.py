"""What a configuration from a URL may name of its host: files, variables, and the hosts that its outputs write to."""

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.config import Plan, SourceText, create_plugin, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines

URL = "http://influx:8086/api/v2/telegrafs/1"
LOG = logging.getLogger("test")
OUTPUT = '[[outputs.influxdb_v2]]\n  token = "t"\n  bucket = "b"\n'


def plan(text: str, environ: Mapping[str, str] | None = None, url: str = URL) -> Plan:
    return load_plan([SourceText(url, text)], environ=environ or {}, partial=True)


def refusal(text: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(text, environ)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[[inputs.file]]\nfiles = ["/var/log/x", "/proc/self/environ"]',
        '[[inputs.file]]\nfiles = ["/proc/*/environ"]',
        '[[inputs.file]]\nfiles = ["$STATE_DIRECTORY/config/*.toml"]',
        '[[inputs.postgresql]]\naddress = "host=h passfile=/proc/self/environ"',
        '[[inputs.postgresql]]\naddress = "postgres://h/d?sslkey=%2Fproc%2Fself%2Fenviron"',
        '[[outputs.influxdb_v2]]\ntls_ca = "/dev/fd/0"',
        '[[outputs.influxdb_v2]]\ntls_key = "/proc/thread-self/environ"',
        '[[inputs.influxdb_v2_listener]]\ntls_cert = "/proc/1/environ"',
        '[[inputs.http_listener_v2]]\ntls_allowed_cacerts = ["/proc/self/maps"]',
    ],
)
def test_paths_that_lead_to_secrets_are_refused_with_their_line(text: str, tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    message = refusal(text, environ)
    assert message.startswith(f"{URL}:2: ")
    assert "reads secrets of this host, which a configuration from a URL may not" in message
    plan(text, environ | {"PYAGENT_ALLOW_REMOTE_EXEC": "1"})
    load_plan([SourceText("a.conf", text)], environ=environ, partial=True)


def test_a_link_that_is_changed_after_the_text_was_loaded(tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "app.log"
    state.mkdir()
    (state / "secret").write_text("m token=1")
    log.write_text("m v=1")
    text = f'[[inputs.file]]\nfiles = ["{tmp_path}/*.log"]'
    (made,) = plan(text, {"STATE_DIRECTORY": str(state)}).inputs
    plugin = create_plugin(made, LOG)
    acc = InputAccumulator()
    plugin.gather(acc)  # type: ignore[attr-defined]
    assert lines(acc.drain()) == ["m v=1"]
    log.unlink()
    log.symlink_to(state / "secret")
    with pytest.raises(PyagentError, match=r"cannot read '.*app\.log': it leads to secrets of this host"):
        plugin.gather(acc)  # type: ignore[attr-defined]
    assert acc.drain() == []


def test_certificates_are_read_past_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the link is changed after the text was loaded, the TLS library is never given the secret."""
    state, ca = tmp_path / "state", tmp_path / "ca.pem"
    state.mkdir()
    (state / "secret").write_text("x")
    ca.write_text("x")
    text = f'[[outputs.influxdb_v2]]\nurls = ["https://influx"]\ntls_ca = "{ca}"'
    (made,) = plan(text, {"STATE_DIRECTORY": str(state)}).outputs
    ca.unlink()
    ca.symlink_to(state / "secret")
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: pytest.fail("it was read"))
    with pytest.raises(ConfigError, match=r"cannot load tls_ca .*secrets of this host"):
        create_plugin(made, LOG)


@pytest.mark.parametrize("strict_env", [True, False])
def test_variables_are_narrowed(strict_env: bool) -> None:
    text = '[global_tags]\n  x = "${AWS_SECRET_ACCESS_KEY:-}"\n' + OUTPUT
    environ = {"AWS_SECRET_ACCESS_KEY": "s3cret-key", "INFLUX_TOKEN": "t0ken", "HOME": "/root"}

    def load(allowed: str | None) -> Plan:
        named = environ if allowed is None else environ | {"PYAGENT_REMOTE_ENVIRONMENT": allowed}
        return load_plan([SourceText(URL, text)], environ=named, partial=True, strict_env=strict_env)

    for everything in (None, "INFLUX_*, AWS_SECRET_ACCESS_KEY", "*"):
        assert load(everything).global_tags["x"] == "s3cret-key"
    for allowed in ("INFLUX_TOKEN", "", "AWS"):
        with pytest.raises(ConfigError) as caught:
            load(allowed)
        assert str(caught.value).startswith(f"{URL}:2: ")
        assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
        assert "PYAGENT_REMOTE_ENVIRONMENT" in str(caught.value)
        assert "s3cret" not in str(caught.value)
    narrow = environ | {"PYAGENT_REMOTE_ENVIRONMENT": ""}
    local = load_plan([SourceText("a.conf", text)], environ=narrow, partial=True, strict_env=strict_env)
    assert local.global_tags["x"] == "s3cret-key"


def test_a_variable_that_is_not_set_stays_as_it_is_written_also_where_variables_are_narrowed() -> None:
    found = plan('[global_tags]\n  x = "$NOSUCH"\n', {"PYAGENT_REMOTE_ENVIRONMENT": "INFLUX_TOKEN"})
    assert found.global_tags["x"] == "$NOSUCH"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://evil:8086", "evil"),
        ("https://EVIL.example./", "evil.example"),
        ("http://influx.evil", "influx.evil"),
        ("http://influx@evil", "evil"),
        ("http://[2001:db8::1]:8086", "2001:db8::1"),
        ("http://127.0.0.1:8086", "localhost"),
        ("unix:///run/docker.sock", "localhost"),
    ],
)
def test_another_host_than_the_configurations_is_told_and_can_be_refused(url: str, host: str) -> None:
    text = OUTPUT + f'  urls = ["http://influx:9999", "{url}"]\n'
    (warning,) = plan(text).warnings
    assert warning == (
        f"{URL}: outputs.influxdb_v2 writes to {host}, another host than the configuration's (influx); "
        "PYAGENT_REMOTE_OUTPUT_HOSTS says which are allowed"
    )
    message = refusal(text, {"PYAGENT_REMOTE_OUTPUT_HOSTS": "other, *.other"})
    assert message.startswith(f"{URL}:1: outputs.influxdb_v2: writes to {host}, which is not allowed here")
    assert plan(text, {"PYAGENT_REMOTE_OUTPUT_HOSTS": f"other {host}"}).warnings == ()


@pytest.mark.parametrize(
    ("allowed", "fits"),
    [
        ("evil", True),
        ("evil:8086", True),
        ("evil:80", False),
        ("*", True),
        ("e*", True),
        ("EVIL", True),
        ("evil.example", False),
        ("", False),
    ],
)
def test_entries_of_the_allowed_hosts(allowed: str, fits: bool) -> None:
    text, environ = OUTPUT + '  urls = ["http://evil:8086"]\n', {"PYAGENT_REMOTE_OUTPUT_HOSTS": allowed}
    if fits:
        assert plan(text, environ).warnings == ()
    else:
        assert "not allowed" in refusal(text, environ)


@pytest.mark.parametrize("text", ['urls = ["http://influx:8086"]', 'urls = ["https://INFLUX"]', 'user_agent = "x/1"'])
def test_the_configurations_own_host_is_no_other_one(text: str) -> None:
    assert plan(f"{OUTPUT}  {text}\n").warnings == ()
    assert plan(f"{OUTPUT}  {text}\n", {"PYAGENT_REMOTE_OUTPUT_HOSTS": ""}).warnings == ()


def test_a_proxy_is_a_host_that_metrics_go_to() -> None:
    text = OUTPUT + '  urls = ["http://influx"]\n  http_proxy = "http://evil:3128"\n'
    assert "evil" in plan(text).warnings[0]


def test_this_host_by_its_names() -> None:
    text = OUTPUT + '  urls = ["http://localhost:8086", "http://[::1]:8086", "http://127.0.0.2"]\n'
    assert plan(text, url="http://127.0.0.1:8086/api/v2/telegrafs/1").warnings == ()


def test_a_local_file_writes_where_it_likes() -> None:
    text = OUTPUT + '  urls = ["http://evil"]\n'
    environ = {"PYAGENT_REMOTE_OUTPUT_HOSTS": ""}
    assert load_plan([SourceText("a.conf", text)], environ=environ, partial=True).warnings == ()
