"""What there is to see: the measurements that the inputs of a configuration write, or those of all installed plugins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pyagent.api import Chart, ConfigError, Duration, FieldValue, Input, Measurement, Metric, Plugin
from pyagent.config.catalog import Catalog, about
from pyagent.config.plan import FilterOptions, InputPlan, Plan, PluginPlan, ProcessorPlan
from pyagent.pipeline.filters import Selection

__all__ = ["Destination", "Subject", "destination_of", "subjects_of_catalog", "subjects_of_plan"]


_NOBODY: Mapping[str, Sequence[Measurement]] = MappingProxyType({})
_ANY_NAME = "NAME"
"""The measurement that inputs declare whose measurements have names of the data."""
_USUAL = Duration("10s")
"""The agent's interval where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What one plugin writes."""

    name: str
    """The plugin's: `mem`."""
    text: str = ""
    """What it is for, in a sentence."""
    measurements: Sequence[Measurement]
    """With the names, the fields and the tags that they have in the bucket."""
    interval: Duration = _USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the data are; what is not known is empty."""

    url: str = ""
    organization: str = ""
    bucket: str = ""


def subjects_of_catalog(catalog: Catalog) -> tuple[list[Subject], list[str]]:
    """Of all inputs that declare measurements; and a message for each that cannot be used."""
    found, problems = [], []
    for entry in catalog.entries("inputs"):
        try:
            plugin = catalog.load(entry)
            declared = _named(_declared(entry.label, plugin))
        except ConfigError as error:
            problems.append(str(error))
            continue
        if declared:
            found.append(Subject(name=entry.name, text=_sentence(about(plugin)), measurements=_joined(declared)))
    return found, problems


def subjects_of_plan(
    plan: Plan, asked: Mapping[str, Sequence[Measurement]] = _NOBODY
) -> tuple[list[Subject], list[str]]:
    """Of the inputs of a configuration that declare measurements, one for each plugin; and a message for each that cannot be
    used. `asked`: what inputs say that they write, by identity."""
    outputs = [_selection(output) for output in plan.outputs if output.name == "influxdb_v2"]
    found: dict[str, Subject] = {}
    problems = []
    for one in plan.inputs:
        try:
            declared = _declared(f"inputs.{one.name}", one.plugin, asked.get(one.identity, ()))
        except ConfigError as error:
            problems.append(str(error))
            continue
        if not one.name_override:
            declared = _named(declared)
        selection = _selection(one)
        here = [_as_written(measurement, one, selection) for measurement in declared]
        named = [_renamed(each, plan.processors) for each in here if each is not None]
        kept = [each for each in named if _is_written(each, outputs)]
        if not kept:
            continue
        before = found.get(one.name)
        found[one.name] = Subject(
            name=one.name,
            text=_sentence(about(one.plugin)),
            measurements=_joined([*(before.measurements if before else ()), *kept]),
            interval=max(one.interval, before.interval) if before else one.interval,
        )
    return list(found.values()), list(dict.fromkeys(problems))


def _declared(label: str, plugin: type[Plugin[Any]], asked: Sequence[Measurement] = ()) -> list[Measurement]:
    """What an input declares, or has said where it was asked. That may be anybody's code: raises ConfigError where it is no
    declaration."""
    if not issubclass(plugin, Input):
        return []
    try:
        return [
            replace(
                one,
                name=str(one.name),
                text=str(one.text),
                tags={str(name): str(text) for name, text in one.tags.items()},
                fields={
                    str(name): replace(
                        of, unit=str(of.unit), text=str(of.text), counter=bool(of.counter), label=str(of.label)
                    )
                    for name, of in one.fields.items()
                },
                charts=tuple(replace(chart, title=str(chart.title)) for chart in one.charts if chart.fields),
            )
            for one in asked or plugin.measurements
        ]
    except Exception as error:
        raise ConfigError(
            f"cannot make a dashboard of {label}: its measurements are no declarations ({type(error).__name__}: {error}); "
            "declare them as docs/writing-plugins.md says"
        ) from None


def _named(declared: Iterable[Measurement]) -> list[Measurement]:
    """Without what stands for names that are known when data come: no query finds it."""
    return [one for one in declared if one.name != _ANY_NAME]


def destination_of(plan: Plan) -> tuple[Destination, list[str]]:
    """The first InfluxDB that a configuration writes to; and the other buckets, which a dashboard offers as well."""
    found = [
        Destination(
            url=_address(next(iter(getattr(one.options, "urls", [])), "")),
            organization=str(getattr(one.options, "organization", "")),
            bucket=str(getattr(one.options, "bucket", "")),
        )
        for one in plan.outputs
        if one.name == "influxdb_v2"
    ]
    if not found:
        return Destination(), []
    return found[0], sorted({one.bucket for one in found[1:]} - {found[0].bucket, ""})


def _selection(plan: PluginPlan) -> Selection:
    """What can be said of names and fields before there are metrics."""
    filters = plan.filters
    return Selection(
        FilterOptions(
            namepass=filters.namepass,
            namepass_separator=filters.namepass_separator,
            namedrop=filters.namedrop,
            namedrop_separator=filters.namedrop_separator,
            fieldinclude=filters.fieldinclude,
            fieldexclude=filters.fieldexclude,
            taginclude=filters.taginclude,
            tagexclude=filters.tagexclude,
        )
    )


def _as_written(measurement: Measurement, plan: InputPlan, selection: Selection) -> Measurement | None:
    """As it is in the bucket; None where the input's filters leave nothing of it."""
    fields: dict[str, FieldValue] = dict.fromkeys(measurement.fields or {"value"}, 0)
    tags = dict.fromkeys([*measurement.tags, *plan.tags], "x")
    passing = selection.select([Metric(measurement.name, tags, fields, 0)])
    name = f"{plan.name_prefix}{plan.name_override or measurement.name}{plan.name_suffix}"
    kept = selection.modify([Metric(name, one.tags, one.fields, 0) for one in passing])
    if not kept:
        return None
    texts = dict(measurement.tags)
    return replace(
        measurement,
        name=name,
        fields={key: field for key, field in measurement.fields.items() if key in kept[0].fields},
        tags={key: texts.get(key, "") for key in kept[0].tags},
        charts=tuple(_charts(measurement, kept[0].fields)),
    )


