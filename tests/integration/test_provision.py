"""`pyagent provision NAME`: what it makes, that it can be repeated, and what it refuses."""

import asyncio
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from commands import pyagent
from provisioning import PASSWORD, Host, background, host, new_server

from pyagent.cli.instances import SettingsFile
from pyagent.influxdb import InfluxDBError, Management

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures

PAGE_AGENT = {
    "interval": "10s",
    "round_interval": True,
    "metric_batch_size": 1000,
    "metric_buffer_limit": 10000,
    "collection_jitter": "0s",
    "flush_interval": "10s",
    "flush_jitter": "0s",
    "precision": "",
    "hostname": "",
    "omit_hostname": False,
}
"""What InfluxDB's page "Create a Telegraf configuration" writes into [agent]."""


def text_of(host: Host) -> dict[str, Any]:
    (configuration,) = host.all("telegrafs")
    return tomli.loads(configuration["config"])


def test_makes_all_that_an_agent_needs(host: Host) -> None:
    done = host.ram("--json")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert [(step["what"], step["state"]) for step in document["steps"]] == [
        ("bucket monitoring-system", "as it was"),
        ("configuration ram", "created"),
        ("token", "created"),
        (str(host.settings / "ram.env"), "created"),
    ]
    (configuration,) = host.all("telegrafs")
    assert document["configuration"] == f"{host.server.url}/api/v2/telegrafs/{configuration['id']}"
    assert (configuration["name"], configuration["description"]) == ("ram", "pyagent: web1 ram")
    assert configuration["metadata"]["buckets"] == ["monitoring-system"]
    assert text_of(host) == {
        "agent": PAGE_AGENT,
        "outputs": {
            "influxdb_v2": [
                {
                    "urls": [host.server.url],
                    "token": "$INFLUX_TOKEN",
                    "organization": "home",
                    "bucket": "monitoring-system",
                }
            ]
        },
        "inputs": {"mem": [{}]},
    }


def test_the_token_may_write_the_bucket_and_read_the_configuration_and_nothing_else(host: Host) -> None:
    host.ram()
    (authorization,), (configuration,), (bucket,) = (host.all(k) for k in ("authorizations", "telegrafs", "buckets"))
    org = host.server.org_id
    assert authorization["permissions"] == [
        {"action": "write", "resource": {"type": "buckets", "id": bucket["id"], "orgID": org}},
        {"action": "read", "resource": {"type": "telegrafs", "id": configuration["id"], "orgID": org}},
    ]
    assert authorization["description"] == "pyagent: web1 ram"
    with Management(host.server.url, token=host.variables["INFLUX_TOKEN"]) as agent:
        assert agent.may_write("home", "monitoring-system")
        assert agent.may_read(configuration["id"])
        assert agent.organizations() == []
        with pytest.raises(InfluxDBError, match="unauthorized"):
            agent.delete_authorization(authorization["id"])


def test_the_token_may_read_the_bucket_where_that_is_asked_for(host: Host) -> None:
    host.ram("--read-bucket")
    (authorization,) = host.all("authorizations")
    rights = [(one["action"], one["resource"]["type"]) for one in authorization["permissions"]]
    assert sorted(rights) == [("read", "buckets"), ("read", "telegrafs"), ("write", "buckets")]
    assert host.ram("--read-bucket").out.count("as it was") == 4


def test_a_token_that_may_not_read_is_not_enough_where_it_is_to(host: Host) -> None:
    host.ram()
    done = host.ram("--read-bucket")
    assert done.status == 1
    assert "INFLUX_TOKEN; add --force" in done.err
    assert host.ram("--read-bucket", "--force").status == 0
    assert len(host.all("authorizations")) == 1


def test_the_file_of_settings_is_for_its_owner_alone(host: Host) -> None:
    os.umask(0o000)
    try:
        host.ram()
    finally:
        os.umask(0o022)
    path = host.settings / "ram.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.settings.stat().st_mode) & 0o027 == 0
    (configuration,) = host.all("telegrafs")
    assert host.variables.keys() == {"INFLUX_TOKEN", "TELEGRAF_CONFIG"}
    assert host.variables["TELEGRAF_CONFIG"] == f"{host.server.url}/api/v2/telegrafs/{configuration['id']}"
    assert os.listdir(host.settings) == ["ram.env"]


def test_says_how_to_start_the_instance(host: Host) -> None:
    assert "systemctl enable --now pyagent@ram" in host.ram().out


def test_a_second_run_finds_everything_as_it_was(host: Host) -> None:
    host.ram()
    before = (host.file, host.all("telegrafs"), host.all("authorizations"))
    done = host.ram()
    assert done.status == 0
    assert [line.split("  ")[0] for line in done.out.splitlines()[:4]] == ["as it was"] * 4
    assert (host.file, host.all("telegrafs"), host.all("authorizations")) == before


def test_check_changes_nothing_and_says_what_would_be_done(host: Host) -> None:
    done = host.provision("ram", "--bucket", "new", "--retention", "30d", "--input", "mem", "--check")
    assert done.status == 0
    assert done.out.count("would be") == 4
    assert (host.all("telegrafs"), host.all("authorizations"), len(host.all("buckets"))) == ([], [], 1)
    assert not host.settings.exists()
    host.ram()
    assert host.ram("--check").out.count("as it is") == 4


