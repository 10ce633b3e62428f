"""Runs checks that were written for Datadog.

A check runs in a thread of its own, or with `isolate` in a process of its own, which is ended when it hangs or takes too much
memory. What it submits becomes metrics as the Datadog Agent would compute them.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import msgspec

from pyagent.api import ConfigError, Measurement, Options, option
from pyagent.kit.foreign_settings import mask_settings
from pyagent.kit.guest_input import GuestInput, GuestOptions
from pyagent.kit.origins import module_file, origin_of_module
from pyagent_plugins.inputs.datadog_check.configuration import settings
from pyagent_plugins.inputs.datadog_check.metadata import file_beside, read_metadata

__all__ = ["DatadogCheck", "DatadogCheckOptions"]


class DatadogCheckOptions(GuestOptions, frozen=True):
    check: Annotated[
        str, option("a module (`datadog_checks.redisdb`), a class (`my_module:MyCheck`) or a file", executes=True)
    ] = ""
    module_path: Annotated[list[str], option("folders in which modules are looked for first", executes=True)] = []
    conf: Annotated[
        str, option("the check's conf.yaml of the Datadog Agent, in place of the next two", reads_path=True)
    ] = ""
    init_config: Annotated[dict[str, Any], option("settings for all instances of the check", holds_secrets=True)] = {}
    instances: Annotated[
        list[dict[str, Any]], option("settings of each instance; without any there is one", holds_secrets=True)
    ] = []
    metadata: Annotated[
        str, option("the check's metadata.csv, for dashboards (empty: one beside the check, if any)", reads_path=True)
    ] = ""
    naming: Annotated[
        Literal["split", "check", "metric"],
        option("`redis.net.clients`: measurement `redis_net`, `redis` (the check's name) or as it is"),
    ] = "split"
    histogram_aggregates: Annotated[
        list[str], option("what becomes of the values of a histogram: max, min, median, avg, sum, count")
    ] = msgspec.field(default_factory=lambda: ["max", "median", "avg", "count"])
    histogram_percentiles: Annotated[list[float], option("percentiles of a histogram, as fractions", gt=0, le=1)] = (
        msgspec.field(default_factory=lambda: [0.95])
    )


class DatadogCheck(GuestInput[DatadogCheckOptions]):
    keeps_times = ("datadog_event",)
    measurements = (Measurement("NAME", "what the check submits, under the names that naming makes", open=True),)

    def setup(self) -> None:
        options = self.options
        if not options.check:
            raise ConfigError('there is no check; name one, as "datadog_checks.redisdb"', option="check")
        unknown = set(options.histogram_aggregates) - {"max", "min", "median", "avg", "sum", "count"}
        if unknown:
            raise ConfigError(f"there is no aggregate {min(unknown)!r}", option="histogram_aggregates")
        if find_spec("datadog_checks") is None or find_spec("datadog_checks.base") is None:
            raise ConfigError(
                "the Python library 'datadog_checks.base' is missing; pip install 'pyagent-telemetry[datadog]'",
                option="check",
            )
        init_config, instances = settings(options.conf, options.init_config, options.instances)
        mask_settings([init_config, instances])
        module = str(options.check) if options.check.endswith(".py") else str(options.check).partition(":")[0]
        name = module.removeprefix("datadog_checks.").partition(".")[0]
        package = f"datadog-{name}" if module.startswith("datadog_checks.") else name
        folders = _folders(options)
        self._origin = origin_of_module(module, folders, package=package)
        self._file, found = module_file(module, folders)
        self._name = (
            os.path.splitext(os.path.basename(module))[0] if module.endswith(".py") else found.rpartition(".")[2]
        )
        given = {
            "check": str(options.check),
            "module_path": folders,
            "isolated": options.isolate,
            "init_config": init_config,
            "instances": instances,
            "naming": options.naming,
            "aggregates": options.histogram_aggregates,
            "percentiles": options.histogram_percentiles,
        }
        self.host("pyagent_plugins.inputs.datadog_check.guest:make", given, what=f"the check {options.check!r}")

    @classmethod
    def read_at_start(cls, options: Options) -> Sequence[str]:
        assert isinstance(options, DatadogCheckOptions)
        check = str(options.check)
        # A module of the agent's own Python stays the one that it is until the agent ends.
        code = module_file(check.partition(":")[0] if not check.endswith(".py") else check, _folders(options))[0]
        return [*filter(None, [options.conf, code if options.isolate or check.endswith(".py") else ""])]

    def ask_measurements(self) -> Sequence[Measurement]:
        """What the check's metadata.csv says, in all that `naming` makes of its names."""
        from pyagent_plugins.inputs.datadog_check.guest import place

        path = self.options.metadata or file_beside(self._file)
        if not path:
            self.log.warning(
                "the check %s has no metadata.csv beside it; name that of its integration by `metadata`",
                self.options.check,
            )
            return ()
        return read_metadata(path, lambda name: place(name, self.options.naming, self._name))

    def origins(self) -> Sequence[str]:
        return (self._origin,)


def _folders(options: DatadogCheckOptions) -> list[str]:
    return [str(path) for path in options.module_path]
