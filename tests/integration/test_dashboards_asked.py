"""The dashboards of what plugins of Munin and checks of Datadog say of themselves: their queries give what the inputs wrote."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_side import ALL, Range, Source
from provisioning import Background

from pyagent.api import LineOptions, Metric
from pyagent.config import SourceText, load_plan
from pyagent.dashboards.boards import Board, boards
from pyagent.dashboards.subjects import Destination, subjects_of_plan
from pyagent.lineprotocol.encoder import encode
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.datadog_check import DatadogCheck
from pyagent_plugins.inputs.munin import Munin

MINUTE = 60
CONFIG = """\
graph_title {0} traffic
graph_vlabel bits per ${{graph_period}}
graph_category network
up.type DERIVE
up.label sent
up.warning 1:900
down.type DERIVE
"""
CHECK = """\
from datadog_checks.base import AgentCheck
class Shop(AgentCheck):
    def check(self, instance):
        for shelf in ("a", "b"):
            self.gauge("shop.mem.used", 5, tags=[f"shelf:{shelf}"])
            self.histogram("shop.time", 7, tags=[f"shelf:{shelf}"])
"""
METADATA = """\
metric_name,metric_type,unit_name,per_unit_name,description
shop.mem.used,gauge,byte,,Memory in use
shop.time.avg,gauge,millisecond,,Time
shop.time.max,gauge,millisecond,,Time
"""


@pytest.fixture
def inputs(tmp_path: Path) -> dict[type[Any], dict[str, Any]]:
    """Two links of a plugin with a wildcard, whose counter grows; and a check whose metrics have a tag."""
    (tmp_path / "plugins").mkdir()
    program = tmp_path / "if_"
    said = CONFIG.format("${0##*_}").replace("${graph_period}", "\\${graph_period}")
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = config ]; then cat <<END\n{said}END\n'
        f'else count=$(cat {tmp_path}/count); echo "up.value $count"; echo "down.value $count"; fi\n'
    )
    program.chmod(0o755)
    for name in ("if_eth0", "if_eth1"):
        (tmp_path / "plugins" / name).symlink_to(program)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "all").write_text(f"[*]\nuser {os.geteuid()}\n")
    (tmp_path / "shop.py").write_text(CHECK)
    (tmp_path / "metadata.csv").write_text(METADATA)
    folders = {"directory": tmp_path / "plugins", "configuration": tmp_path / "conf.d", "state": tmp_path}
    return {
        Munin: {name: str(folder) for name, folder in folders.items()},
        DatadogCheck: {"check": f"{tmp_path}/shop.py"},
    }


@pytest.fixture
def made(inputs: dict[type[Any], dict[str, Any]]) -> dict[str, Board]:
    text = "[[outputs.discard]]\n" + "".join(
        f"[[inputs.{name}]]\n" + "".join(f'  {key} = "{value}"\n' for key, value in inputs[kind].items())
        for name, kind in (("munin", Munin), ("datadog_check", DatadogCheck))
    )
    plan = load_plan([SourceText("a.conf", text)], environ={})
    asked = {one.identity: make_input(one.plugin, inputs[one.plugin]).ask_measurements() for one in plan.inputs}
    subjects, problems = subjects_of_plan(plan, asked)
    assert problems == []
    return {board.name: board for board in boards(subjects, Destination(), "provisioning")}


@pytest.fixture
def source(inputs: dict[type[Any], dict[str, Any]], tmp_path: Path) -> Iterator[Source]:
    """A server with what the inputs gathered for ten minutes."""
    now = int(time.time())
    plugins = [make_input(kind, options) for kind, options in inputs.items()]
    lines = bytearray()
    for turn in range(10):
        (tmp_path / "count").write_text(str(600 * turn))
        acc = InputAccumulator()
        for plugin in plugins:
            plugin.gather(acc)
        when = (now - (10 - turn) * MINUTE) * 10**9
        metrics = [Metric(one.name, {**one.tags, "host": "web1"}, one.fields, when) for one in acc.drain()]
        lines += encode(metrics, LineOptions()).data
    with Background() as running:
        server = running.begin_anew(is_set_up=True)
        body = json.dumps({"orgID": server.org_id, "name": "b", "retentionRules": []}).encode()
        source = Source(server.url, server.token, "home", "b")
        for path, data in (("/api/v2/buckets", body), ("/api/v2/write?org=home&bucket=b", bytes(lines))):
            headers = {"Authorization": f"Token {source.token}"}
            urllib.request.urlopen(urllib.request.Request(source.url + path, data, headers), timeout=60).close()
        yield source


def shown(source: Source, board: Board, title: str) -> dict[tuple[str, ...], float]:
    """The last value of each line of a panel, by the values of its labels and its field."""
    now = time.time()
    span = Range(now - 30 * MINUTE, now + 1, "1m0s")
    panel = next(one for one in board.document["panels"] if one["title"] == title)
    found = {}
    for target in panel["targets"]:
        for frame in source.frames(target["query"], span, {"bucket": "b", "host": ALL}):
            _, (field, values) = frame.columns.items()
            found[field, *sorted(frame.labels.values())] = [value for value in values if value is not None][-1]
    return found


def test_their_panels_show_what_was_gathered(source: Source, made: dict[str, Board]) -> None:
    assert shown(source, made["munin"], "Traffic") == {
        (field, link, "web1"): pytest.approx(10.0) for field in ("up", "down") for link in ("eth0", "eth1")
    }
    assert shown(source, made["datadog_check"], "shop mem: used") == {
        ("used", shelf, "web1"): 5.0 for shelf in ("a", "b")
    }
    assert shown(source, made["datadog_check"], "shop: ms") == {
        (f"time_{one}", shelf, "web1"): 7.0 for one in ("avg", "max") for shelf in ("a", "b")
    }


def test_every_query_of_theirs_is_answered(source: Source, made: dict[str, Board]) -> None:
    span = Range(time.time() - 30 * MINUTE, time.time() + 1, "1m0s")
    answered = 0
    for board in made.values():
        for panel in board.document["panels"]:
            for one in (panel, *(panel.get("panels") or ())):
                for target in one.get("targets") or ():
                    source.frames(target["query"], span, {"bucket": "b", "host": "web1"})
                    answered += 1
    assert answered > 5
