"""What is in effect, where it comes from, and that no secret is shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli

from pyagent.config import Plan, SourceText, load_plan
from pyagent.config.effective import Effective, as_json, as_toml, effective, plugin_sources
from pyagent.config.toml import parse_document

MAIN = """\
[global_tags]
  room = "lab"
[agent]
  interval = "5s"
  MetricBatchSize = 7
  hostname = "h"
[[inputs.full]]
  alias = "a"
  token = "hunter22"
  headers = { X-Key = "hunter33" }
  wait = 3
  collection_jitter = "1s"
  namepass = ["m*"]
  [[inputs.full.servers]]
    host = "one"
[[inputs.full]]
  text = "postgres://me:hunter44@db/x?sslmode=on"
"""
MORE = """\
[tags]
  room = "kitchen"
[agent]
  interval = "20s"
  debug = true
[nothing]
  interval = "2s"
[[outputs.nowhere]]
"""


def made(plugins: Path, *texts: str, environ: Mapping[str, str] | None = None) -> tuple[Plan, Effective]:
    environ = environ or {}
    sources = [SourceText(f"{'ab'[index]}.conf", text) for index, text in enumerate(texts)]
    plan = load_plan(sources, environ=environ, plugin_directories=[plugins], testing=True)
    return plan, effective(plan, [parse_document(source, environ) for source in sources], environ)


def pairs(table: dict[str, Any]) -> dict[str, tuple[object, str]]:
    return {name: (item["value"], item["from"]) for name, item in table.items()}


def test_every_value_has_its_place(plugins: Path) -> None:
    found = as_json(made(plugins, MAIN, MORE)[1])
    assert found["sources"] == ["a.conf", "b.conf"]
    agent = pairs(found["agent"])
    assert agent["interval"] == ("20s", "b.conf:4")
    assert agent["metric_batch_size"] == (7, "a.conf:5")
    assert agent["debug"] == (True, "b.conf:5")
    assert agent["flush_interval"] == ("10s", "default")
    assert agent["skip_processors_after_aggregators"] == (None, "default")
    assert pairs(found["global_tags"]) == {"room": ("kitchen", "b.conf:2"), "host": ("h", "a.conf:6")}
    first, second, third = found["inputs"]
    assert (first["name"], first["from"], first["origin"]) == ("full::a", "a.conf:7", "file")
    options = pairs(first["options"])
    assert options["interval"] == ("20s", "b.conf:4")
    assert options["alias"] == ("a", "a.conf:8")
    assert options["collection_jitter"] == ("1s", "a.conf:12")
    assert options["collection_offset"] == ("0s", "default")
    assert options["namepass"] == (["m*"], "a.conf:13")
    assert options["wait"] == ("3s", "a.conf:11")
    assert options["room"] == (1_000_000, "default")
    assert options["servers"] == ([{"host": "one", "port": 80}], "a.conf:14")
    assert "old" not in options
    assert "order" not in options
    assert second["from"] == "a.conf:16"
    assert third["name"] == "nothing"
    assert pairs(third["options"]) == {
        "interval": ("2s", "b.conf:7"),
        "precision": ("1s", "default"),
        "collection_jitter": ("0s", "default"),
        "collection_offset": ("0s", "default"),
    }
    (output,) = found["outputs"]
    assert pairs(output["options"])["metric_batch_size"] == (7, "a.conf:5")


def test_no_secret_is_shown(plugins: Path) -> None:
    text = '[[inputs.full]]\ntext = "$MY_TOKEN and hunter22"\ntexts = ["password = \'x y\'", "token=abc&b=c"]\n'
    _, found = made(plugins, MAIN + text, environ={"MY_TOKEN": "from-environment"})
    shown = as_toml(found) + str(as_json(found))
    assert "hunter" not in shown
    assert "from-environment" not in shown
    third = pairs(as_json(found)["inputs"][2]["options"])
    assert third["text"] == ("*** and ***", "a.conf:19")
    assert third["texts"] == (["password = ***", "token=***&b=c"], "a.conf:20")
    assert pairs(as_json(found)["inputs"][0]["options"])["headers"] == ({"X-Key": "***"}, "a.conf:10")
    assert pairs(as_json(found)["inputs"][1]["options"])["text"][0] == "postgres://***@db/x?sslmode=on"


def test_settings_that_are_passed_on_are_masked_by_their_names(plugins: Path) -> None:
    text = """\
[[inputs.collectd_python]]
  modules = ["m"]
  config = '''
<Module m>
  Password "hunter1"
  Mode "fast"
</Module>
'''
  [inputs.collectd_python.module.m]
    API_Key = ["hunter2", 123456789]
    Mode = "slow"
[[outputs.discard]]
"""
    found = made(plugins, text)[1]
    options = pairs(as_json(found)["inputs"][0]["options"])
    assert options["module"] == ({"m": {"API_Key": ["***", "***"], "Mode": "slow"}}, "a.conf:9")
    assert 'Password "***"\n  Mode "fast"' in str(options["config"][0])
    assert "hunter" not in as_toml(found)


def test_the_text_is_a_configuration_that_means_the_same(plugins: Path) -> None:
    text = MAIN.replace("hunter", "").replace("postgres://me:44@db", "")
    plan, found = made(plugins, text, MORE)
    again, _ = made(plugins, as_toml(found).replace("***", "22"))
    assert again.agent == plan.agent
    assert again.global_tags == plan.global_tags
    assert [i.options for i in again.inputs][1:] == [i.options for i in plan.inputs][1:]
    assert [(i.interval, i.filters) for i in again.inputs] == [(i.interval, i.filters) for i in plan.inputs]
    assert tomli.loads(as_toml(found))["inputs"]["full"][0]["wait"] == "3s"


def test_two_tables_on_one_line(plugins: Path) -> None:
    _, found = made(
        plugins, "inputs = { nothing = [{ alias = 'a', interval = '1s' }, { alias = 'b', interval = '2s' }] }"
    )
    shown = [pairs(table["options"])["interval"] for table in as_json(found)["inputs"]]
    assert shown == [("1s", "a.conf:1"), ("2s", "a.conf:1")]


def test_the_table_of_sources(plugins: Path) -> None:
    plan, _ = made(plugins, MAIN, MORE + "[[inputs.full]]\n")
    assert plugin_sources(plan.inputs) == (
        "+---------+----------------+\n"
        "| NAME    | SOURCE(S)      |\n"
        "+---------+----------------+\n"
        "| full    | a.conf, b.conf |\n"
        "| nothing | b.conf         |\n"
        "+---------+----------------+\n"
    )
    assert plugin_sources(plan.processors) == ""
