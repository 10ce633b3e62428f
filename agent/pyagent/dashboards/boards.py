"""The dashboards: an overview of a host, the agent's health, and one for every plugin that declares what it measures."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from pyagent.api import Measurement
from pyagent.dashboards import flux
from pyagent.dashboards.panels import Panels, rows_of
from pyagent.dashboards.subjects import Destination, Subject

__all__ = ["DATA_SOURCE", "FORMS", "HEALTH", "OVERVIEW", "Board", "Form", "boards", "uid_of"]

DATA_SOURCE = "pyagent-influxdb"
"""The identifier of the data source that provisioned dashboards name."""
OVERVIEW, HEALTH = "overview", "health"
"""Names of dashboards that are no plugin's; the latter is that of inputs.internal."""
Form = Literal["provisioning", "import", "shared"]
FORMS: tuple[Form, ...] = ("provisioning", "import", "shared")
"""For files that Grafana reads: the data source by its identifier. For Grafana's import page: it asks for the data source.
To be shared: without variables, which public dashboards do not have."""
_INTERNAL = "internal"
_TAG = "pyagent"
_SCHEMA = 39
"""Of Grafana 10.4: newer ones take it on, and older ones read it."""
_LONGEST_UID = 40
_IMPORTED = "DS_INFLUXDB"
_COLUMNS = 160
"""The longest line of a file, where a value can be divided."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: `document` is its JSON model."""

    name: str
    title: str
    document: Mapping[str, Any]

    @property
    def uid(self) -> str:
        return str(self.document["uid"])

    def text(self) -> str:
        return _json(self.document) + "\n"

    def link(self, grafana: str, bucket: str, host: str = "") -> str:
        """The address of the dashboard for a bucket (empty: the default) and a host (empty: all), of the last day."""
        return f"{grafana}/d/{self.uid}?{_chosen(bucket, host)}"

    def panel_link(self, grafana: str, bucket: str, host: str = "") -> str:
        """The address of its first panel alone, for an iframe."""
        number = self.document["panels"][0]["id"]
        return f"{grafana}/d-solo/{self.uid}?orgId=1&panelId={number}&{_chosen(bucket, host)}"


def _chosen(bucket: str, host: str) -> str:
    everything = "$__all"  # the one value of Grafana's own; a `$` in a name is encoded
    parts = {"var-bucket": bucket, "var-host": host, "from": "now-24h", "to": "now"}
    encoded = {name: quote(value, safe="") for name, value in parts.items()}
    encoded["var-host"] = encoded["var-host"] or everything
    return "&".join(f"{name}={value}" for name, value in encoded.items() if value)


def boards(
    subjects: Sequence[Subject], destination: Destination, form: Form, *, datasource: str = DATA_SOURCE, host: str = ""
) -> list[Board]:
    """The dashboards of what there is, in one form. `host`: the only one that a shared dashboard shows."""
    maker = _Maker(subjects, destination, form, datasource, host)
    return list(maker.all())


def uid_of(name: str) -> str:
    """The identifier of a dashboard, by which addresses name it: 40 of Grafana's characters at the most."""
    uid = f"pyagent-{re.sub(r'[^A-Za-z0-9_-]', '-', name)}"
    return uid if len(uid) <= _LONGEST_UID else f"{uid[:31]}-{zlib.crc32(name.encode()):08x}"


