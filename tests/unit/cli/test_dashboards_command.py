"""`pyagent dashboards`: what it writes for which configuration."""

import builtins
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Done
from full_disk import largest_file
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from sdk_types import mistakes

Run = Callable[..., Done]

CONFIG = """\
[agent]
  interval = "30s"
[[inputs.mem]]
  name_prefix = "linux_"
  fieldinclude = ["used*", "free"]
[[inputs.internal]]
  namepass = ["internal_agent"]
[[inputs.http_listener_v2]]
  service_address = "tcp://127.0.0.1:0"
[[outputs.influxdb_v2]]
  urls = ["https://agent:s3cretword@influx.example:8086/path/api/v2/write"]
  organization = "the org: $HOME"
  bucket = "first"
  token = "a-token-of-the-agent"
[[outputs.influxdb_v2]]
  urls = ["http://other:8086"]
  bucket = "second"
"""
PLUGIN = '''\
"""Spool folders."""

from pyagent.api import Accumulator, Field, Input, Measurement, counters


class Spool(Input):
    measurements = (
        Measurement("spool", tags={"queue": "its name"}, fields=counters("int", "1", sent="sent mails")),
    )

    def gather(self, acc: Accumulator) -> None:
        acc.add("spool", {"sent": 1}, {"queue": "mail"})
'''


@pytest.fixture
def written(pyagent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Done, Path]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYAGENT_PLUGIN_DIRECTORY", "")

    def run(text: str, *words: str) -> tuple[Done, Path]:
        (tmp_path / "telegraf.conf").write_text(text)
        return pyagent("dashboards", "--config", "telegraf.conf", *words), tmp_path / "dashboards"

    return run


Written = Callable[..., tuple[Done, Path]]


def board(folder: Path, form: str, name: str) -> Any:
    place = "provisioning/dashboards/pyagent" if form == "provisioning" else form
    return json.loads((folder / place / f"{name}.json").read_text())


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "import").iterdir())


def test_just_those_that_fit_a_configuration(written: Written) -> None:
    done, folder = written(CONFIG)
    assert done.status == 0
    assert done.err.splitlines() == [
        "W! without a dashboard, as they do not say what they measure: inputs.http_listener_v2",
        "W! first is the first bucket of the dashboards; choose the others on them: second",
    ]
    assert done.out.startswith(
        "3 dashboards in dashboards: overview, mem, health\n12 files written, 0 as before, 0 removed\n"
    )
    assert "GRAFANA_INFLUX_TOKEN (docs/grafana.md)" in done.out
    assert "GRAFANA_INFLUX_URL" not in done.out
    mem = json.dumps(board(folder, "provisioning", "mem"))
    assert 'r._measurement == \\"linux_mem\\"' in mem
    assert "used_percent" in mem
    assert "swap_free" not in mem, "the configuration keeps it out"
    assert '"interval": "30s"' in mem
    health = json.dumps(board(folder, "provisioning", "health"))
    assert "internal_agent" in health
    assert "internal_write" not in health
    assert 'from(bucket: \\"first\\")' in json.dumps(board(folder, "shared", "mem"))
    everything = "".join(path.read_text() for path in folder.rglob("*.*"))
    assert "s3cretword" not in everything
    assert "a-token-of-the-agent" not in everything


