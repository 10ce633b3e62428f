"""Textfiles of Prometheus, as of node_exporter.

Jobs write `NAME.prom` into a folder; all of them are read at each gather, with the times when they were written. One that
cannot be read costs only its own metrics.
"""

import os
import time
from collections.abc import Sequence
from typing import Annotated, Literal

from pyagent.api import (
    Accumulator,
    Duration,
    Field,
    Input,
    Measurement,
    Metric,
    MetricType,
    Options,
    ParseError,
    PyagentError,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.api.files import open_file, path_of, read_file, without_mark
from pyagent.kit.each import joined_failures
from pyagent.kit.exposition import MetricVersion, read
from pyagent.kit.globpath import match_files
from pyagent.kit.shown import quoted

__all__ = ["PrometheusTextfile", "PrometheusTextfileOptions"]

_FOLDER = "/var/lib/prometheus/node-exporter"
"""Of Debian's node_exporter."""
_MTIME, _ERROR = "node_textfile_mtime_seconds", "node_textfile_scrape_error"


class PrometheusTextfileOptions(Options, frozen=True):
    directories: Annotated[
        list[str], option(f"folders whose files `*.prom` are read; wildcards (none: {_FOLDER})", reads_path=True)
    ] = []
    metric_version: Annotated[
        Literal[1, 2],
        option("1: a measurement for each metric; 2: all in the measurement prometheus, a field for each"),
    ] = 1
    stale_after: Annotated[Duration, option("a file that is older is named in the log (0s: none is)", ge=0)] = Duration(
        "24h"
    )


class PrometheusTextfile(Input[PrometheusTextfileOptions]):
    measurements = (
        Measurement(
            _MTIME,
            "When each file that could be read was written.",
            tags={"file": "its path"},
            fields={"gauge": Field("float", "s", "since 1970")},
        ),
        Measurement(
            _ERROR,
            "Whether all could be read.",
            fields={"gauge": Field("float", "1", "1: a folder or a file could not be read; 0: all could")},
        ),
        Measurement(
            "prometheus",
            "What the files hold, and the two above as fields, with `metric_version = 2`; else each metric has a measurement "
            "of its own.",
            open=True,
        ),
    )

    def setup(self) -> None:
        self._version: MetricVersion = self.options.metric_version
        self._stale: set[str] = set()

    def origins(self) -> Sequence[str]:
        return [os.path.join(folder, "*.prom") for folder in self.options.directories or [_FOLDER]]

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        stale = set()
        for path in self._paths(failures):
            try:
                written = self._read(path, acc)
            except PyagentError as error:
                failures.append(error)
                continue
            if 0 < self.options.stale_after.seconds < time.time() - written:
                stale.add(path)
                if path not in self._stale:
                    self.log.warning(
                        "the textfile %s was not written for more than %s; look at the job that writes it",
                        quoted(path),
                        self.options.stale_after,
                    )
            elif path in self._stale:
                self.log.info("the textfile %s is written again", quoted(path))
        self._stale = stale
        acc.add_metrics([self._own(_ERROR, {}, float(bool(failures)))])
        if failures:
            raise joined_failures(failures)

    def _paths(self, failures: list[Exception]) -> list[str]:
        paths = []
        for pattern in self.options.directories or [_FOLDER]:
            try:
                folders = match_files(pattern)
            except ValueError as error:
                failures.append(PyagentError(str(error)))
                continue
            for folder in folders or [pattern]:
                try:
                    names = sorted(name for name in os.listdir(folder) if name.endswith(".prom"))
                except OSError as error:
                    failures.append(PyagentError(f"cannot read the folder {quoted(folder)}: {error.strerror}"))
                    continue
                paths += [path_of(os.path.join(folder, name), pattern) for name in names]
        return list(dict.fromkeys(paths))

    def _read(self, path: str, acc: Accumulator) -> float:
        """Adds what the file has, and returns when it was written, in seconds."""
        now = time.time_ns()
        try:
            with open_file(path) as file:
                written = os.fstat(file.fileno()).st_mtime
            metrics = read(without_mark(read_file(path)), self._version, now)
        except OSError as error:
            raise PyagentError(f"cannot read {quoted(path)}: {error.strerror}") from None
        except (ParseError, TooMuch) as error:
            raise PyagentError(f"cannot parse {quoted(path)}: {error}") from None
        if any(metric.time != now for metric in metrics):
            # As in node_exporter: a file that nobody writes any more would look like one that is.
            raise PyagentError(f"cannot use {quoted(path)}: its metrics have times; write them without")
        acc.add_metrics([*metrics, self._own(_MTIME, {"file": str(path)}, written)])
        return written

    def _own(self, name: str, tags: dict[str, str], value: float) -> Metric:
        where, field = (name, "gauge") if self._version == 1 else ("prometheus", name)
        return Metric(where, tags, {field: value}, time.time_ns(), MetricType.GAUGE)