def _renamed(measurement: Measurement, processors: Sequence[ProcessorPlan]) -> Measurement:
    """As processors.override leaves it; what others make of it is not known before there are metrics."""
    for one in processors:
        if one.name != "override" or one.is_external:
            continue
        metric = Metric(measurement.name, dict.fromkeys(measurement.tags, "x"), {"value": 0}, 0)
        if _selection(one).select([metric]):
            options: Any = one.options
            name = f"{options.name_prefix}{options.name_override or measurement.name}{options.name_suffix}"
            measurement = replace(measurement, name=name, tags={**measurement.tags, **dict.fromkeys(options.tags, "")})
    return measurement


def _charts(measurement: Measurement, fields: Iterable[str]) -> Iterator[Chart]:
    """With the fields that are left; one that shows nothing of its own any more is left out."""
    known, shown = set(fields), set[str]()
    if measurement.open:
        known |= {name for chart in measurement.charts for name in chart.fields} - measurement.fields.keys()
    for chart in measurement.charts:
        left = tuple(name for name in chart.fields if name in known)
        if left and (left == chart.fields or not shown.issuperset(left)):
            shown.update(left)
            yield replace(chart, fields=left)


def _is_written(measurement: Measurement, outputs: Sequence[Selection]) -> bool:
    """Without any InfluxDB in the configuration, elsewhere perhaps."""
    metric = Metric(measurement.name, {}, {"value": 0}, 0)
    return not outputs or any(output.select([metric]) for output in outputs)


def _joined(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Those of one name made one: two inputs of a plugin may write different fields."""
    found: dict[str, Measurement] = {}
    for one in measurements:
        if before := found.get(one.name):
            charts = {chart.title: chart for chart in (*before.charts, *one.charts)}
            one = replace(
                before,
                fields={**before.fields, **one.fields},
                tags={**before.tags, **one.tags},
                open=before.open or one.open,
                charts=tuple(charts.values()),
            )
        found[one.name] = one
    return list(found.values())


def _address(url: str) -> str:
    """Without a path of the API, a user and a password; empty for what is no address for others, such as a socket."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    path = parts.path.split("/api/v2", 1)[0].rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def _sentence(text: str) -> str:
    first = " ".join(text.split("\n\n", 1)[0].split())
    return first.split(". ", 1)[0].rstrip(".:")
