"""Prometheus' text format: a sample for each numeric field, those of one name together.

The name of a sample is measurement and field, joined by `_` (the field alone for the measurement `prometheus`); tags are its
labels. Samples of one name stand together, so there are no records: a batch is serialized as a whole. Of several values of
one series in a batch the latest counts. Text fields are left out, or labels.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pyagent.api import Metric, Options, Serializer, option
from pyagent.kit.prometheus import Families, MetricTypes, Names, encoded, header, samples

__all__ = ["Prometheus", "PrometheusOptions"]


class PrometheusOptions(Options, frozen=True):
    prometheus_export_timestamp: Annotated[bool, option("write the time of each sample, in milliseconds")] = False
    prometheus_sort_metrics: Annotated[bool, option("sort by name and labels")] = False
    prometheus_string_as_label: Annotated[bool, option("make labels of text fields, which are left out else")] = False
    prometheus_compact_encoding: Annotated[bool, option("leave out the HELP lines")] = False
    prometheus_name_sanitization: Annotated[
        Literal["", "legacy", "utf8"],
        option(
            "how characters that no name may have are replaced; legacy also drops them at both ends (empty: legacy)"
        ),
    ] = ""
    prometheus_metric_types: Annotated[MetricTypes, option("types of metrics, in place of their own")] = MetricTypes()


class Prometheus(Serializer[PrometheusOptions]):
    whole_batch = True

    def setup(self) -> None:
        options = self.options
        self._kind = options.prometheus_metric_types.rule("prometheus_metric_types")
        self._names = Names(utf8=options.prometheus_name_sanitization == "utf8")

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        options = self.options
        families = Families(self._names, self._kind, string_as_label=options.prometheus_string_as_label)
        for metric in metrics:
            families.add(metric)
        lines: list[str] = []
        for key in sorted(families) if options.prometheus_sort_metrics else families:
            series = list(families[key].values())
            if options.prometheus_sort_metrics:
                series.sort(key=lambda one: (len(one.labels), one.labels))
            lines += header(*key, described=not options.prometheus_compact_encoding)
            lines += samples(*key, series, timestamps=options.prometheus_export_timestamp)
        return encoded(lines)
