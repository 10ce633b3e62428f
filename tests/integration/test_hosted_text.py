"""A configuration from a URL in a real process: what it may not read, what it is told, and that no secret is shown."""

import signal
from pathlib import Path

from agent_process import finished, running

from pyagent.sandbox import Sandbox

TEXT = """
[agent]
  interval = "100ms"
  flush_interval = "100ms"
[global_tags]
  key = "${{AWS_SECRET_ACCESS_KEY}}"
[[inputs.file]]
  files = ["{folder}/*.log"]
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "b"
[[outputs.influxdb_v2]]
  urls = ["http://other.invalid:9/?p=s3cret-of-a-query"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "b"
"""


async def test_a_hosted_text_reads_no_secrets_and_none_is_shown(tmp_path: Path) -> None:
    state, logs = tmp_path / "state", tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_text("m v=1")
    async with Sandbox() as server:
        await server.setup(org="home", bucket="b")
        config = await server.add_telegraf("x", TEXT.format(folder=logs, url=server.url))
        token = await server.authorize(write=["b"], telegrafs=[config])
        url = f"{server.url}/api/v2/telegrafs/{config}?sig=s3cret-of-a-query"
        environ = {"INFLUX_TOKEN": token, "AWS_SECRET_ACCESS_KEY": "s3cret-of-aws", "PYAGENT_NATIVE": "0"}
        arguments = ("--config", url, "--state-directory", str(state))
        async with running(*arguments, environ=environ) as agent:
            await agent.logged("another host than the configuration's")
            await agent.logged("configuration: ")
            (logs / "a.log").unlink()
            (logs / "a.log").symlink_to(state)
            (logs / "b.log").symlink_to("/proc/self/environ")
            await agent.logged("it leads to secrets of this host")
            await server.update_telegraf(config, "# edited\n" + TEXT.format(folder=logs, url=server.url))
            agent.signal(signal.SIGHUP)
            await agent.logged("the configuration is reloaded")
            assert await agent.terminate() == 0
        assert agent.log.count("another host than the configuration's") == 1
        assert "sig=***" in agent.log
        assert "key=***" in agent.log
        for secret in ("s3cret", token):
            assert secret not in agent.log
        assert state.stat().st_mode & 0o777 == 0o700

        narrowed = (
            *arguments,
            "--remote-environment",
            "INFLUX_TOKEN",
            "--remote-output-hosts",
            "other.invalid",
            "--once",
        )
        status, _, log = await finished(*narrowed, environ=environ)
        assert status == 1
        assert ":7: global_tags.key: a configuration from a URL may not name the variable AWS_SECRET_ACCESS_KEY" in log


async def test_an_instance_without_a_configuration_names_its_files(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "PYAGENT_INSTANCE": "ram",
        "PYAGENT_ENVIRONMENT_FILES": "/etc/telegraf/telegraf-ram.env (not there) and /etc/pyagent/ram.env (line 2 not understood)",
    }
    status, _, log = await finished(environ=environ)
    assert status == 1
    assert f"no configuration; set TELEGRAF_CONFIG to its URL or file in {environ['PYAGENT_ENVIRONMENT_FILES']}" in log
    assert "systemctl restart pyagent@ram" in log


async def test_a_configuration_that_asks_for_a_token_names_the_files_of_the_instance(tmp_path: Path) -> None:
    environ = {"PYAGENT_INSTANCE": "ram", "PYAGENT_ENVIRONMENT_FILES": "/etc/pyagent/ram.env (line 1 not understood)"}
    async with Sandbox() as server:
        await server.setup(org="home", bucket="b")
        url = f"{server.url}/api/v2/telegrafs/{await server.add_telegraf('x', TEXT)}"
        arguments = ("--config", url, "--config-url-retry-attempts", "1")
        _, _, log = await finished(*arguments, environ=environ)
        assert "no token was sent" in log
        assert "in /etc/pyagent/ram.env (line 1 not understood), then: systemctl restart pyagent@ram" in log
        _, _, log = await finished(*arguments, environ=environ | {"INFLUX_TOKEN": "wrong-token"})
        assert "the server refused the token in INFLUX_TOKEN" in log
        assert "systemctl restart pyagent@ram" in log
        assert "wrong-token" not in log
