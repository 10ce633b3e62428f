"""Datadog's metadata.csv: measurements, units and charts of a check, and what is no such file."""

import logging
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import Field, PyagentError
from pyagent.testing import make_input
from pyagent_plugins.inputs.datadog_check import DatadogCheck
from pyagent_plugins.inputs.datadog_check.metadata import read_metadata

HEAD = "metric_name,metric_type,interval,unit_name,per_unit_name,description,orientation,integration,short_name\n"
ROWS = """\
shop.mem.used,gauge,,byte,,Memory in use,-1,shop,mem used
shop.mem.peak,gauge,,byte,,"Most memory, ever",-1,shop,
shop.net.in,rate,,byte,second,Bytes in,0,shop,in
shop.net.clients,gauge,,connection,,Clients,0,shop,
shop.net.visits,gauge,,connection,second,,0,shop,
shop.time.avg,gauge,,millisecond,,Time,0,shop,
shop.time.max,gauge,,millisecond,,Time,0,shop,
shop.time.95percentile,gauge,,millisecond,,Time,0,shop,
shop.queue.count,count,,,,,0,shop,
"""


@pytest.fixture
def integration(tmp_path: Path) -> Path:
    """As in Datadog's repository: metadata.csv beside the folder of the package."""
    folder = tmp_path / "datadog_checks" / "shop"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit(7)")
    (tmp_path / "metadata.csv").write_text(HEAD + ROWS)
    return tmp_path


def asked(folder: Path, **options: Any) -> dict[str, Any]:
    table = {"check": "datadog_checks.shop", "module_path": [str(folder)], **options}
    return {one.name: one for one in make_input(DatadogCheck, table).ask_measurements()}


def test_names_are_those_that_naming_makes_and_units_what_the_file_says(integration: Path) -> None:
    found = asked(integration)
    assert {name: one.fields for name, one in found.items()} == {
        "shop_mem": {
            "used": Field("float", "bytes", "Memory in use", label="mem used"),
            "peak": Field("float", "bytes", "Most memory, ever"),
        },
        "shop_net": {
            "in": Field("float", "bytes/s", "Bytes in", label="in"),
            "clients": Field("float", "1", "Clients (connection)"),
            "visits": Field("float", "1/s", "(connection per second)"),
        },
        # A histogram, whose aggregates are fields of the metric; `queue.count` is a metric of its own.
        "shop": {
            "time_avg": Field("float", "ms", "Time"),
            "time_max": Field("float", "ms", "Time"),
            "time_95percentile": Field("float", "ms", "Time"),
        },
        "shop_queue": {"count": Field("float", "1")},
    }
    assert [(chart.title, chart.fields) for chart in found["shop_mem"].charts] == [
        ("shop mem: bytes", ("used", "peak"))
    ]
    assert all(one.open for one in found.values())  # its tags are not known
    assert set(asked(integration, naming="check")) == {"shop"}
    assert "mem_used" in asked(integration, naming="check")["shop"].fields
    assert asked(integration, naming="metric")["shop.mem.used"].fields["value"].unit == "bytes"


def test_the_aggregates_of_a_histogram_have_the_names_that_a_gather_gives(integration: Path) -> None:
    from pyagent_plugins.inputs.datadog_check.aggregates import HISTOGRAM, Aggregates
    from pyagent_plugins.inputs.datadog_check.guest import place

    aggregates = Aggregates(["avg", "max"], [0.95])
    aggregates.sample(HISTOGRAM, "shop.time", 3.0, (), "")
    measurement, field = place("shop.time", "split", "shop")
    assert {f"{field}_{one.suffix}" for one in aggregates.flush()} == set(asked(integration)[measurement].fields)


def test_many_fields_of_one_unit_are_several_charts(integration: Path) -> None:
    (integration / "metadata.csv").write_text(HEAD + "".join(f"a.f{n},gauge,,byte,,,0,a,\n" for n in range(13)))
    charts = asked(integration)["a"].charts
    assert [chart.title for chart in charts] == ["a: bytes (1)", "a: bytes (2)", "a: bytes (3)"]
    assert [len(chart.fields) for chart in charts] == [6, 6, 1]


def test_a_file_that_is_named_and_one_that_there_is_not(integration: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (integration / "metadata.csv").rename(integration / "mine.csv")
    assert "shop_mem" in asked(integration, metadata=str(integration / "mine.csv"))
    assert asked(integration) == {}
    assert (
        "datadog_checks.shop has no metadata.csv beside it; name that of its integration by `metadata`" in caplog.text
    )
    (integration / "own.py").write_text("")
    (integration / "metadata.csv").write_text(HEAD + "own.x.y,gauge,,,,,0,own,\n")
    assert list(asked(integration, check=f"{integration}/own.py")) == ["own_x"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: it is no metadata.csv of Datadog: there is no column metric_name"),
        ("<html>\n", ":1: it is no metadata.csv of Datadog"),
        (HEAD + "a,gauge,,byte\nb,number,,,,,,,\n", ":3: the metric_type is 'number'; use one of gauge, count"),
        (HEAD + ",gauge,,,,,,,\n", ":2: it has no metric_name"),
        (HEAD + "a,gauge,,byte,,One, two, three and four,0,a,\n", ":2: it has more values than there are columns"),
        (HEAD + 'a,gauge,,byte,,"open\n', ":2: unexpected end of data"),
    ],
)
def test_what_is_no_such_file_is_one_error_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(text)
    with pytest.raises(PyagentError) as caught:
        read_metadata(str(path), lambda name: (name, "value"))
    assert f"cannot read {path}{problem}" in str(caught.value)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyagent_plugins.inputs.datadog_check import metadata

    path = tmp_path / "metadata.csv"
    path.write_text(HEAD + ROWS)
    for name, problem in (("_MOST_ROWS", "more than 2 metrics"), ("_LARGEST", "more than 0 MiB")):
        monkeypatch.setattr(metadata, name, 2)
        with pytest.raises(PyagentError, match=problem):
            read_metadata(str(path), lambda name: (name, "value"))
    with pytest.raises(PyagentError, match="No such file or directory; see `metadata`"):
        read_metadata("/none/such.csv", lambda name: (name, "value"))
