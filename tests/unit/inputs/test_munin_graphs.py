"""The input munin asked what it measures: titles, units, limits and how values are drawn, of what plugins say to `config`."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Field, PyagentError
from pyagent.testing import make_input
from pyagent_plugins.inputs.munin import Munin
from pyagent_plugins.inputs.munin._answers import Names
from pyagent_plugins.inputs.munin._graphs import Graphs, _limits, _title, _unit


def graphs(*answers: tuple[str, Names], rates: bool = False) -> dict[str, Any]:
    found = Graphs(rates=rates)
    for text, names in answers:
        found.add(text, names)
    return {one.name: one for one in found.measurements()}


def names(plugin: str, base: str = "", instance: str = "") -> Names:
    return Names("munin_", plugin, base or plugin, instance)


DF = """\
graph_title Disk usage
graph_args --upper-limit 100 -l 0
graph_vlabel %
graph_category disk
a.label /
a.warning 92
a.critical 5:98
b.label /home
b.info Of people.
"""
IF = """\
graph_title {0} traffic
graph_vlabel bits in (-) / out (+) per ${{graph_period}}
graph_category network
graph_order down up
down.label received
down.type DERIVE
down.graph no
down.cdef down,8,*
up.label bps
up.type DERIVE
up.negative down
up.cdef up,8,*
"""


def test_titles_units_and_limits_of_gauges() -> None:
    df = graphs((DF, names("df")))["munin_df"]
    assert df.group == "disk"
    assert df.fields == {
        "a": Field("float", "percent", label="/", warning=(None, 92.0), critical=(5.0, 98.0)),
        "b": Field("float", "percent", "Of people.", label="/home"),
    }
    [chart] = df.charts
    assert (chart.title, chart.fields, chart.stacked) == ("Disk usage", ("a", "b"), False)


@pytest.mark.parametrize("rates", [False, True])
def test_links_of_one_plugin_are_one_graph_and_what_munin_computes_is_not(rates: bool) -> None:
    links = [(IF.format(one), names(f"if_{one}", "if", one)) for one in ("eth0", "eth1")]
    found = graphs(*links, rates=rates)["munin_if"]
    assert list(found.tags) == ["instance"]
    unit = "bytes/s" if rates else "bytes"  # as it is counted, without the factor of 8
    assert found.fields == {
        "down": Field("float", unit, counter=not rates),
        "up": Field("float", unit, counter=not rates),
    }
    [chart] = found.charts
    assert (chart.title, chart.fields, chart.mirrored) == ("Traffic", ("down", "up"), ("down",))


def test_of_another_cdef_neither_unit_nor_limit_is_known() -> None:
    text = "graph_vlabel seconds\na.cdef a,1000,/\na.warning 3\n"
    assert graphs((text, names("x")))["munin_x"].fields == {"a": Field("float", "1", "Munin shows a,1000,/ of it.")}


def test_what_is_stacked_and_what_is_drawn_beside_it() -> None:
    text = "graph_vlabel %\na.type DERIVE\na.draw AREA\nb.draw STACK\nc.draw LINE2\nd.graph no\n"
    found = graphs((text, names("x")))["munin_x"]
    [chart] = found.charts
    assert (chart.fields, chart.stacked, chart.beside) == (("a", "b", "c"), True, ("c",))
    assert (found.fields["a"].unit, found.fields["a"].counter) == ("percent s", True)
    assert found.group == "other"


def test_graphs_of_a_multigraph_and_those_that_are_none() -> None:
    text = (
        "multigraph m\ngraph_title All\na_n.label A\n"
        "multigraph m.a\ngraph_title Time for a\nn.label N\n"
        "multigraph m.b\ngraph_title Time for b\nn.label N\nextra.label E\n"
        "multigraph hidden\ngraph no\nn.label N\nmultigraph empty\ngraph_title Nothing\n"
    )
    found = graphs((text, names("m")))
    assert list(found) == ["munin_m"]
    assert [(chart.title, chart.fields) for chart in found["munin_m"].charts] == [
        ("All", ("a_n",)),
        ("Time", ("n", "extra")),
    ]
    assert list(found["munin_m"].tags) == ["graph"]


@pytest.mark.parametrize(
    ("vlabel", "unit"),
    [
        ("%", "%"),
        ("bytes / second", "bytes"),
        ("bits per ${graph_period}", "bits"),
        ("number of processes", "1"),
        ("seconds", "s"),
        ("uptime in days", "d"),
        ("°C", "C"),
        ("Hits/${graph_period}", "1"),
        ("milliseconds", "ms"),
        ("load", "1"),
        ("", "1"),
    ],
)
def test_units(vlabel: str, unit: str) -> None:
    assert _unit(vlabel) == unit


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("92", (None, 92.0)),
        ("10:90.5", (10.0, 90.5)),
        ("-5:", (-5.0, None)),
        (":3", (None, 3.0)),
        ("", (None, None)),
        ("many", (None, None)),
    ],
)
def test_limits(text: str, limits: Any) -> None:
    assert _limits(text) == limits


def test_a_title_without_its_instance() -> None:
    assert _title("Utilization per device for /dev/sda", ["sda"]) == "Utilization per device"
    assert _title("eth0 errors", ["eth0"]) == "Errors"


def test_a_title_that_is_no_utf_8_is_readable() -> None:
    found = graphs(("graph_title Gr\udcf6\udcdfe\na.label x\n", names("x")))
    assert "Gr\ufffd\ufffde" in str(found)


@given(st.text(alphabet=st.sampled_from("ab.:; \n%graph_title multigraph type DERIVE-1"), max_size=300))
def test_any_answer_is_read(text: str) -> None:
    graphs((text, names("x")), ("a.label x\n" + text, names("if_a", "if", "a")))


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    bodies = {"good": f"cat <<'END'\n{DF}END", "bad": "exit 3", "hangs": "sleep 99"}
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "all").write_text(f"[*]\nuser {os.geteuid()}\n")
    return {"directory": str(folder), "configuration": str(tmp_path / "conf.d"), "state": str(tmp_path)}


def test_one_that_fails_or_hangs_is_a_warning(plugins: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    made = make_input(Munin, {**plugins, "timeout": "200ms", "plugins": ["good", "bad", "hangs"]})
    assert [one.name for one in made.ask_measurements()] == ["munin_good"]
    assert "plugins/hangs config`: it took longer than 200ms" in caplog.text
    assert "plugins/bad config`" in caplog.text


def test_where_none_answers_it_is_an_error(plugins: dict[str, Any]) -> None:
    with pytest.raises(PyagentError, match="bad config"):
        make_input(Munin, {**plugins, "plugins": ["bad"]}).ask_measurements()