@pytest.mark.parametrize("step", ["create_configuration", "authorize", "write", "describe_authorization"])
@pytest.mark.parametrize("how", [KeyboardInterrupt, InfluxDBError])
def test_a_run_that_was_broken_off_is_taken_up_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, step: str, how: type[BaseException]
) -> None:
    """After each step: what it made is found again, nothing is made twice, and the file is there whole or not at all."""
    owner: Any = SettingsFile if step == "write" else Management

    def breaks_off(*_: object, **__: object) -> None:
        raise how("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(owner, step, breaks_off)
        done = host.provision("ram", "--bucket", "new", "--create-bucket", "--input", "mem")
    assert done.status == (130 if how is KeyboardInterrupt else 1)
    assert done.err.count("\n") <= 2
    assert (host.settings / "ram.env").exists() == (step == "describe_authorization")
    done = host.provision("ram", "--bucket", "new", "--create-bucket", "--input", "mem")
    assert done.status == 0, done.err
    assert "as it was        bucket new" in done.out
    assert len(host.all("telegrafs")) == len(host.all("authorizations")) == 1
    assert host.all("authorizations")[0]["description"] == "pyagent: web1 ram"
    with Management(host.server.url, token=host.variables["INFLUX_TOKEN"]) as agent:
        assert agent.may_write("home", "new")


@pytest.mark.parametrize(
    ("path", "kind"), [("buckets", "buckets"), ("telegrafs", "telegrafs"), ("authorizations", "authorizations")]
)
def test_kill_9_between_what_is_made_and_its_answer(host: Host, path: str, kind: str) -> None:
    """The server has made it and nobody knows: it is found again, or replaced."""
    words = ["ram", "--bucket", "new", "--create-bucket", "--input", "mem"]
    before = len(host.all(kind))
    # The look before comes by the same path.
    host.fault(kind="stall", after=True, paths=[f"/api/v2/{path}"], methods=["POST"])
    process = subprocess.Popen(
        [sys.executable, "-m", "pyagent", "provision", *words, *host.flags()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while len(host.all(kind)) == before:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (host.settings / "ram.env").exists()
    asyncio.run(host.server.clear_faults())
    done = host.provision(*words)
    assert done.status == 0, done.err
    assert len(host.all("telegrafs")) == len(host.all("authorizations")) == 1
    assert len(host.all("buckets")) == 2


def test_a_bucket_that_somebody_else_makes_meanwhile(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(host.server.add_bucket("new"))
    found, looks = Management.bucket, []

    def bucket(management: Management, *words: Any) -> Any:
        looks.append(words)
        return found(management, *words) if len(looks) > 1 else None

    monkeypatch.setattr(Management, "bucket", bucket)
    done = host.provision("ram", "--bucket", "new", "--create-bucket", "--input", "mem")
    assert done.status == 0, done.err
    assert len(host.all("buckets")) == 2


def test_two_configurations_of_this_instance_are_not_chosen_from(host: Host) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    host.server.state.documents.put("telegrafs", "0000000000000a01", {**one, "id": "0000000000000a01"})
    assert host.ram().status == 0  # the file says which
    (host.settings / "ram.env").unlink()
    done = host.ram()
    assert done.status == 1
    assert f"0000000000000a01, {one['id']}" in done.err
    assert "--configuration ID" in done.err


def test_an_agent_with_these_settings_writes(host: Host) -> None:
    host.ram()
    environment = {**os.environ, **host.variables}
    done = subprocess.run([sys.executable, "-m", "pyagent", "--once"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Its time is rounded, and may be half a second ahead.
    assert asyncio.run(host.server.query('from(bucket: "monitoring-system") |> range(start: -1h, stop: 1h) |> count()'))


def test_a_file_that_cannot_be_written_leaves_no_token_behind(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    done = host.ram()
    assert done.status == 1
    assert done.err == f"E! cannot write {host.settings / 'ram.env'}: no space left on device\n"
    assert host.all("authorizations") == []
    assert os.listdir(host.settings) == []


def test_a_lost_file_gives_a_new_token_and_the_old_one_goes_when_that_is_asked_for(host: Host) -> None:
    host.ram()
    old, before = host.variables["INFLUX_TOKEN"], host.all("authorizations")
    (host.settings / "ram.env").unlink()
    done = host.ram()
    assert done.status == 1
    assert "if the file was lost, add --force" in done.err
    assert done.err.count("\n") == 1
    assert (host.all("authorizations"), host.settings.exists() and os.listdir(host.settings)) == (before, [])
    done = host.ram("--force")
    assert done.status == 0
    assert "removed          token" in done.out
    assert len(host.all("authorizations")) == 1
    assert host.variables["INFLUX_TOKEN"] != old


def test_another_host_of_the_same_name_does_not_take_over_what_the_first_one_has(host: Host) -> None:
    """Hosts made of one image are all called alike."""
    host.ram()
    first, token = host.settings, host.variables["INFLUX_TOKEN"]
    host.settings = host.folder / "second"
    done = host.ram("--set", "mem.interval=30s")
    assert done.status == 1
    assert "a token of pyagent@ram on a host 'web1' already" in done.err
    assert "add --host NAME" in done.err
    assert not host.settings.exists()
    assert host.ram("--check").status == 1
    assert host.ram("--host", "web2", "--set", "mem.interval=30s").status == 0
    # From then on the file says what it is called.
    words = ("provision", "ram", "--url", host.server.url, "--bucket", "monitoring-system", "--input", "mem")
    done = host._run(
        *words,
        "--set",
        "mem.interval=30s",
        "--settings-directory",
        str(host.settings),
        "--token-file",
        str(host.token_file),
    )
    assert done.status == 0, done.err
    assert done.out.count("as it was") == 4
    assert {one["description"] for one in host.all("telegrafs")} == {"pyagent: web1 ram", "pyagent: web2 ram"}
    host.settings = first
    assert host.ram().out.count("as it was") == 4
    with Management(host.server.url, token=token) as agent:
        assert agent.may_write("home", "monitoring-system")


def test_the_configuration_that_hosts_share_has_a_token_for_each(host: Host) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    tokens = set()
    for number in range(2, 5):
        host.settings = host.folder / str(number)
        words = ("ram", "--bucket", "monitoring-system", "--configuration", one["id"], "--host", f"web{number}")
        assert host.provision(*words).status == 0
        tokens.add(host.variables["INFLUX_TOKEN"])
    assert len(tokens) == 3
    assert len(host.all("telegrafs")) == 1
    assert len(host.all("authorizations")) == 4


def test_a_token_that_works_no_more_is_replaced_when_that_is_asked_for(host: Host) -> None:
    host.ram()
    for one in host.all("authorizations"):
        host.server.state.documents.delete("authorizations", one["id"])
    before = host.file
    done = host.ram()
    assert done.status == 1
    assert "INFLUX_TOKEN; add --force" in done.err
    assert (host.file, host.all("authorizations")) == (before, [])
    assert host.ram("--force").status == 0
    assert host.file != before
    assert len(host.all("authorizations")) == 1


def test_a_bucket_that_was_made_anew_needs_a_new_token(host: Host) -> None:
    host.ram()
    (bucket,) = host.all("buckets")
    host.server.state.documents.delete("buckets", bucket["id"])
    done = host.ram("--create-bucket", "--force")
    assert done.status == 0, done.err
    assert len(host.all("authorizations")) == len(host.all("telegrafs")) == 1
    with Management(host.server.url, token=host.variables["INFLUX_TOKEN"]) as agent:
        assert agent.may_write("home", "monitoring-system")


def test_a_file_that_somebody_else_wrote_is_not_touched(host: Host) -> None:
    host.settings.mkdir()
    path = host.settings / "ram.env"
    path.write_text("# mine\nPYAGENT_STATE_DIRECTORY=/srv/state\n")
    done = host.ram()
    assert done.status == 1
    assert "was not made by this command; add --force" in done.err
    assert path.read_text() == "# mine\nPYAGENT_STATE_DIRECTORY=/srv/state\n"
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert host.ram("--force").status == 0
    assert host.variables["PYAGENT_STATE_DIRECTORY"] == "/srv/state"
    assert path.with_name("ram.env.old").read_text().startswith("# mine")


def test_a_file_for_telegraf_does_not_win(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit reads it first; PYAGENT_CONFIG of either file wins over TELEGRAF_CONFIG."""
    monkeypatch.setenv("PYAGENT_ROOT", str(host.folder))
    (host.folder / "etc" / "telegraf").mkdir(parents=True)
    (host.folder / "etc" / "telegraf" / "telegraf-ram.env").write_text("PYAGENT_CONFIG=/etc/other.conf\n")
    assert host.ram().status == 0
    assert host.variables.keys() == {"INFLUX_TOKEN", "PYAGENT_CONFIG"}
    assert host.ram().out.count("as it was") == 4


def test_a_file_of_a_person_that_has_all_is_as_it_was(host: Host) -> None:
    host.ram()
    path = host.settings / "ram.env"
    text = "".join(f"{line}\n" for line in host.file.splitlines() if not line.startswith("#"))
    path.write_text(text)
    done = host.ram()
    assert done.status == 0, done.err
    assert path.read_text() == text
    assert len(host.all("authorizations")) == 1


def test_changed_settings_change_the_text_and_keep_the_token(host: Host) -> None:
    host.ram()
    before = host.file
    done = host.ram("--set", "mem.interval=30s", "--set", "mem.collect_extended=true", "--set", "agent.interval=20s")
    assert done.status == 0, done.err
    assert "changed          configuration ram" in done.out
    assert text_of(host)["inputs"]["mem"] == [{"interval": "30s", "collect_extended": True}]
    assert text_of(host)["agent"]["interval"] == "20s"
    assert host.file == before


def test_a_text_that_was_edited_at_the_server_is_kept(host: Host) -> None:
    host.ram()
    (configuration,) = host.all("telegrafs")
    edited = configuration["config"] + "# by hand\n"
    host.server.state.documents.put("telegrafs", configuration["id"], {**configuration, "config": edited})
    done = host.ram("--set", "mem.interval=30s")
    assert done.status == 0
    assert "kept" in done.out
    assert "--replace" in done.out
    assert host.all("telegrafs")[0]["config"] == edited
    assert "changed" in host.ram("--set", "mem.interval=30s", "--replace").out
    assert text_of(host)["inputs"]["mem"] == [{"interval": "30s"}]


def test_a_configuration_of_the_page_with_the_same_name_is_left_alone(host: Host) -> None:
    state = host.server.state
    document = {"id": "0000000000000a01", "orgID": host.server.org_id, "name": "ram", "description": ""}
    state.documents.put("telegrafs", document["id"], {**document, "config": "[[inputs.mem]]\n", "metadata": {}})
    done = host.ram()
    assert done.status == 1
    assert "--configuration 0000000000000a01" in done.err
    assert host.provision(
        "ram", "--bucket", "monitoring-system", "--configuration", "0000000000000a01"
    ).status == 0  # fmt: skip
    assert [one["config"] for one in host.all("telegrafs")] == ["[[inputs.mem]]\n"]
    assert host.variables["TELEGRAF_CONFIG"].endswith("/0000000000000a01")


def test_two_hosts_have_each_their_own(host: Host) -> None:
    host.ram()
    host.settings = host.folder / "other"
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", "--host", "web2")
    assert done.status == 0, done.err
    assert {one["description"] for one in host.all("telegrafs")} == {"pyagent: web1 ram", "pyagent: web2 ram"}
    assert len(host.all("authorizations")) == 2


# Buckets --------------------------------------------------------------------------------------------------------------


def test_a_missing_bucket_is_made_when_asked_for(host: Host) -> None:
    done = host.provision("ram", "--bucket", "nope", "--input", "mem")
    assert done.status == 1
    assert "there are monitoring-system; add --create-bucket" in done.err
    done = host.provision("ram", "--bucket", "month", "--retention", "30d", "--input", "mem")
    assert done.status == 0, done.err
    (bucket,) = (one for one in host.all("buckets") if one["name"] == "month")
    assert bucket["retention"] == 30 * 86400


def test_a_bucket_with_another_retention_is_refused_or_changed(host: Host) -> None:
    done = host.ram("--retention", "7d")
    assert done.status == 1
    assert "keeps points for ever, not for 7d" in done.err
    assert "deletes older points" in done.err
    assert host.all("telegrafs") == host.all("authorizations") == []
    done = host.ram("--retention", "7d", "--change-retention")
    assert done.status == 0, done.err
    assert [(one["retention"], one["shard"]) for one in host.all("buckets")] == [(7 * 86400, 86400)]
    # Shorter than a shard of before: both change together.
    assert host.ram("--retention", "2h", "--change-retention").status == 0
    assert [(one["retention"], one["shard"]) for one in host.all("buckets")] == [(7200, 3600)]
    assert host.ram("--retention", "2h").status == 0


@pytest.mark.parametrize("name", ["a b", "ü/$x", "$HOME", "123", "x" * 300, "a\\b", "it's", "{{x}}", "#1"])
def test_buckets_of_any_name(host: Host, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("x", "wrong")
    done = host.provision("ram", "--bucket", name, "--create-bucket", "--input", "mem")
    assert done.status == 0, done.err
    assert {one["name"] for one in host.all("buckets")} == {name, "monitoring-system"}
    (output,) = text_of(host)["outputs"]["influxdb_v2"]
    assert output["bucket"] == name.replace("$", "$$")
    assert host.all("telegrafs")[0]["metadata"]["buckets"] == [name]


@pytest.mark.parametrize("name", ["", "_monitoring", "_tasks", 'a"b', " a", "a ", "a\nb", "\x1b[31m"])
def test_buckets_that_cannot_be(host: Host, name: str) -> None:
    done = host.provision("ram", "--bucket", name, "--create-bucket", "--input", "mem")
    assert done.status == 1
    assert done.err.startswith("E! ")
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err
    assert host.all("telegrafs") == []


def test_a_bucket_by_its_id(host: Host) -> None:
    assert host.provision("ram", "--bucket", host.server.bucket_id, "--input", "mem").status == 0
    (output,) = text_of(host)["outputs"]["influxdb_v2"]
    assert output["bucket"] == "monitoring-system"


# Who calls ------------------------------------------------------------------------------------------------------------


def test_the_token_of_the_environment(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", host.server.token)
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", token=False)
    assert done.status == 0, done.err
    assert host.variables["INFLUX_TOKEN"] != host.server.token


def test_user_and_password_do_without_any_token(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_PASSWORD", PASSWORD)
    words = ("ram", "--bucket", "monitoring-system", "--input", "mem", "--user", "admin")
    assert host.provision(*words, token=False).status == 0
    assert len(host.all("authorizations")) == 1
    monkeypatch.setenv("INFLUX_PASSWORD", "another-one")
    done = host.provision(*words, token=False)
    assert done.status == 1
    assert "user and password, are not known there" in done.err
    assert "another-one" not in done.err


def test_a_token_in_a_file_of_settings(host: Host) -> None:
    host.token_file.write_text(f"# from the page\nexport INFLUX_TOKEN='{host.server.token}'\n")
    assert host.ram().status == 0


def test_a_wrong_token(host: Host) -> None:
    host.token_file.write_text("wrong-but-secret")
    done = host.ram()
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "401 unauthorized access" in done.err
    assert "check them" in done.err
    assert "wrong-but-secret" not in done.err


def test_an_all_access_token_is_enough(host: Host, tmp_path: Path) -> None:
    """It is of one organization, cannot make others and sees none of them."""
    org, (user,) = host.server.org_id, host.all("users")
    kinds = ("authorizations", "buckets", "telegrafs")
    rights = [{"action": a, "resource": {"type": kind, "orgID": org}} for kind in kinds for a in ("read", "write")]
    rights += [{"action": "read", "resource": {"type": "orgs", "id": org}}]
    rights += [{"action": a, "resource": {"type": "users", "id": user["id"]}} for a in ("read", "write")]
    with Management(host.server.url, token=host.server.token) as management:
        body = {"orgID": org, "description": "all of home", "permissions": rights}
        host.token_file.write_text(
            management._ask("make a token", "POST", "/api/v2/authorizations", body=body).body["token"]
        )
    words = ("ram", "--bucket", "new", "--retention", "30d", "--input", "mem")
    done = host.provision(*words)
    assert done.status == 0, done.err
    assert host.provision(*words).out.count("as it was") == 4
    assert host.provision("delete", "ram", "--force").status == 0


def test_a_token_that_was_switched_off_is_replaced_when_that_is_asked_for(host: Host) -> None:
    host.ram()
    (one,) = host.all("authorizations")
    host.server.state.documents.put("authorizations", one["id"], {**one, "status": "inactive"})
    done = host.ram()
    assert done.status == 1
    assert "INFLUX_TOKEN; add --force" in done.err
    assert host.ram("--force").status == 0
    (other,) = host.all("authorizations")
    assert (other["status"], other["id"] == one["id"]) == ("active", False)


def test_a_token_of_an_agent_is_not_enough(host: Host) -> None:
    host.ram()
    host.token_file.write_text(host.variables["INFLUX_TOKEN"])
    done = host.provision("two", "--bucket", "monitoring-system", "--input", "mem")
    assert done.status == 1
    assert "use an operator or all-access token" in done.err
    assert len(host.all("telegrafs")) == 1


def test_no_token_at_all(host: Host) -> None:
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", token=False)
    assert done.status == 1
    assert "--token-file" in done.err
    assert "--user" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("ram", "--token", "TOKEN"),
        ("ram", "--token=TOKEN"),
        ("ram", "-token", "TOKEN"),
        ("TOKEN",),
        ("ram", "TOKEN"),
        ("ram", "--org", "TOKEN"),
        ("ram", "--token-file", "TOKEN"),
        ("ram", "--set", "mem.alias=TOKEN"),
        ("ram", "--password", "TOKEN"),
        ("-TOKEN",),
    ],
)
def test_secrets_as_arguments_are_refused_and_not_shown(host: Host, words: tuple[str, ...]) -> None:
    token = host.server.token
    done = host.provision(
        *(word.replace("TOKEN", token) for word in words), "--input", "mem", "--bucket", "b", token=False
    )
    assert done.status == 1
    assert token not in done.out + done.err
    # Some begin with a dash.
    assert re.search(
        "everybody on this host sees the arguments|as the name of a file|unknown flag '-..'... of", done.err
    )
    assert host.all("telegrafs") == []


@pytest.mark.parametrize("first", "0A-_")
def test_a_token_behind_a_dash_is_not_shown_whatever_it_begins_with(host: Host, first: str) -> None:
    """A dash and a digit are no flag."""
    token = f"{first}{'x' * 85}=="
    for words in ((f"-{token}",), (f"--{token}",), ("ram", "--", f"-{token}"), ("show", "--", f"-{token}")):
        done = host.provision("--input", "mem", "--bucket", "b", *words, token=False)
        assert done.status == 1
        assert token not in done.out + done.err


def test_organizations(host: Host) -> None:
    done = host.ram("--org", "admin")
    assert done.status == 1
    assert "cannot find the organization 'admin'" in done.err
    assert "there is home" in done.err
    assert host.ram("--org", host.server.org_id).status == 0
    with Management(host.server.url, token=host.server.token) as management:
        management._ask("make an organization", "POST", "/api/v2/orgs", body={"name": "away"})
    done = host.provision("two", "--bucket", "b", "--input", "mem")
    assert done.status == 1
    assert "there are several organizations" in done.err
    assert "home, away" in done.err
    done = host.provision("two", "--bucket", "b", "--create-bucket", "--input", "mem", "--org", "away")
    assert done.status == 0, done.err


def test_of_many_buckets_those_that_are_like_the_name_are_named(host: Host) -> None:
    """More than the server gives in one answer."""
    for number in range(250):
        asyncio.run(host.server.add_bucket(f"bücket {number}"))
    done = host.provision("ram", "--bucket", "bucket 240", "--input", "mem")
    assert done.status == 1
    assert "there are bücket 240, bücket " in done.err
    assert " and 241 more; add --create-bucket" in done.err
    assert " and 241 more)" in host.provision("ram", "--input", "mem").err
    assert host.provision("ram", "--bucket", "bücket 240", "--input", "mem").status == 0
    assert text_of(host)["outputs"]["influxdb_v2"][0]["bucket"] == "bücket 240"


def test_what_was_made_in_one_of_several_organizations_goes_without_naming_it(host: Host) -> None:
    with Management(host.server.url, token=host.server.token) as management:
        management._ask("make an organization", "POST", "/api/v2/orgs", body={"name": "zwölf / häuser"})
    words = ("ram", "--bucket", "a/b ü", "--create-bucket", "--input", "mem")
    done = host.provision(*words)
    assert done.status == 1
    assert "there are several organizations" in done.err
    assert "home, zwölf / häuser; add --org NAME" in done.err
    assert host.provision(*words, "--org", "zwölf / häuser").status == 0
    (output,) = text_of(host)["outputs"]["influxdb_v2"]
    assert (output["organization"], output["bucket"]) == ("zwölf / häuser", "a/b ü")
    assert host.provision(*words, "--org", "zwölf / häuser").out.count("as it was") == 4
    done = host.provision("delete", "ram", "--force")
    assert done.status == 0, done.err
    assert host.all("telegrafs") == host.all("authorizations") == []


# Settings and their secrets -------------------------------------------------------------------------------------------

ADDRESS = "host=localhost password='s3cret $x \"q\" \\\\'"


@pytest.mark.parametrize("source", ["env", "file"])
def test_secrets_are_references_in_the_text_and_values_in_the_file(
    host: Host, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PG_ADDRESS", ADDRESS)
    (tmp_path / "address").write_text(f"{ADDRESS}\n")
    value = "@env:PG_ADDRESS" if source == "env" else f"@file:{tmp_path / 'address'}"
    name = "PG_ADDRESS" if source == "env" else "POSTGRESQL_ADDRESS"
    words = ("db", "--bucket", "monitoring-system", "--input", "postgresql", "--set", f"postgresql.address={value}")
    done = host.provision(*words)
    assert done.status == 0, done.err
    assert text_of(host)["inputs"]["postgresql"] == [{"address": f"${{{name}}}"}]
    assert "s3cret" not in json.dumps([*host.all("telegrafs"), *host.all("authorizations")])
    assert "s3cret" not in done.out + done.err
    assert SettingsFile(host.settings / "db.env").values[name] == ADDRESS
    # What is in the file already need not be given again.
    monkeypatch.delenv("PG_ADDRESS")
    assert host.provision(*words).status == 0


def test_a_secret_of_the_file_that_differs_is_not_replaced_unasked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_ADDRESS", "host=a")
    words = (
        "ram",
        "--bucket",
        "monitoring-system",
        "--input",
        "postgresql",
        "--set",
        "postgresql.address=@env:PG_ADDRESS",
    )
    assert host.provision(*words).status == 0
    monkeypatch.setenv("PG_ADDRESS", "host=b")
    done = host.provision(*words)
    assert done.status == 1
    assert "another PG_ADDRESS; add --force" in done.err
    assert host.variables["PG_ADDRESS"] == "host=a"
    assert host.provision(*words, "--force").status == 0
    assert host.variables["PG_ADDRESS"] == "host=b"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("postgresql.address=postgres://u:pw-1@h/db", "to a secret that is written here"),
        ("postgresql.address=host=h password=pw-1", "to a secret that is written here"),
        ("postgresql.address=@env:NOT_THERE", "NOT_THERE is not set; export it"),
        ("postgresql.address=@env:INFLUX_TOKEN", "name another"),
        ("postgresql.address=@env:a b", "name another"),
        ("postgresql.address=@file:/nowhere", "cannot read /nowhere: no such file"),
        ("postgresql.address=@file:/dev/zero", "it has more than 65536 bytes"),
        ("postgresql.address=@file:/", "is a directory"),
        ("postgresql.address=@file:", "no such file"),
        ("postgresql.address=@prompt", "there is no terminal"),
        ("postgresql.adress=host=h", "did you mean postgresql.address?"),
        ("postgresql=host=h", "write INPUT.OPTION=VALUE"),
        ("pw-1-and-more-that-is-rather-long", "write INPUT.OPTION=VALUE"),
        ("mem.interval=30s", "add --input mem"),
        ("postgresql.max_idle=many", "write a whole number"),
        ("postgresql.prepared_statements=perhaps", "write true or false"),
        ("postgresql.interval=soon", "cannot make the configuration"),
        ("postgresql.interval=1ns", "cannot make the configuration"),
        ("agent.intervall=1s", "did you mean agent.interval?"),
    ],
)
def test_settings_that_cannot_be(host: Host, setting: str, message: str) -> None:
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "postgresql", "--set", setting)
    assert done.status == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert "pw-1" not in done.err
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert not host.settings.exists()


def test_settings_of_all_types(host: Host) -> None:
    done = host.provision(
        "ram", "--bucket", "monitoring-system", "--input", "postgresql",
        "--set", "postgresql.databases=a, b", "--set", 'postgresql.namepass=["x*"]', "--set", "postgresql.max_idle=2",
        "--set", "postgresql.prepared_statements=false", "--set", "postgresql.tags.room=lab", "--set", "agent.debug=true",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert text_of(host)["inputs"]["postgresql"] == [
        {
            "databases": ["a", "b"],
            "namepass": ["x*"],
            "max_idle": 2,
            "prepared_statements": False,
            "tags": {"room": "lab"},
        }
    ]
    assert text_of(host)["agent"] == {**PAGE_AGENT, "debug": True}


def test_variables_that_the_host_will_not_have_are_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell has is not what the unit has."""
    monkeypatch.setenv("ROOM", "lab")
    done = host.ram("--set", "mem.tags.room=${ROOM}")
    assert done.status == 0, done.err
    assert "W! " in done.err
    assert f"the variable ROOM is not set; set it in {host.settings / 'ram.env'}" in done.err
    assert "INFLUX_TOKEN" not in done.err
    with (host.settings / "ram.env").open("a") as file:
        file.write("ROOM=lab\n")
    assert host.ram("--set", "mem.tags.room=${ROOM}").err == ""


def test_what_a_hosted_text_may_not_do_is_said_at_once(host: Host) -> None:
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "exec", "--set", "exec.commands=date")
    assert done.status == 1
    assert "runs commands" in done.err
    assert host.all("telegrafs") == []


# Names, folders, and what is missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a/b", "../x", "a\nb", "", ".", "-x y", "a b", "a@b", "x" * 65, "ü", "a%b", "\x1b[1m"]
)
def test_names_that_cannot_be(host: Host, name: str) -> None:
    done = host.provision("--bucket", "monitoring-system", "--input", "mem", "--", name)
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err
    assert host.all("telegrafs") == []
    assert not host.settings.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ram", "--input", "mem"), "add --bucket NAME (there are: monitoring-system)"),
        (("ram", "--bucket", "monitoring-system"), "add --input"),
        ((), "no name is given"),
        (("ram", "more", "--input", "mem"), "one name is all"),
        (("ram", "--bucket", "b", "--input", "mam"), "did you mean 'mem'?"),
        (("ram", "--bucket", "b", "--input", "mem,mem"), "twice"),
        (("ram", "--bucket", "b", "--input", "mem", "--retention", "30"), "write one like 30d"),
        (("ram", "--bucket", "b", "--input", "mem", "--retention", "10m"), "1h at the least"),
        (("ram", "--bucket", "b", "--configuration", "x", "--input", "mem"), "leave --input out"),
        (
            ("ram", "--bucket", "monitoring-system", "--configuration", "0000000000000009"),
            "cannot find the configuration",
        ),
        (("edit",), "write pyagent provision edit NAME"),
        (("list", "ram"), "pyagent provision show NAME"),
        (("setup", "ram"), "without a name"),
        (("ram", "--bucket", "b", "--input", "mem", "--wait", "nan"), "write seconds"),
        (("ram", "--bucket", "b", "--input", "mem", "--wait", "-1"), "write seconds"),
    ],
)
def test_what_is_missing_or_too_much(host: Host, words: tuple[str, ...], message: str) -> None:
    done = host.provision(*words)
    assert done.status == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert host.all("telegrafs") == []


def test_no_server_is_given(host: Host) -> None:
    done = host.provision("ram", "--bucket", "b", "--input", "mem", url=False)
    assert done.status == 1
    assert "add --url" in done.err


@pytest.mark.parametrize("name", ["INFLUX_HOST", "INFLUX_URL"])
def test_the_server_of_the_environment(host: Host, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, host.server.url)
    assert host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", url=False).status == 0


def test_the_server_of_the_file_is_taken(host: Host) -> None:
    host.ram()
    assert host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", url=False).status == 0


def test_a_folder_that_is_none(host: Host) -> None:
    host.settings.write_text("")
    done = host.ram()
    assert done.status == 1
    assert done.err.startswith(f"E! cannot read {host.settings / 'ram.env'}: not a directory")
    assert host.all("telegrafs") == []


@pytest.mark.parametrize("folder", ["/proc/x", "/proc", "/sys/kernel"])
def test_a_folder_that_the_kernel_alone_fills(host: Host, folder: str) -> None:
    """Root may write there, by its rights: only a try tells."""
    host.settings = Path(folder)
    done = host.provision("ram", "--bucket", "new", "--create-bucket", "--input", "mem")
    assert done.status == 1
    assert done.out == ""
    assert done.err.startswith(f"E! cannot write {folder}/ram.env: ")
    assert done.err.count("\n") == 1
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert len(host.all("buckets")) == 1


def test_a_disk_without_room_is_seen_before_anything_is_made(host: Host) -> None:
    words = ["provision", *host.flags(), "ram", "--bucket", "new", "--create-bucket", "--input", "mem"]
    limited = f"ulimit -f 8; exec {shlex.join([sys.executable, '-m', 'pyagent', *words])}"
    done = subprocess.run(["/bin/sh", "-c", limited], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"E! cannot write {host.settings / 'ram.env'}: file too large\n"
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert len(host.all("buckets")) == 1
    assert not host.settings.exists()


def test_folders_that_are_not_there_are_made(host: Host) -> None:
    host.settings = host.folder / "a" / "b" / "c"
    assert host.ram().status == 0
    assert os.listdir(host.settings) == ["ram.env"]


def test_a_folder_with_a_name_that_steers_the_terminal(host: Host) -> None:
    host.settings = host.folder / "a\n\x1b[2J"
    done = host.ram("--set", "mem.interval=30s")
    assert done.status == 0
    assert "\x1b" not in done.out
    assert len(done.out.splitlines()) == 6
    host.settings.chmod(0)
    host.settings = host.settings / "ram.env" / "x"
    done = host.ram()
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err


@pytest.mark.parametrize(
    ("read_only", "message"), [(False, "permission denied; run it with sudo"), (True, "read-only file system")]
)
def test_a_folder_that_cannot_be_written(
    host: Host, monkeypatch: pytest.MonkeyPatch, read_only: bool, message: str
) -> None:
    """As an ordinary user, and on a read-only file system, which a test cannot make."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("pyagent.cli.instances._is_writable_medium", lambda _: not read_only)
    done = host.ram()
    assert done.status == 1
    assert message in done.err
    assert "--settings-directory" in done.err
    assert host.all("telegrafs") == host.all("authorizations") == []


def test_start_where_there_is_no_systemd(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.cli.provision.unit._has_systemd", lambda: False)
    done = host.ram("--start")
    assert done.status == 1
    file = host.settings / "ram.env"
    assert f"systemd does not run here; without it: (set -a; . {file}; exec pyagent)" in done.err
    assert file.exists()


def test_start_enables_and_takes_changed_settings(
    host: Host, monkeypatch: pytest.MonkeyPatch, programs: Callable[[str], Path]
) -> None:
    log = programs('case "$*" in *StatusText*) echo "gathering mem";; esac')
    monkeypatch.setattr("pyagent.cli.provision.unit._has_systemd", lambda: True)
    done = host.ram("--start")
    assert done.status == 0, done.err
    assert "started          pyagent@ram (gathering mem)" in done.out
    words = log.read_text().splitlines()
    assert "enable --now pyagent@ram" in words
    assert "restart pyagent@ram" in words
    log.write_text("")
    assert host.ram("--start").status == 0
    assert "restart pyagent@ram" not in log.read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A systemctl that writes its words down, and does what the text says."""

    def make(text: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "systemctl.log"
        program = folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$*" >>{log}\n{text}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return log

    return make


def test_names_the_kind_of_the_token_that_it_is_given_and_stores_none_but_the_agents(host: Host) -> None:
    done = host.ram("--check")
    assert "with the operator token that is given" in done.out
    done = host.ram("--json")
    document = json.loads(done.out)
    assert document["called_with"] == "operator token"
    (note,) = [step["note"] for step in document["steps"] if step["what"] == "token"]
    assert note.endswith("nothing else; the operator token that made it is not stored")
    assert host.server.token not in host.file


def test_an_all_access_token_is_enough_and_is_named(host: Host) -> None:
    host.token_file.write_text(_token_with(host, _ALL_ACCESS))
    done = host.ram()
    assert done.status == 0, done.err
    assert "the all-access token that made it is not stored" in done.out


def test_a_token_that_may_not_make_tokens_is_refused_before_anything_is_made(host: Host) -> None:
    custom = [(action, kind) for action in ("read", "write") for kind in ("orgs", "buckets", "telegrafs")]
    host.token_file.write_text(_token_with(host, custom))
    done = host.ram("--create-bucket")
    assert done.status == 1
    assert "cannot make the agent's token with the custom token that is given" in done.err
    assert "operator or all-access token" in done.err
    assert host.all("telegrafs") == []


def test_a_user_is_no_kind_of_token(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_PASSWORD", PASSWORD)
    done = host.provision("ram", "--bucket", "monitoring-system", "--input", "mem", "--user", "admin", token=False)
    assert done.status == 0, done.err
    assert "that made it" not in done.out


_ALL_ACCESS = [
    (action, kind)
    for action in ("read", "write")
    for kind in (
        "authorizations",
        "buckets",
        "dashboards",
        "orgs",
        "tasks",
        "telegrafs",
        "users",
        "variables",
        "labels",
    )
]


def _token_with(host: Host, rights: list[tuple[str, str]]) -> str:
    """A token of these rights within the organization, as InfluxDB's page makes them."""
    org = host.server.org_id
    (user,) = host.all("users")
    own: dict[str, dict[str, str]] = {"orgs": {"id": org}, "users": {"id": user["id"]}}
    permissions = [
        {"action": action, "resource": {"type": kind, **own.get(kind, {"orgID": org})}} for action, kind in rights
    ]
    with Management(host.server.url, token=host.server.token) as operator:
        body = {"orgID": org, "description": "given", "permissions": permissions}
        return str(operator.connection.call("POST", "/api/v2/authorizations", body=body).body["token"])


@pytest.mark.parametrize("both", [False, True], ids=["output", "output and errors"])
def test_a_reader_that_goes_does_not_stop_the_work(host: Host, both: bool) -> None:
    """As `pyagent provision ... | head -1` has it."""
    words = ("--bucket", "new", "--create-bucket", "--input", "mem", "--set", "mem.alias=a b")
    for name, action in (("ram", words), ("ram", ())):
        command = ["provision", *(("delete", name, "--force") if not action else (name, *action))]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [Path(sys.executable).with_name("pyagent"), *command, *host.flags()],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer if both else subprocess.PIPE,
            timeout=60,
        )
        os.close(writer)
        assert done.returncode == 0
        assert not done.stderr
        if action:
            assert host.variables.keys() == {"INFLUX_TOKEN", "TELEGRAF_CONFIG"}
            assert len(host.all("telegrafs")) == len(host.all("authorizations")) == 1
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert not list(host.settings.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_without_room_does_not_stop_the_work_and_is_said(host: Host) -> None:
    command = ["provision", "ram", "--bucket", "monitoring-system", "--input", "mem", *host.flags()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [Path(sys.executable).with_name("pyagent"), *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "E! cannot write what is to be printed: No space left on device\n"
    assert "INFLUX_TOKEN" in host.variables


def test_a_failure_is_one_whether_or_not_somebody_reads(host: Host) -> None:
    command = ["provision", "ram", "--bucket", "none", "--input", "mem", *host.flags()]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [Path(sys.executable).with_name("pyagent"), *command], stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert done.returncode == 1
    assert b"cannot find the bucket" in done.stderr


COMMANDS = ("two", "--bucket", "monitoring-system", "--input", "exec", "--set", 'exec.commands=["echo m v=1"]')


def test_the_leave_to_run_commands_goes_to_the_agent(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = host.provision(*COMMANDS)
    assert refused.status == 1
    assert f"it goes into {host.settings / 'two.env'}: sudo PYAGENT_ALLOW_REMOTE_EXEC=1 pyagent" in refused.err
    monkeypatch.setenv("PYAGENT_ALLOW_REMOTE_EXEC", "1")
    assert (
        "PYAGENT_ALLOW_REMOTE_EXEC=1 lets this configuration run commands" in host.provision(*COMMANDS, "--check").out
    )
    done = host.provision(*COMMANDS)
    assert done.status == 0, done.err
    assert "PYAGENT_ALLOW_REMOTE_EXEC=1 lets this configuration run commands" in done.out
    assert SettingsFile(host.settings / "two.env").values["PYAGENT_ALLOW_REMOTE_EXEC"] == "1"
    # It is in the file from then on, and no text has it that does without.
    monkeypatch.delenv("PYAGENT_ALLOW_REMOTE_EXEC")
    assert host.provision(*COMMANDS).out.count("as it was") == 4
    monkeypatch.setenv("PYAGENT_ALLOW_REMOTE_EXEC", "1")
    assert host.ram().status == 0
    assert "PYAGENT_ALLOW_REMOTE_EXEC" not in host.variables


@pytest.mark.parametrize(
    ("value", "message"),
    [('"unterminated', "write a value of TOML"), ('["unterminated', "write a value of TOML"), ("[1]", "string")],
)
def test_a_broken_value_is_told_before_what_it_may_not_do(host: Host, value: str, message: str) -> None:
    done = host.provision("two", "--bucket", "monitoring-system", "--input", "exec", "--set", f"exec.commands={value}")
    assert done.status == 1
    assert message in done.err
    assert "PYAGENT_ALLOW_REMOTE_EXEC" not in done.err


def test_a_file_of_several_lines_is_no_token(host: Host) -> None:
    token = host.server.token
    host.token_file.write_text(f"{token}\nanother-secret\n")
    done = host.ram()
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "it has more than one line" in done.err
    assert token not in done.err
    for text in (f"{token}\n\n \n", f"# one\n{token}", f"A=1\nINFLUX_TOKEN={token}\n"):
        host.token_file.write_text(text)
        assert host.ram().status == 0


@pytest.mark.parametrize("org", [(), ("--org", "home")])
@pytest.mark.parametrize("action", ["read", "write"])
def test_a_token_that_sees_no_organization_is_named(host: Host, action: str, org: tuple[str, ...]) -> None:
    host.token_file.write_text(_token_with(host, [(action, "buckets")]))
    done = host.ram(*org)
    assert done.status == 1
    assert "the custom token that is given may see none; use an operator or all-access token" in done.err
    assert done.err.count("\n") == 1
