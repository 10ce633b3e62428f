"""The dashboards that are made of declarations: what Grafana's own types say of them, and what people have trouble with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from sdk_types import mistakes

from pyagent.api import Chart, Duration, Field, Input, Measurement
from pyagent.config.catalog import Catalog
from pyagent.dashboards.boards import DATA_SOURCE, FORMS, Board, Form, boards, uid_of
from pyagent.dashboards.files import files_of
from pyagent.dashboards.subjects import Destination, Subject, subjects_of_catalog
from pyagent.dashboards.units import unit_of

SUBJECTS, _ = subjects_of_catalog(Catalog())
NOWHERE = Destination()
PLAIN = {(form, board.name): board for form in FORMS for board in boards(SUBJECTS, NOWHERE, form)}
BOARDS = [pytest.param(board, form, id=f"{form}-{name}") for (form, name), board in PLAIN.items()]
every_board = pytest.mark.parametrize(("board", "form"), BOARDS)


def panels(document: Any) -> Iterator[dict[str, Any]]:
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels") or ()


def queries(document: Any) -> Iterator[str]:
    for panel in panels(document):
        yield from (target["query"] for target in panel.get("targets") or ())
    yield from (variable["query"] for variable in document.get("templating", {}).get("list", ()))


def board_of(
    form: Form, name: str, subjects: list[Subject] = SUBJECTS, destination: Destination = NOWHERE, **more: Any
) -> Board:
    if subjects is SUBJECTS and destination is NOWHERE and not more:
        return PLAIN[form, name]
    return next(board for board in boards(subjects, destination, form, **more) if board.name == name)


@every_board
def test_a_dashboard_is_one_by_grafanas_own_types(board: Board, form: Form) -> None:
    register_default_plugins()
    document = json.loads(board.text())
    inputs = document.pop("__inputs", None)
    document.pop("__requires", None)
    assert (inputs is not None) is (form == "import")
    assert document.pop("id") is None
    model = Dashboard.from_json(document)
    assert list(mistakes(model, Dashboard)) == []
    # What the types do not know would be lost on the way.
    again = json.loads(json.dumps(model, cls=JSONEncoder))
    for link in again.get("links") or ():
        assert link.pop("placement") == "inControlsMenu", "where nobody sees it"
    assert again == document


def test_a_value_of_another_type_is_noticed() -> None:
    register_default_plugins()
    document = json.loads(board_of("provisioning", "mem").text())
    document["panels"][0]["fieldConfig"]["defaults"]["unit"] = 7
    document["panels"][1]["options"]["legend"]["showLegend"] = "yes"
    found = set(mistakes(Dashboard.from_json(document), Dashboard))
    assert len(found) == 2
    assert ".panels[0].field_config.defaults.unit: 7 is no str" in found


def test_the_committed_files_are_what_is_made_now(root: Path) -> None:
    """The folder for provisioning alone: the other forms would hold the same twice more."""
    folder = root / "dashboards"
    committed = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    made = {name: text for name, text in files_of(SUBJECTS, NOWHERE).items() if name.startswith("provisioning/")}
    assert committed.keys() == made.keys(), "run: make dashboards"
    assert [name for name in made if made[name] != committed[name]] == [], "run: make dashboards"


@every_board
def test_a_file_has_what_fits_on_one_line_there(board: Board, form: Form) -> None:
    """So that a file is no longer than it needs to be, and a change of a panel is still a few lines."""
    text = board.text()
    assert json.loads(text) == board.document
    lines = text.splitlines()
    for line in lines:
        if len(line) > 160:
            # A text alone: what holds values is divided.
            assert re.fullmatch(r' *("[^"]+": )?"(\\.|[^"\\])*",?', line), line
    assert '  "time": {"from": "now-3h", "to": "now"},' in lines


def test_every_plugin_that_declares_what_it_measures_has_one() -> None:
    names = {board.name for board in boards(SUBJECTS, NOWHERE, "provisioning")}
    assert names >= {"overview", "health", "mem", "postgresql"}
    catalog = Catalog()
    for entry in catalog.entries("inputs"):
        plugin = catalog.load(entry)
        assert issubclass(plugin, Input)
        named = any(measurement.name != "NAME" for measurement in plugin.measurements)
        assert (entry.name in names or entry.name == "internal") is named


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_field_has_a_unit_and_a_panel(subject: Subject) -> None:
    name = "health" if subject.name == "internal" else subject.name
    shown = "\n".join(queries(board_of("provisioning", name).document))
    for measurement in subject.measurements:
        for key, field in measurement.fields.items():
            assert f'r._field == "{key}"' in shown
            assert field.text, f"{measurement.name}.{key} says nothing about itself"
            assert field.unit or field.type in ("str", "bool"), f"{measurement.name}.{key} has no unit"
        for chart in measurement.charts:
            assert set(chart.fields) <= measurement.fields.keys(), chart.title


@every_board
def test_every_panel_has_what_people_miss(board: Board, form: Form) -> None:
    numbers = [panel["id"] for panel in panels(board.document)]
    assert len(set(numbers)) == len(numbers), "an address names a panel by its number"
    for panel in panels(board.document):
        if panel["type"] == "row":
            continue
        assert panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] == "timeseries":
            assert defaults["unit"], "bytes as 1.2 Bil"
            assert defaults["displayName"], "_value {host=...}"
            assert defaults["custom"]["spanNulls"] == 30_000.0, "three intervals"
            assert panel["interval"] == "10s", "a window shorter than the agent's interval has gaps"
        for target in panel["targets"]:
            assert "$" not in re.sub(r"\$\{(host:regex|bucket:doublequote)\}|\$/", "", target["query"])


@every_board
def test_a_query_has_what_the_data_source_replaces_and_nothing_else_that_looks_like_it(
    board: Board, form: Form
) -> None:
    for query in queries(board.document):
        # Grafana's server replaces WORD.bucket and WORD.organization, whatever the word.
        assert not re.search(r"\b[a-zA-Z]+\.(bucket|organization)\b", query)
        assert set(re.findall(r"\bv\.\w+", query)) <= {
            "v.timeRangeStart", "v.timeRangeStop", "v.windowPeriod", "v.defaultBucket",
        }  # fmt: skip
        if "aggregateWindow" in query:
            assert "createEmpty: false" in query


def test_counters_are_rates_and_what_is_no_number_has_no_mean() -> None:
    document = board_of("provisioning", "health").document
    by_title = {panel["title"]: panel for panel in panels(document) if panel["type"] != "row"}
    gathered = by_title["Metrics gathered and delivered"]["targets"][0]["query"]
    assert "derivative(unit: 1s, nonNegative: true)\n  |> aggregateWindow(every: v.windowPeriod, fn: mean" in gathered
    assert "derivative" not in by_title["Outputs: metrics that wait"]["targets"][0]["query"]
    state = by_title["internal_config: last reload ok and from cache"]
    assert (state["type"], "fn: last" in state["targets"][0]["query"]) == ("state-timeline", True)
    texts = next(
        p for p in panels(board_of("provisioning", "postgresql").document) if p["title"] == "postgresql: texts"
    )
    assert texts["type"] == "table"
    assert "mean" not in texts["targets"][0]["query"]


def test_variables() -> None:
    bucket, host = board_of("provisioning", "mem").document["templating"]["list"]
    assert (bucket["name"], host["name"]) == ("bucket", "host")
    assert (host["multi"], host["includeAll"], host["allValue"], host["refresh"], host["sort"]) == (
        True,
        True,
        ".*",
        2,
        1,
    )
    assert host["regex"] == "/.+/"
    assert "start: v.timeRangeStart" in host["query"], "without it a host of 40 days ago is missing"
    assert all("windowPeriod" not in one["query"] for one in (bucket, host)), "it is 1 s in a variable"


def test_the_forms() -> None:
    provisioned = board_of("provisioning", "mem").text()
    assert f'"uid": "{DATA_SOURCE}"' in provisioned
    imported = board_of("import", "mem")
    assert [one["name"] for one in imported.document["__inputs"]] == ["DS_INFLUXDB"]
    assert DATA_SOURCE not in imported.text()
    for panel in panels(imported.document):
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${DS_INFLUXDB}"
    shared = board_of("shared", "mem")
    assert shared.document["templating"].get("list") in (None, [])
    assert "${host" not in shared.text()
    assert "${bucket" not in shared.text()
    assert shared.uid != imported.uid
    assert "from(bucket: v.defaultBucket)" in next(queries(shared.document))


def test_the_tutorials_panel() -> None:
    for name in ("overview", "mem"):
        panel = next(
            p for p in panels(board_of("provisioning", name).document) if p["title"] == "Memory used, last 24 h"
        )
        assert (panel["timeFrom"], panel["fieldConfig"]["defaults"]["unit"]) == ("24h", "bytes")
        assert 'r._measurement == "mem"' in panel["targets"][0]["query"]
        assert 'r._field == "used"' in panel["targets"][0]["query"]


def test_a_known_bucket_and_host() -> None:
    destination = Destination(bucket='a "b" ${c} \\')
    bucket = board_of("provisioning", "mem", destination=destination).document["templating"]["list"][0]
    assert bucket["current"]["value"] == destination.bucket
    shared = board_of("shared", "mem", destination=destination, host="web1")
    query = next(queries(shared.document))
    assert r'from(bucket: "a \"b\" \${c} \\")' in query
    assert 'r["host"] == "web1"' in query


def test_a_plugin_of_ones_own() -> None:
    fields = {"a.b c": Field("float", "furlongs", "far"), "n": Field("int", "1", "how many", counter=True)}
    spool = Measurement("spool", tags={"bucket": "a word that Grafana replaces"}, fields=fields)
    subject = Subject(name="x" * 60, measurements=[spool], interval=Duration("1m"))
    found = {board.name: board for board in boards([subject], NOWHERE, "provisioning")}
    assert found.keys() == {"overview", "x" * 60}
    board = found["x" * 60]
    assert len(board.uid) <= 40
    row, first, second = board.document["panels"]
    assert (row["type"], row["collapsed"]) == ("row", False)
    assert (first["title"], first["fieldConfig"]["defaults"]["unit"]) == ("spool: a b c", "suffix: furlongs")
    assert second["fieldConfig"]["defaults"]["unit"] == "cps"
    assert (first["interval"], first["fieldConfig"]["defaults"]["custom"]["spanNulls"]) == ("1m0s", 180_000.0)
    assert '"host", "bucket"]' in first["targets"][0]["query"]


def test_panels_of_one_title_are_told_apart_and_keep_their_numbers() -> None:
    twice = (Chart("same", ("a",)), Chart("same", ("b",)))
    fields = {name: Field("float", "1", "x") for name in ("a", "b", "c")}
    one = Subject(name="p", measurements=[Measurement("m", fields=fields, charts=twice)])
    numbers = [panel["id"] for panel in panels(board_of("provisioning", "p", [one]).document)]
    assert len(set(numbers)) == 4
    fewer = Subject(name="p", measurements=[Measurement("m", fields=fields, charts=twice[:1])])
    assert next(panels(board_of("provisioning", "p", [fewer]).document))["id"] == numbers[0]


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        (Field("float", "percent"), "percent"),
        (Field("uint", "bytes"), "bytes"),
        (Field("uint", "bytes", counter=True), "binBps"),
        (Field("int", "seconds"), "s"),
        (Field("int", "ms", counter=True), "suffix: ms/s"),
        (Field("int"), "short"),
        (Field("bool"), "bool_yes_no"),
        (Field("str", "bytes"), "string"),
        (Field("float", "mol"), "suffix: mol"),
    ],
)
def test_units(field: Field, unit: str) -> None:
    assert unit_of(field) == unit


def test_links_choose_bucket_host_and_time() -> None:
    board = board_of("provisioning", "overview")
    chosen = "var-bucket=a%20%26b&var-host=c%2Fd%3D%C3%BC&from=now-24h&to=now"
    assert board.link("http://g", "a &b", "c/d=ü") == f"http://g/d/pyagent-overview?{chosen}"
    number = board.document["panels"][0]["id"]
    assert board.panel_link("http://g", "a &b", "c/d=ü") == (
        f"http://g/d-solo/pyagent-overview?orgId=1&panelId={number}&{chosen}"
    )
    assert board.link("http://g", "").endswith("?var-host=$__all&from=now-24h&to=now")
    assert "?var-bucket=%24b&var-host=a%22b%24x%2F%5C&from=" in board.link("http://g", "$b", 'a"b$x/\\')


def test_a_chart_of_one_value_of_a_tag() -> None:
    fields = {name: Field("float", "percent", "x") for name in ("user", "system")}
    use = Chart("Use", ("user", "system"), stacked=True, only={"cpu": "cpu-total"})
    one = Subject(name="p", measurements=[Measurement("cpu", tags={"cpu": "which"}, fields=fields, charts=(use,))])
    (panel,) = panels(board_of("provisioning", "p", [one]).document)
    query = panel["targets"][0]["query"]
    assert 'filter(fn: (r) => r["cpu"] == "cpu-total")' in query
    assert '"host"])' in query, "a tag that has one value says nothing in the legend"
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    assert "max" not in panel["fieldConfig"]["defaults"], "two hosts on each other have more than 100 %"


def test_one_field_of_a_chart_is_no_list_of_letters() -> None:
    assert Chart("Disk", "used").fields == ("used",)  # type: ignore[arg-type]  # as it is written by mistake


def test_identifiers_have_the_characters_that_grafana_takes() -> None:
    assert uid_of("a.b/ü c") == "pyagent-a-b---c"
    assert len({uid_of("y" * 40 + end) for end in "abc"}) == 3
