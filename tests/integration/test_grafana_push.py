"""`pyagent dashboards --push`, against a small Grafana that is made after its documentation."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Done, pyagent
from grafana_fake import Grafana

from pyagent.testing.servers import free_port

__all__ = ["pyagent"]  # a fixture

CONFIG = """\
[[inputs.mem]]
[[inputs.internal]]
[[outputs.influxdb_v2]]
  urls = ["http://influx:8086"]
  token = "a-write-token-of-the-agent"
  organization = "home"
  bucket = "monitoring-system"
"""
READ = "a-read-token-for-grafana"

Push = Callable[..., Done]


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as running:
        yield running


@pytest.fixture
def push(pyagent: Callable[..., Done], grafana: Grafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Push:
    config = tmp_path / "telegraf.conf"
    config.write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    for name in ("GRAFANA_TOKEN", "GRAFANA_INFLUX_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, token: str = "admin-token", url: str = "", influx: str = READ) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            if token:
                patch.setenv("GRAFANA_TOKEN", token)
            if influx:
                patch.setenv("GRAFANA_INFLUX_TOKEN", influx)
            return pyagent("dashboards", "--config", str(config), "--push", url or grafana.url, *words)

    return run


def test_everything_is_put_once(push: Push, grafana: Grafana, tmp_path: Path) -> None:
    done = push()
    assert (done.status, done.err) == (0, "")
    first = grafana.dashboards["pyagent-overview"]["panels"][0]
    assert first["title"] == "Memory used, last 24 h"
    chosen, number = "var-bucket=monitoring-system&var-host=$__all&from=now-24h&to=now", first["id"]
    assert done.out.splitlines() == [
        f"Grafana 12.2.1 at {grafana.url}",
        "data source pyagent-influxdb: datasource is working. 2 buckets found",
        f"created    Host overview     {grafana.url}/d/pyagent-overview",
        f"created    mem               {grafana.url}/d/pyagent-mem",
        f"created    Agent health      {grafana.url}/d/pyagent-health",
        "3 alert rules in the folder pyagent",
        "Links, and one panel for an iframe (docs/grafana.md):",
        f"    {grafana.url}/d/pyagent-overview?{chosen}",
        f"    {grafana.url}/d-solo/pyagent-overview?orgId=1&panelId={number}&{chosen}",
    ]
    assert grafana.folders.keys() == {"pyagent"}
    source = grafana.sources["pyagent-influxdb"]
    assert source["jsonData"] == {
        "version": "Flux", "organization": "home", "defaultBucket": "monitoring-system", "httpMode": "POST",
    }  # fmt: skip
    # A token of its own, never the agent's.
    assert (source["url"], source["secureJsonData"]) == ("http://influx:8086", {"token": READ})
    assert grafana.dashboards.keys() == {"pyagent-overview", "pyagent-mem", "pyagent-health"}
    assert [rule["uid"] for rule in grafana.groups["pyagent-health"]["rules"]] == [
        "pyagent-no-data", "pyagent-backlog", "pyagent-quarantine",
    ]  # fmt: skip
    assert not (tmp_path / "dashboards").exists(), "files are for --directory"
    assert all("a-write-token" not in str(one) for one in (grafana.sources, grafana.dashboards, done))


def test_again_it_changes_nothing_but_what_differs(push: Push, grafana: Grafana) -> None:
    push()
    before = len(grafana.changes)
    again = push()
    assert again.status == 0
    assert again.out.count("unchanged  ") == 3
    # A group of rules is put as a whole, and is the same afterwards.
    assert [method for method, _ in grafana.changes[before:]] == ["PUT"]
    grafana.dashboards["pyagent-mem"]["title"] = "changed by somebody"
    assert "updated    mem" in push().out
    assert grafana.dashboards["pyagent-mem"]["version"] == 2
    grafana.meta["pyagent-mem"]["folderUid"] = "elsewhere"
    assert "updated    mem" in push().out


def test_the_token_is_of_a_file_or_asked_for_and_never_an_argument(push: Push, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("# of the service account\nadmin-token\n")
    assert push("--grafana-token-file", str(file), token="").status == 0
    refused = push("--grafana-token", "admin-token")
    assert refused.status == 1
    assert "--grafana-token-file" in refused.err
    assert "GRAFANA_TOKEN" in refused.err
    assert "admin-token" not in refused.err
    none = push(token="")
    assert none.err == (
        "E! cannot use Grafana without a token: write one of a service account into a file and name that with "
        "--grafana-token-file, or set GRAFANA_TOKEN\n"
    )


def test_files_as_well(push: Push, tmp_path: Path) -> None:
    assert push("--directory", "here").status == 0
    assert (tmp_path / "here/provisioning/dashboards/pyagent/mem.json").is_file()


def test_a_data_source_that_is_there_is_used(push: Push, grafana: Grafana) -> None:
    grafana.sources["mine"] = {"uid": "mine", "name": "mine", "type": "influxdb", "jsonData": {"version": "Flux"}}
    done = push("--datasource", "mine", token="editor-token", influx="")
    assert done.status == 1, "rules need more than the role Editor"
    assert done.err == (
        f"E! cannot put the alert rules: {grafana.url} answers 403 You'll need additional permissions to perform this action.; "
        "the token may not: it needs alert.provisioning:write (the role Admin), or give --no-alerts\n"
    )
    assert push("--datasource", "mine", "--no-alerts", token="editor-token", influx="").status == 0
    assert '"uid": "mine"' in str(grafana.dashboards["pyagent-mem"]).replace("'", '"')
    assert "pyagent-influxdb" not in str(grafana.dashboards)


@pytest.mark.parametrize(
    ("kind", "language", "reason"),
    [
        ("prometheus", "", "it is one of prometheus, not of influxdb; name another"),
        (
            "influxdb",
            "InfluxQL",
            "its query language is InfluxQL; the dashboards ask in Flux: choose it there, or name another",
        ),
        (
            "influxdb",
            None,
            "its query language is InfluxQL; the dashboards ask in Flux: choose it there, or name another",
        ),
    ],
)
def test_a_data_source_that_cannot_be_used(
    push: Push, grafana: Grafana, kind: str, language: str | None, reason: str
) -> None:
    data = {"version": language} if language is not None else {}
    grafana.sources["mine"] = {"uid": "mine", "name": "mine", "type": kind, "jsonData": data}
    done = push("--datasource", "mine")
    assert (done.status, done.err) == (1, f"E! cannot use the data source mine: {reason}\n")
    assert grafana.changes == []


def test_without_a_data_source_and_a_token_for_it(push: Push, grafana: Grafana) -> None:
    done = push(influx="")
    assert done.status == 1
    assert done.err == (
        f"E! cannot find the data source pyagent-influxdb in {grafana.url}: set GRAFANA_INFLUX_TOKEN to a token that reads the "
        "bucket and it is made, provision the file datasources/pyagent.yaml, or name an existing one with --datasource UID\n"
    )
    grafana.sources["other"] = {"uid": "other", "name": "InfluxDB of pyagent", "type": "influxdb"}
    assert "has another one named 'InfluxDB of pyagent'; name it with --datasource UID" in push().err


ANSWERS: list[tuple[str, tuple[str, str], tuple[int, Any, dict[str, str]], str]] = [
    (
        "redirect",
        ("GET", "/api/health"),
        (301, b"", {"Location": "https://grafana.example/api/health?auth_token=s3cret"}),
        "cannot use {url}: it redirects to https://grafana.example/api/health?auth_token=***; write the address that it leads to",
    ),
    ("another program", ("GET", "/api/health"), (200, b"<html>", {}), "does not answer as Grafana does; check host, port and path"),
    ("influxdb", ("GET", "/api/health"), (404, {"code": "not found"}, {}), "does not answer as Grafana does"),
    ("database", ("GET", "/api/health"), (503, {"database": "failing"}, {}), "Grafana has no database (failing); see its log"),
    ("401", ("GET", "/api/org"), (401, {"message": "Expired API key"}, {}), "answers 401 Expired API key; the token is refused"),
    ("404", ("POST", "/api/dashboards/db"), (404, b"", {}), "answers 404 Not Found; there is no such page in this Grafana"),
    (
        "412",
        ("POST", "/api/dashboards/db"),
        (412, {"status": "name-exists", "message": "A dashboard with the same name in the folder already exists"}, {}),
        "cannot put the dashboard Host overview: {url} says 'A dashboard with the same name in the folder already exists'; "
        "rename or delete the other one in the folder pyagent, and try again",
    ),
    (
        "500",
        ("POST", "/api/dashboards/db"),
        (500, {"message": "Failed to save\ndashboard"}, {}),
        "answers 500 Failed to save dashboard; try again later, and see Grafana's log",
    ),
    (
        "folder",
        ("POST", "/api/folders"),
        (409, {"message": "a folder with the same name already exists"}, {}),
        "cannot make the folder pyagent: {url} has another one of this name (a folder with the same name already exists)",
    ),
    ("no alerting", ("PUT", "/api/v1/provisioning/folder/pyagent/rule-groups/pyagent-health"), (404, b"", {}), "give --no-alerts"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "answer", "message"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS]
)
def test_what_grafana_refuses_is_one_line_with_a_remedy(
    push: Push, grafana: Grafana, request_: tuple[str, str], answer: Any, message: str
) -> None:
    grafana.answers[request_] = answer
    done = push()
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert done.err.startswith("E! cannot ")
    assert message.format(url=grafana.url) in done.err
    assert "s3cret" not in done.err


def test_a_viewer_may_not(push: Push, grafana: Grafana) -> None:
    grafana.sources["pyagent-influxdb"] = {"uid": "x", "name": "x", "type": "influxdb", "jsonData": {"version": "Flux"}}
    done = push(token="viewer-token")
    assert "cannot make the folder pyagent" in done.err
    assert "the token may not: it needs the role Editor" in done.err
    assert "the token is refused: make one for a service account" in push(token="nobody").err


def test_a_provisioned_dashboard_is_left_alone(push: Push, grafana: Grafana) -> None:
    push()
    grafana.meta["pyagent-mem"] |= {"provisioned": True, "provisionedExternalId": "mem.json"}
    done = push()
    assert done.err == (
        "E! cannot put the dashboard mem: Grafana reads it from files (mem.json); change those, or remove them first\n"
    )


def test_a_grafana_below_a_path(push: Push) -> None:
    with Grafana("/grafana") as below:
        assert push(url=f"{below.url}/").status == 0
        assert f"{below.url}/d/pyagent-mem" in push(url=below.url).out
        root = below.url.removesuffix("/grafana")
        assert (
            "it redirects to /grafana/login; write the address that it leads to, without /login" in push(url=root).err
        )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:3000", "it is none of a server; write one like http://localhost:3000"),
        ("http://admin:secret@localhost:3000", "a password in it is seen by everybody on this host"),
        ("http://localhost:3000/?orgId=1", "it holds more than an address; write one like http://localhost:3000"),
        ("http://", "cannot use the URL 'http://': it is none"),
        ("http://localhost:x", "write one like http://localhost:3000"),
    ],
)
def test_an_address_that_is_none(push: Push, url: str, reason: str) -> None:
    done = push(url=url)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert reason in done.err
    assert "secret" not in done.err


def test_a_wrong_address_comes_before_warnings_of_the_configuration(push: Push, tmp_path: Path) -> None:
    (tmp_path / "telegraf.conf").write_text("[[inputs.mem]]\n")
    wrong = push(url=f"http://127.0.0.1:{free_port()}")
    assert wrong.err.startswith("E! cannot reach Grafana at ")
    assert "W! without [[inputs.internal]]" not in wrong.err
    assert "W! without [[inputs.internal]]" in push().err


def test_nothing_listens_or_something_mute_does(push: Push) -> None:
    port = free_port()
    done = push(url=f"http://127.0.0.1:{port}")
    assert done.err.startswith(
        f"E! cannot reach Grafana at http://127.0.0.1:{port}: cannot connect to 127.0.0.1:{port}"
    )
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.listen()
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        mute.close()
        assert push(url=url).err.startswith(f"E! cannot reach Grafana at {url}: ")