def test_the_provisioning_files_are_what_grafana_reads(written: Written) -> None:
    _, folder = written(CONFIG)
    files = folder / "provisioning"
    (source,) = yaml.safe_load((files / "datasources/pyagent.yaml").read_text())["datasources"]
    assert source == {
        "name": "InfluxDB of pyagent",
        "uid": "pyagent-influxdb",
        "type": "influxdb",
        "access": "proxy",
        "orgId": 1,
        "editable": False,
        "url": "https://influx.example:8086/path",
        "jsonData": {
            "version": "Flux",
            # Grafana would expand $HOME.
            "organization": "the org: $$HOME",
            "defaultBucket": "first",
            "httpMode": "POST",
            "timeInterval": "30s",
            "tlsSkipVerify": False,
        },
        "secureJsonData": {"token": "$GRAFANA_INFLUX_TOKEN"},
    }
    (provider,) = yaml.safe_load((files / "dashboards/pyagent.yaml").read_text())["providers"]
    assert (provider["type"], provider["folder"]) == ("file", "pyagent")
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards/pyagent"
    alerts = yaml.safe_load((files / "alerting/pyagent.yaml").read_text())
    (group,) = alerts["groups"]
    assert (alerts["apiVersion"], group["orgId"], group["folder"], group["interval"]) == (1, 1, "pyagent", "1m")
    # Of the agent's own metrics internal_agent alone is kept.
    assert [rule["uid"] for rule in group["rules"]] == ["pyagent-no-data", "pyagent-quarantine"]
    for rule in group["rules"]:
        assert {one["refId"] for one in rule["data"]} >= {rule["condition"]}
        assert rule["data"][0]["model"]["query"].startswith('from(bucket: "first")')
        assert rule["data"][0]["relativeTimeRange"]["from"] > 0
        assert rule["noDataState"] in ("Alerting", "OK")
    assert group["rules"][0]["data"][2]["model"]["conditions"][0]["evaluator"]["params"] == [180.0], "six intervals"


