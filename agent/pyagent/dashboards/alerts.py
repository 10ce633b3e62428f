"""Alert rules for the agents themselves: no data, a backlog that grows, a quarantine that is not empty.

A rule knows no variables, wants numbers with `_time`, `_value` and labels, and is asked apart from any panel.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import Query, RelativeTimeRange, Rule
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.expr import (
    ExprTypeThresholdConditions,
    ExprTypeThresholdConditionsEvaluator,
    TypeReduce,
    TypeThreshold,
)

from pyagent.dashboards import flux
from pyagent.dashboards.boards import DATA_SOURCE
from pyagent.dashboards.panels import FluxQuery
from pyagent.dashboards.subjects import Destination, Subject

__all__ = ["FOLDER", "FOLDER_TITLE", "GROUP", "alert_rules"]

FOLDER, FOLDER_TITLE = "pyagent", "pyagent"
"""Of dashboards and rules: the identifier, and what people see."""
GROUP = "pyagent-health"
_EXPRESSION = DataSourceRef("__expr__", "__expr__")
_MINUTE, _DAY = 60, 24 * 3600
_LEAST_SILENCE = 120.0
"""Seconds; shorter ones are a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    name: str
    title: str
    query: str
    seconds: int
    """How far back the query looks."""
    above: float
    lasting: str
    """How long the condition holds before anybody is called."""
    summary: str
    description: str
    is_silence: bool = False
    """Whether no data is itself the alarm."""


def alert_rules(
    subjects: Sequence[Subject], destination: Destination, *, datasource: str = DATA_SOURCE
) -> list[Mapping[str, Any]]:
    """The rules that fit what there is, in the form of Grafana's API. Without inputs.internal only silence can be seen."""
    scope = flux.Scope.fixed(destination.bucket)
    return [_document(rule, datasource) for rule in _rules(subjects, scope)]


def _rules(subjects: Sequence[Subject], scope: flux.Scope) -> list[_Rule]:
    rules = []
    by_name = {one.name: (subject, one) for subject in reversed(subjects) for one in subject.measurements if one.fields}
    subject, measurement = by_name.get("internal_agent") or next(reversed(by_name.values()), (None, None))
    if subject is not None and measurement is not None:
        silence = max(_LEAST_SILENCE, 6 * subject.interval.seconds)
        rules.append(
            _Rule(
                name="no-data",
                title="An agent sends no data",
                query=_silence(scope, measurement.name, next(iter(measurement.fields))),
                seconds=_DAY,
                above=silence,
                lasting="1m",
                summary="{{ .Labels.host }} sends no data",
                description=f"The last {measurement.name} of {{{{ .Labels.host }}}} is older than {silence:g} s. On that host: "
                "pyagent doctor INSTANCE, or journalctl -u pyagent@INSTANCE. A host that is no more is forgotten after a day.",
                is_silence=True,
            )
        )
    if (found := by_name.get("internal_write")) and "buffer_size" in found[1].fields:
        rules.append(
            _Rule(
                name="backlog",
                title="An agent's backlog grows",
                query=_growth(scope, "internal_write", "buffer_size", found[1].tags),
                seconds=30 * _MINUTE,
                above=0,
                lasting="5m",
                summary="The backlog of {{ .Labels.host }} grows",
                description="More metrics wait for {{ .Labels.output }}{{ with .Labels.alias }} ({{ . }}){{ end }} every "
                "5 minutes: it is down, or slower than what is gathered. On that host: pyagent status --instance INSTANCE.",
            )
        )
    if (found := by_name.get("internal_agent")) and "metrics_quarantined" in found[1].fields:
        rules.append(
            _Rule(
                name="quarantine",
                title="An agent's quarantine is not empty",
                query=_latest(scope, "internal_agent", "metrics_quarantined"),
                seconds=15 * _MINUTE,
                above=0,
                lasting="1m",
                summary="{{ .Labels.host }} has metrics that a receiver refused",
                description="They wait for a decision. On that host: pyagent quarantine list --instance INSTANCE.",
            )
        )
    return rules


def _silence(scope: flux.Scope, measurement: str, field: str) -> str:
    """Seconds since each host was heard of; one that was not within a day is forgotten."""
    return "\n".join(
        [
            *scope.start(measurement, (field,), "  |> range(start: -1d)"),
            "  |> last()",
            '  |> group(columns: ["host"])',
            '  |> sort(columns: ["_time"])',
            "  |> last()",
            "  |> map(fn: (r) => ({r with _value: float(v: int(v: now()) - int(v: r._time)) / 1000000000.0}))",
            '  |> keep(columns: ["_time", "_value", "host"])',
        ]
    )


def _growth(scope: flux.Scope, measurement: str, field: str, tags: Mapping[str, str]) -> str:
    """The least growth from 5 minutes to 5 minutes, of whole ones only: above 0 where it never stopped growing."""
    labels = ["host", *(name for name in tags if name not in ("host", "version"))]
    return "\n".join(
        [
            'import "date"',
            "",
            *scope.start(measurement, (field,), "  |> range(start: -30m, stop: date.truncate(t: now(), unit: 5m))"),
            # What an agent wrote before it was upgraded is another series.
            f"  |> group(columns: [{', '.join(map(flux.quoted, labels))}])",
            "  |> aggregateWindow(every: 5m, fn: min, createEmpty: false)",
            "  |> difference()",
            "  |> min()",
            f"  |> keep(columns: [{', '.join(map(flux.quoted, ['_time', '_value', *labels]))}])",
        ]
    )


def _latest(scope: flux.Scope, measurement: str, field: str) -> str:
    return "\n".join(
        [
            *scope.start(measurement, (field,), "  |> range(start: -15m)"),
            "  |> last()",
            '  |> group(columns: ["host"])',
            '  |> sort(columns: ["_time"])',
            "  |> last()",
            '  |> keep(columns: ["_time", "_value", "host"])',
        ]
    )


def _document(rule: _Rule, datasource: str) -> Mapping[str, Any]:
    source = DataSourceRef("influxdb", datasource)
    limit = ExprTypeThresholdConditionsEvaluator(params=[rule.above], type_val="gt")
    reduce = TypeReduce(ref_id="B", datasource=_EXPRESSION, expression="A", reducer="last")
    threshold = TypeThreshold(
        ref_id="C", datasource=_EXPRESSION, expression="B", conditions=[ExprTypeThresholdConditions(evaluator=limit)]
    )
    reach = RelativeTimeRange(from_val=rule.seconds, to=0)
    model = Rule(
        uid=f"pyagent-{rule.name}",
        title=rule.title,
        condition="C",
        data=[
            Query(
                ref_id="A", datasource_uid=datasource, relative_time_range=reach, model=FluxQuery(rule.query, source)
            ),
            Query(ref_id="B", datasource_uid="__expr__", relative_time_range=reach, model=reduce),
            Query(ref_id="C", datasource_uid="__expr__", relative_time_range=reach, model=threshold),
        ],
        for_val=rule.lasting,
        no_data_state="Alerting" if rule.is_silence else "OK",
        exec_err_state="Error",
        folder_uid=FOLDER,
        rule_group=GROUP,
        org_id=1,
        annotations={"summary": rule.summary, "description": rule.description},
        labels={"source": "pyagent"},
    )
    document: Mapping[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return document
