"""The queries of panels, variables and alert rules, as Grafana's data source wants them.

Grafana's server replaces `v.timeRangeStart`, `v.timeRangeStop`, `v.windowPeriod` and `v.defaultBucket`, whatever word is
before the point: tags are therefore written `r["bucket"]`, never `r.bucket`. The page replaces `${host:regex}`, which is
escaped, and is `.*` for All, and `${bucket:doublequote}`, which is in quotes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ALL", "Scope", "bucket_variable", "host_variable", "last_report", "numbers", "quoted", "series", "texts"]

ALL = ".*"
"""What All is in a pattern: also series without the tag."""
_RANGE = "  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)"
_WINDOW = "  |> aggregateWindow(every: v.windowPeriod, fn: {fn}, createEmpty: false)"
_ALL_TAGS: Mapping[str, str] = MappingProxyType({})
_DROP = '  |> drop(columns: ["_start", "_stop", "_measurement"])'
_RATE = "  |> derivative(unit: 1s, nonNegative: true)"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data: `bucket` is an expression, `host` a condition on `r` or empty."""

    bucket: str
    host: str = ""

    @classmethod
    def of_variables(cls) -> "Scope":
        return cls("${bucket:doublequote}", 'r["host"] =~ /^${host:regex}$/')

    @classmethod
    def fixed(cls, bucket: str = "", host: str = "") -> "Scope":
        """Without variables. `bucket`: its name, empty for the data source's default; `host`: empty for all."""
        return cls(quoted(bucket) if bucket else "v.defaultBucket", f'r["host"] == {quoted(host)}' if host else "")

    def start(self, measurement: str, fields: Sequence[str], time: str = _RANGE) -> list[str]:
        lines = [f"from(bucket: {self.bucket})", time, _filter(f"r._measurement == {quoted(measurement)}")]
        if fields:
            lines.append(_filter(" or ".join(f"r._field == {quoted(name)}" for name in fields)))
        return [*lines, *([_filter(self.host)] if self.host else [])]


def quoted(text: str) -> str:
    """A text literal of Flux, in which `${` would begin an expression."""
    for one, other in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("${", "\\${")):
        text = text.replace(one, other)
    return f'"{text}"'


def series(
    scope: Scope,
    measurement: str,
    fields: Sequence[str],
    tags: Iterable[str],
    *,
    only: Mapping[str, str] = _ALL_TAGS,
    rate: bool = False,
    fn: str = "mean",
    all_tags: bool = False,
) -> str:
    """Numbers (or with `fn="last"` anything) over time, a series for each field and values of the tags. `all_tags`: there are
    more than those, which tell series apart as well."""
    lines = scope.start(measurement, fields)
    lines += [_filter(f"r[{quoted(name)}] == {quoted(value)}") for name, value in only.items()]
    tags = [name for name in tags if name not in only]
    kept = _DROP if all_tags else _keep("_time", "_value", "_field", *tags)
    return "\n".join([*lines, *([_RATE] if rate else []), _WINDOW.format(fn=fn), kept])


def numbers(scope: Scope, measurement: str, known: Iterable[str]) -> str:
    """The fields that no declaration names, as far as they are numbers; all tags stay, as they are not known either."""
    lines = scope.start(measurement, ())
    if names := list(known):
        lines.append(_filter(" and ".join(f"r._field != {quoted(name)}" for name in names)))
    lines.append(_filter("types.isNumeric(v: r._value)"))
    return "\n".join(
        [
            'import "types"',
            "",
            *lines,
            _WINDOW.format(fn="mean"),
            _DROP,
        ]
    )


def texts(scope: Scope, measurement: str, fields: Sequence[str], tags: Iterable[str]) -> str:
    """The last values of fields that are texts: a table, as it has no time."""
    lines = scope.start(measurement, fields)
    return "\n".join(
        [
            *lines,
            "  |> last()",
            _keep("_field", "_value", *tags),
            '  |> rename(columns: {_field: "field", _value: "value"})',
            "  |> group()",
            "  |> limit(n: 100)",
        ]
    )


def last_report(scope: Scope, measurement: str, field: str) -> str:
    """When each host was heard of last: a table, as it has no value."""
    lines = scope.start(measurement, (field,))
    return "\n".join(
        [
            *lines,
            "  |> last()",
            '  |> group(columns: ["host"])',
            '  |> sort(columns: ["_time"])',
            "  |> last()",
            _keep("_time", "host"),
            '  |> rename(columns: {_time: "last report"})',
            "  |> group()",
            '  |> sort(columns: ["host"])',
        ]
    )


def bucket_variable(default: str = "") -> str:
    """The buckets that can be read, the default first: a dashboard takes the first where its address names none."""
    first = quoted(default) if default else "v.defaultBucket"
    return "\n".join(
        [
            "buckets()",
            _filter("r.name !~ /^_/"),
            f"  |> map(fn: (r) => ({{name: r.name, turn: if r.name == {first} then 0 else 1}}))",
            "  |> group()",
            '  |> sort(columns: ["turn", "name"])',
            '  |> keep(columns: ["name"])',
        ]
    )


def host_variable(bucket: str, measurements: Sequence[str]) -> str:
    """The hosts that wrote any of the measurements in the dashboard's time; without a start it would be 30 days."""
    condition = " or ".join(f"r._measurement == {quoted(name)}" for name in measurements)
    return "\n".join(
        [
            'import "influxdata/influxdb/schema"',
            "",
            "schema.tagValues(",
            f"    bucket: {bucket},",
            '    tag: "host",',
            f"    predicate: (r) => {condition},",
            "    start: v.timeRangeStart,",
            ")",
        ]
    )


def _filter(condition: str) -> str:
    return f"  |> filter(fn: (r) => {condition})"


def _keep(*columns: str) -> str:
    return f"  |> keep(columns: [{', '.join(map(quoted, dict.fromkeys(columns)))}])"