def test_without_what_is_known_the_environment_says_it(
    pyagent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYAGENT_PLUGIN_DIRECTORY", "")
    done = pyagent("dashboards")
    assert (done.status, done.err) == (0, "")
    assert {"overview", "health", "mem", "postgresql"} <= set(names(tmp_path / "dashboards"))
    text = (tmp_path / "dashboards/provisioning/datasources/pyagent.yaml").read_text()
    for name in ("URL", "ORG", "BUCKET", "TOKEN"):
        assert f": $GRAFANA_INFLUX_{name}\n" in text
        assert f"GRAFANA_INFLUX_{name}" in done.out
    again = pyagent("dashboards")
    assert "\n0 files written, " in again.out


def test_what_fits_no_more_is_removed_and_nothing_else(written: Written) -> None:
    _, folder = written(CONFIG)
    assert (folder / "provisioning/datasources/pyagent.yaml").exists()
    mine = {folder / "import/mine.json": '{"uid": "mine"}', folder / "import/odd.json": "no json"}
    for path, text in mine.items():
        path.write_text(text)
    done, _ = written("[[inputs.mem]]\n", "--datasource", "mine")
    assert done.err.startswith("W! without [[inputs.internal]] there is no dashboard of the agents' health")
    assert ", 4 removed\n" in done.out
    assert not (folder / "provisioning/datasources/pyagent.yaml").exists()
    assert names(folder) == ["mem", "mine", "odd", "overview"]
    assert {path: path.read_text() for path in mine} == mine


def test_a_file_that_was_edited_is_kept(written: Written) -> None:
    _, folder = written(CONFIG)
    source = folder / "provisioning/datasources/pyagent.yaml"
    made = source.read_text()
    for number, edit in enumerate(("http://influx:8086", "http://influx:9999")):
        source.write_text(made.replace("https://influx.example:8086/path", edit))
        done, _ = written(CONFIG)
        kept = source.with_name(f"pyagent.yaml.old{number + 1 if number else ''}")
        assert done.status == 0
        assert done.err.splitlines()[-1] == (
            "W! somebody edited files after they were written here; what they had is kept as "
            f"dashboards/provisioning/datasources/{kept.name}"
        )
        assert edit in kept.read_text()
        assert source.read_text() == made
    quiet, _ = written(CONFIG.replace('"30s"', '"20s"'))
    assert "somebody edited" not in quiet.err
    assert ", 0 as before" not in quiet.out


def test_an_edited_file_that_fits_no_more_is_kept(written: Written) -> None:
    _, folder = written(CONFIG)
    edited = folder / "import/health.json"
    text = edited.read_text().replace("Agent health", "My health")
    edited.write_text(text)
    done, _ = written("[[inputs.mem]]\n")
    assert not edited.exists()
    assert (folder / "import/health.json.old").read_text() == text
    assert "kept as dashboards/import/health.json.old\n" in done.err


@pytest.mark.parametrize("manifest", [None, "no json", "[]", '{"import/mem.json": 7}'])
def test_what_is_not_known_to_be_written_here_is_kept(written: Written, manifest: str | None) -> None:
    _, folder = written(CONFIG)
    listed = folder / ".pyagent-dashboards.json"
    listed.unlink() if manifest is None else listed.write_text(manifest)
    mem = folder / "import/mem.json"
    mem.write_bytes(b"\xff of somebody")
    done, _ = written(CONFIG)
    assert "kept as dashboards/import/mem.json.old\n" in done.err
    assert (folder / "import/mem.json.old").read_bytes() == b"\xff of somebody"
    again, _ = written(CONFIG)
    assert "somebody edited" not in again.err


def test_the_address_by_which_grafana_reaches_influxdb(written: Written) -> None:
    done, folder = written(CONFIG, "--influxdb-url", "http://influx:8086/")
    assert done.status == 0
    (source,) = yaml.safe_load((folder / "provisioning/datasources/pyagent.yaml").read_text())["datasources"]
    assert source["url"] == "http://influx:8086"
    for wrong in ("influx:8086", "http://", "http://a:s3cretword@influx:8086"):
        done, _ = written(CONFIG, "--influxdb-url", wrong)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert "E! cannot use the URL '" in done.err
        assert "s3cretword" not in done.err


def test_folders_that_cannot_be(written: Written, tmp_path: Path) -> None:
    done, folder = written(CONFIG, "--directory", "")
    assert (done.status, done.err) == (
        1,
        "E! cannot write into a folder without a name: --directory is empty; name one\n",
    )
    assert not folder.exists()
    (tmp_path / "link").symlink_to("nowhere")
    done, _ = written(CONFIG, "--directory", "link")
    assert done.status == 1
    assert done.err.splitlines()[-1] == (
        "E! cannot write link: it is a link to nowhere, which is missing; name another folder by --directory"
    )


def test_two_inputs_of_one_plugin_have_one_dashboard(written: Written) -> None:
    _, folder = written(
        '[[inputs.mem]]\n[[inputs.mem]]\n  name_override = "ram"\n  [inputs.mem.tags]\n    room = "a"\n'
    )
    text = json.dumps(board(folder, "provisioning", "mem"))
    assert 'r._measurement == \\"mem\\" or r._measurement == \\"ram\\"' in text
    assert '\\"host\\", \\"room\\"]' in text, "what tells two inputs apart stays apart"


def test_a_plugin_of_ones_own(written: Written, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins.d"
    plugins.mkdir()
    (plugins / "spool.py").write_text(PLUGIN)
    (plugins / "broken.py").write_text("import nothing_of_this_name\n")
    done, folder = written("[[inputs.spool]]\n[[inputs.broken]]\n", "--plugin-directory", str(plugins))
    assert done.status == 0
    assert "W! telegraf.conf:2: inputs.broken: " in done.err
    text = json.dumps(board(folder, "provisioning", "spool"))
    assert "derivative(unit: 1s, nonNegative: true)" in text
    assert board(folder, "provisioning", "spool")["description"] == "Spool folders"


def test_what_a_broken_plugin_declares_is_left_out(pyagent: Run, written: Written, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins.d"
    plugins.mkdir()
    (plugins / "spool.py").write_text(PLUGIN)
    (plugins / "broken.py").write_text("import nothing_of_this_name\n")
    wrong = "from pyagent.api import Input\n\n\nclass Odd(Input):\n    measurements = ({'name': 'odd'}, 7)\n\n    def gather(self, acc): ...\n"
    (plugins / "odd.py").write_text(wrong)
    message = "W! cannot make a dashboard of inputs.odd: its measurements are no declarations ("
    everything = pyagent("dashboards", "--plugin-directory", str(plugins))
    assert everything.status == 0
    assert message in everything.err
    assert "nothing_of_this_name" in everything.err
    assert {"spool", "mem"} <= set(names(tmp_path / "dashboards"))
    done, folder = written("[[inputs.spool]]\n[[inputs.odd]]\n", "--plugin-directory", str(plugins))
    assert message in done.err
    assert names(folder) == ["overview", "spool"]


def test_a_processor_that_renames(written: Written) -> None:
    _, folder = written('[[inputs.mem]]\n[[processors.override]]\n  namepass = ["mem"]\n  name_suffix = "_x"\n')
    assert 'r._measurement == \\"mem_x\\"' in json.dumps(board(folder, "provisioning", "mem"))


def test_a_data_source_of_ones_own(written: Written) -> None:
    done, folder = written(CONFIG, "--datasource", "mine")
    assert not (folder / "provisioning/datasources").exists()
    assert "GRAFANA_INFLUX" not in done.out
    assert board(folder, "provisioning", "mem")["panels"][0]["datasource"] == {"type": "influxdb", "uid": "mine"}


def test_one_host_alone_for_those_that_are_shared(written: Written) -> None:
    _, folder = written(CONFIG, "--host", 'we"b')
    assert r"r[\"host\"] == \"we\\\"b\"" in json.dumps(board(folder, "shared", "mem"))
    assert "${host:regex}" in json.dumps(board(folder, "provisioning", "mem"))


def test_another_folder(written: Written, tmp_path: Path) -> None:
    done, _ = written(CONFIG, "--directory", "some where")
    assert "sudo cp -r 'some where/provisioning'/. /etc/grafana/provisioning/" in done.out
    assert names(tmp_path / "some where") == ["health", "mem", "overview"]
    (tmp_path / "file").touch()
    done, _ = written(CONFIG, "--directory", "file")
    assert done.status == 1
    assert done.err.splitlines()[-1].endswith("; name another folder by --directory")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[inputs.http_listener_v2]]\n  service_address = "tcp://127.0.0.1:0"\n',
            "cannot make dashboards: no input of this configuration declares what it measures",
        ),
        ('[[inputs.mem]]\n  namedrop = ["mem"]\n', "no input of this configuration declares what it measures"),
        ('[[inputs.mem]]\n[[outputs.influxdb_v2]]\n  namepass = ["cpu"]\n', "declares what it measures"),
        ("[[inputs.mem\n", "telegraf.conf:1: "),
    ],
)
def test_nothing_to_show(written: Written, text: str, message: str) -> None:
    done, folder = written(text)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert message in done.err
    assert not folder.exists()