class _Maker:
    def __init__(
        self, subjects: Sequence[Subject], destination: Destination, form: Form, datasource: str, host: str
    ) -> None:
        self._subjects = subjects
        self._destination = destination
        self._form = form
        self._source = DataSourceRef("influxdb", f"${{{_IMPORTED}}}" if form == "import" else datasource)
        self._scope = flux.Scope.fixed(destination.bucket, host) if form == "shared" else flux.Scope.of_variables()

    def all(self) -> Iterator[Board]:
        # What the host is about comes before the agent on it.
        in_turn = sorted(self._subjects, key=lambda subject: subject.name == _INTERNAL)
        if in_turn and (overview := self._overview(in_turn)).document.get("panels"):
            yield overview
        for subject in self._subjects:
            yield self._plugin(subject)

    def _overview(self, subjects: Sequence[Subject]) -> Board:
        board = self._board(OVERVIEW, "Host overview", "What the agents on the hosts measure, at a glance.", subjects)
        charts = [
            (subject, measurement, chart)
            for subject in subjects
            for measurement in subject.measurements
            for chart in measurement.charts
            if chart.overview
        ]
        # First what shows the same time always: the rest follows the dashboard's.
        for subject, measurement, chart in sorted(charts, key=lambda found: not found[2].span):
            board.with_panel(self._panels(subject).chart(measurement, chart))
        # The agents themselves are the last; where they do not report, any plugin tells of the hosts.
        known = [(subject, one) for subject in subjects for one in subject.measurements if one.fields]
        if known:
            subject, measurement = next((one for one in known if one[0].name == _INTERNAL), known[0])
            board.with_panel(self._panels(subject).last_reports(measurement, next(iter(measurement.fields))))
        return self._done(OVERVIEW, "Host overview", board)

    def _plugin(self, subject: Subject) -> Board:
        is_agent = subject.name == _INTERNAL
        name = HEALTH if is_agent else subject.name
        title = "Agent health" if is_agent else subject.name
        board = self._board(name, title, subject.text, [subject])
        panels = self._panels(subject)
        group = ""
        for measurement in subject.measurements:
            if measurement.group != group and measurement.charts:
                group = measurement.group
                board.with_row(dashboard.Row(group))
            for chart in measurement.charts:
                board.with_panel(panels.chart(measurement, chart))
        has_charts = any(measurement.charts for measurement in subject.measurements)
        for measurement in subject.measurements:
            if left := list(_others(panels, measurement)):
                row = dashboard.Row(f"{measurement.name}: {'further fields' if measurement.charts else 'all fields'}")
                if has_charts:
                    for panel in left:
                        row.with_panel(panel)
                board.with_row(row)
                for panel in () if has_charts else left:
                    board.with_panel(panel)
        return self._done(name, title, board)

    def _panels(self, subject: Subject) -> Panels:
        return Panels(self._source, self._scope, subject.interval)

    def _board(self, name: str, title: str, text: str, subjects: Sequence[Subject]) -> dashboard.Dashboard:
        board = dashboard.Dashboard(title)
        board.uid(uid_of(name)).description(text).tags([_TAG]).timezone("browser")
        board.time("now-3h", "now").refresh("1m").tooltip(DashboardCursorSync.CROSSHAIR)
        if self._form != "shared":
            board.variables([self._bucket(), self._host(subjects)])
            link = dashboard.DashboardLink("Dashboards of pyagent").type(DashboardLinkType.DASHBOARDS).tags([_TAG])
            board.link(link.as_dropdown(True).include_vars(True).keep_time(True))
        return board

    def _bucket(self) -> dashboard.QueryVariable:
        default = "" if self._form == "import" else self._destination.bucket
        query = flux.bucket_variable(default)
        variable = self._variable("bucket", "Bucket", query).refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        if default:
            variable.current(VariableOption(True, default, default))
        return variable.sort(VariableSort.DISABLED)

    def _host(self, subjects: Sequence[Subject]) -> dashboard.QueryVariable:
        names = list(dict.fromkeys(one.name for subject in subjects for one in subject.measurements))
        variable = self._variable("host", "Host", flux.host_variable(self._scope.bucket, names))
        variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
        variable.multi(True).include_all(True).all_value(flux.ALL).regex("/.+/")
        return variable.current(VariableOption(True, "All", "$__all"))

    def _variable(self, name: str, label: str, query: str) -> dashboard.QueryVariable:
        variable = dashboard.QueryVariable(name).label(label).datasource(self._source)
        return variable.query(query).definition(query)

    def _done(self, name: str, title: str, board: dashboard.Dashboard) -> Board:
        model = board.build()
        model.schema_version = _SCHEMA
        model.annotations = AnnotationContainer(list_val=[])
        _tell_apart(model.panels or [])
        document: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
        for link in document.get("links") or ():
            del link["placement"]  # of all links the SDK has it hidden in a menu
        head: dict[str, Any] = {"id": None}
        if self._form == "import":
            head = {"__inputs": [_INPUT], "__requires": _REQUIRED, **head}
        elif self._form == "shared":
            document["uid"] = uid_of(f"shared-{name}")
            document["title"] = title = f"{title} (shared)"
        return Board(name, title, {**head, **document})


_INPUT = {
    "name": _IMPORTED,
    "label": "InfluxDB",
    "description": "A data source InfluxDB with the query language Flux",
    "type": "datasource",
    "pluginId": "influxdb",
    "pluginName": "InfluxDB",
}
_REQUIRED = [{"type": "datasource", "id": "influxdb", "name": "InfluxDB", "version": "1.0.0"}]


def _others(panels: Panels, measurement: Measurement) -> Iterator[Builder[Panel]]:
    left = rows_of(measurement)
    for name in left["numbers"]:
        yield panels.field(measurement, name)
    if left["states"]:
        yield panels.states(measurement, left["states"])
    if left["texts"]:
        yield panels.texts(measurement, left["texts"])
    if measurement.open:
        yield panels.numbers(measurement)


def _tell_apart(panels: Sequence[Any]) -> None:
    """An address names a panel by its number: one that two have goes to the first, and a row has one, too."""
    taken: set[int] = set()
    everything = [one for panel in panels for one in (panel, *(getattr(panel, "panels", None) or ()))]
    for panel in everything:
        number = panel.id_val or zlib.crc32((panel.title or "").encode()) % 99_999 + 1
        while number in taken:
            number += 1
        taken.add(number)
        panel.id_val = number


_on_a_line = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder for each value


def _json(value: Any, indent: str = "", before: int = 0) -> str:
    """As json.dumps with an indent, but what fits on a line stays on it: fewer lines, of which a change is still a few.

    `before` is the number of characters that stand on the first line before the value, without the indent. A comma may follow.
    """
    line = _on_a_line(value)
    if not value or not isinstance(value, Mapping | list) or len(indent) + before + len(line) < _COLUMNS:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts, ends = [_json(item, inner) for item in value], "[]"
    else:
        keys = [f"{_on_a_line(key)}: " for key in value]
        parts = [key + _json(item, inner, len(key)) for key, item in zip(keys, value.values(), strict=True)]
        ends = "{}"
    lines = f",\n{inner}".join(parts)
    return f"{ends[0]}\n{inner}{lines}\n{indent}{ends[1]}"
