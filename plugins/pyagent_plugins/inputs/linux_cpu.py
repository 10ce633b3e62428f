"""Frequencies of processors, and slowdowns by heat.

/sys/devices/system/cpu. Names and types are those of Telegraf 1.40.
"""

import os
import re
from collections.abc import Iterable
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.procfs import host_path, read_bytes

__all__ = ["LinuxCpu", "LinuxCpuOptions"]

_METRICS = ("cpufreq", "thermal")


class LinuxCpuOptions(Options, frozen=True):
    host_sys: Annotated[str, option("the file system sysfs ('': $HOST_SYS, else /sys)", reads_path=True)] = ""
    metrics: Annotated[
        list[str] | None,
        option(
            "what to read: cpufreq (frequencies), thermal (how often heat slowed a processor down); default: cpufreq"
        ),
    ] = None

    def remarks(self) -> Iterable[tuple[str, str]]:
        for name in self.metrics or ():
            if name not in _METRICS:
                yield "metrics", f"has {name!r}, which there is not; there are {' and '.join(_METRICS)}"


_FILES = {
    "cpufreq": {
        "scaling_cur_freq": "cpufreq/scaling_cur_freq",
        "scaling_min_freq": "cpufreq/scaling_min_freq",
        "scaling_max_freq": "cpufreq/scaling_max_freq",
        "cpuinfo_cur_freq": "cpufreq/cpuinfo_cur_freq",
        "cpuinfo_min_freq": "cpufreq/cpuinfo_min_freq",
        "cpuinfo_max_freq": "cpufreq/cpuinfo_max_freq",
    },
    "thermal": {
        "throttle_count": "thermal_throttle/core_throttle_count",
        "throttle_max_time": "thermal_throttle/core_throttle_max_time_ms",
        "throttle_total_time": "thermal_throttle/core_throttle_total_time_ms",
    },
}
_OPTIONAL = "cpuinfo_"
"""Not every driver has these, or lets everybody read them."""


class LinuxCpu(Input[LinuxCpuOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "linux_cpu",
            "One processor.",
            tags={"cpu": "its number"},
            fields=fields(
                "uint",
                "kHz",
                scaling_cur_freq="frequency, as the kernel sets it",
                scaling_min_freq="the lowest that it may set",
                scaling_max_freq="the highest that it may set",
                cpuinfo_cur_freq="frequency, as the processor says",
                cpuinfo_min_freq="the lowest that it can have",
                cpuinfo_max_freq="the highest that it can have",
            )
            | counters("uint", "1", throttle_count="how often heat slowed it down, with thermal")
            | counters("uint", "ms", throttle_total_time="how long in all, with thermal")
            | fields("uint", "ms", throttle_max_time="how long at most, with thermal"),
            charts=(Chart("Frequency", ("scaling_cur_freq",)),),
        ),
    )

    def setup(self) -> None:
        metrics = ["cpufreq"] if self.options.metrics is None else self.options.metrics
        if not metrics:
            raise ConfigError("cannot read processors: metrics is empty; name cpufreq or thermal", option="metrics")
        folder = os.path.join(self.options.host_sys or host_path("sys"), "devices/system/cpu")
        self._files = self._found(folder, metrics)
        if not self._files:
            raise ConfigError(
                f"cannot read processors: {folder} has none with {' and '.join(metrics)}; a virtual machine has"
                " no frequencies, remove the input there",
                option="metrics",
            )

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: cpuinfo_cur_freq asks each processor.
        failures = []
        for cpu, files in self._files.items():
            try:
                acc.add("linux_cpu", {name: _read(path) for name, path in files.items()}, {"cpu": cpu})
            except PyagentError as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    def _found(self, folder: str, metrics: list[str]) -> dict[str, dict[str, str]]:
        """The files of each processor; those where one is missing are left out, with a warning."""
        try:
            names = sorted(name for name in os.listdir(folder) if re.match("cpu[0-9]", name))
        except OSError as error:
            advice = "; see `host_sys` and HOST_SYS" if isinstance(error, FileNotFoundError) else ""
            raise ConfigError(f"cannot read {folder}: {error.strerror}{advice}", option="host_sys") from None
        found = {}
        for name in names:
            files: dict[str, str] = {}
            for metric in dict.fromkeys(metrics):
                for field, file in _FILES.get(metric, {}).items():
                    path = os.path.join(folder, name, file)
                    cause = _why_not(path)
                    if not cause:
                        files[field] = path
                    elif not field.startswith(_OPTIONAL):
                        self.log.warning("cannot read %s: %s; %s is left out", path, cause, name)
                        break
                else:
                    continue
                break
            else:
                if files:
                    found[name.removeprefix("cpu")] = files
        return found


def _why_not(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _read(path: str) -> Uint:
    data = read_bytes(path)
    text = data.decode("utf-8", "backslashreplace")
    value = parse_unsigned(text.removesuffix("\n"))
    if value is None or not data.endswith(b"\n"):
        cause = f"no number without a sign but {text[:80]!r}" if data else "empty"
        raise PyagentError(f"cannot read {path}: line 1: it is {cause}")
    return Uint(value)