def test_a_missing_library_is_named_with_its_remedy(pyagent: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("pyagent.dashboards"):
            raise ModuleNotFoundError("No module named 'grafana_foundation_sdk'", name="grafana_foundation_sdk")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    done = pyagent("dashboards")
    assert done.status == 1
    assert done.err.startswith("E! cannot make dashboards: No module named 'grafana_foundation_sdk'; install it with: ")
    # Releases of before 0.0.1 count as newer than all that came after them.
    assert "grafana-foundation-sdk~=0.0.21" in done.err
    assert "apt install" not in done.err


def test_a_disk_without_room_leaves_each_file_whole_and_is_named(written: Callable[..., tuple[Done, Path]]) -> None:
    done, folder = written(CONFIG)
    assert done.status == 0
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    with largest_file(5000):
        done, _ = written(CONFIG.replace('bucket = "first"', 'bucket = "third"'))
    assert done.status == 1
    assert "cannot write dashboards/" in done.err
    assert "File too large; name another folder by --directory" in done.err
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    done, _ = written(CONFIG)
    assert "edited" not in done.err


@pytest.fixture
def of_others(tmp_path: Path) -> str:
    """A configuration with a plugin of Munin and a check of Datadog's, which say what they measure."""
    (tmp_path / "plugins").mkdir()
    plugin = tmp_path / "plugins" / "df"
    plugin.write_text(
        "#!/bin/sh\nprintf 'graph_title Disk usage\\ngraph_vlabel %%\\ngraph_category disk\\n'\n"
        "printf 'a.label /\\na.warning 92\\na.critical 98\\nb.label /home\\nb.warning 5:\\n'\n"
        "printf 'c.label sum\\nc.draw AREASTACK\\nc.negative a\\n'\n"
    )
    plugin.chmod(0o755)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "all").write_text(f"[*]\nuser {os.geteuid()}\n")
    (tmp_path / "shop.py").write_text("raise SystemExit(7)")
    (tmp_path / "metadata.csv").write_text(
        "metric_name,metric_type,unit_name,per_unit_name,description\nshop.net.in,rate,byte,second,Bytes in\n"
    )
    return (
        f'[[inputs.munin]]\n  directory = "{tmp_path}/plugins"\n  configuration = "{tmp_path}/conf.d"\n'
        f'  state = "{tmp_path}"\n  prefix = "m_"\n  name_suffix = "_x"\n  timeout = "5s"\n'
        f'[[inputs.datadog_check]]\n  check = "{tmp_path}/shop.py"\n'
    )


def test_inputs_that_run_what_others_wrote_are_asked(written: Written, of_others: str) -> None:
    done, folder = written(of_others, "--ask")
    assert done.status == 0
    assert [line for line in done.err.splitlines() if "inputs.internal" not in line] == []
    row, panel, further = board(folder, "provisioning", "munin")["panels"]
    assert (row["type"], row["title"], panel["title"]) == ("row", "disk", "Disk usage")
    assert further["title"] == "m_df_x: further fields"
    query = panel["targets"][0]["query"]
    assert 'r._measurement == "m_df_x"' in query
    assert 'r._field == "a" or r._field == "b" or r._field == "c"' in query
    assert "|> keep" not in query  # tags that are not known tell series apart
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    assert (defaults["unit"], defaults["custom"]["stacking"]["mode"]) == ("percent", "normal")
    found = {one["matcher"]["options"]: {each["id"]: each["value"] for each in one["properties"]} for one in overrides}
    assert found["b"]["displayName"].startswith("/home ")
    assert found["a"]["custom.transform"] == "negative-Y"
    assert found["b"]["custom.stacking"]["mode"] == "none"
    assert found["b"]["thresholds"]["steps"] == [{"value": None, "color": "yellow"}, {"value": 5.0, "color": "green"}]
    assert found["a"]["thresholds"]["steps"] == [
        {"value": None, "color": "green"},
        {"value": 92.0, "color": "yellow"},
        {"value": 98.0, "color": "red"},
    ]
    _, panel, _ = board(folder, "provisioning", "datadog_check")["panels"]
    assert panel["fieldConfig"]["defaults"]["unit"] == "binBps"
    assert 'r._measurement == "shop_net"' in panel["targets"][0]["query"]
    register_default_plugins()
    for form in ("provisioning", "import", "shared"):
        for name in ("munin", "datadog_check"):
            document = {key: value for key, value in board(folder, form, name).items() if not key.startswith("__")}
            document.pop("id")
            assert list(mistakes(Dashboard.from_json(document), Dashboard)) == []


def test_without_being_asked_they_run_nothing_and_it_is_told(written: Written, of_others: str, tmp_path: Path) -> None:
    (tmp_path / "plugins" / "df").write_text(f"#!/bin/sh\ntouch {tmp_path}/it-ran\n")
    done, folder = written(of_others + "[[inputs.mem]]\n")
    assert "W! with --ask there is more to show of inputs.datadog_check, inputs.munin: it runs or reads" in done.err
    assert not (tmp_path / "it-ran").exists()
    assert names(folder) == ["mem", "overview"]


def test_one_that_hangs_or_has_no_such_file_is_a_warning_and_has_no_dashboard_of_names_that_never_come(
    written: Written, of_others: str, tmp_path: Path
) -> None:
    (tmp_path / "plugins" / "df").write_text("#!/bin/sh\nsleep 99\n")
    (tmp_path / "metadata.csv").write_text("<html>")
    done, folder = written(of_others.replace('"5s"', '"100ms"') + "[[inputs.mem]]\n", "--ask")
    assert done.status == 0
    assert "W! cannot ask inputs.munin: cannot run `" in done.err
    assert "it took longer than 100ms" in done.err
    assert (
        f"W! cannot ask inputs.datadog_check: cannot read {tmp_path}/metadata.csv:1: it is no metadata.csv" in done.err
    )
    assert names(folder) == ["mem", "overview"]


def test_asking_needs_a_configuration(pyagent: Run) -> None:
    done = pyagent("dashboards", "--ask")
    assert (done.status, done.err) == (
        1,
        "E! cannot ask without a configuration: name one by --config or --instance\n",
    )
