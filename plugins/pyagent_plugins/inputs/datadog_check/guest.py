"""The checks, where they are at home: called by `pyagent.kit.guests`. Everything of Datadog's is imported here."""

import copy
import importlib
import importlib.util
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from pyagent.api import MetricType, PyagentError
from pyagent.api.foreign import describe
from pyagent.kit.each import joined_failures
from pyagent.kit.guest_modules import GuestModules
from pyagent.kit.guests import GuestAccumulator
from pyagent.kit.libraries import how_to_install
from pyagent_plugins.inputs.datadog_check import agent_modules
from pyagent_plugins.inputs.datadog_check.aggregates import Aggregates
from pyagent_plugins.inputs.datadog_check.events import EventTimes

__all__ = ["Checks", "make", "place", "tags_of"]

_MOST_HELD = 10_000
"""Events, service checks and metadata of one gather."""
_EARLY = 0.5
"""Seconds by which a gather may come before min_collection_interval has passed: a timer is never exact."""
_LONGEST = 10_000
"""Characters of a message; what shows it cuts it when secrets are masked."""
_serial = itertools.count(1)


def make(given: dict[str, Any], log: logging.Logger) -> "Checks":
    return Checks(given, log)


class Checks:
    """All instances of one check."""

    def __init__(
        self, given: Mapping[str, Any], log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        agent_modules.install()
        self._modules = _modules_of(given)
        with self._modules.finds():
            self._class, name, self._file = load(given["check"], self._modules)
        times = EventTimes()
        self._instances = [
            _Instance(self._class, name, given, instance, log, clock, times) for instance in given["instances"]
        ]

    def gather(self, acc: GuestAccumulator) -> None:
        with self._modules.finds():
            self._gather(acc)

    def _gather(self, acc: GuestAccumulator) -> None:
        failures: list[Exception] = []
        for instance in self._instances:
            try:
                instance.gather(acc)
            except PyagentError as error:
                failures.append(error)
            except BaseException as error:
                failures.append(PyagentError(describe(error, (self._file,))))
        if failures:
            raise joined_failures(failures)

    def stop(self) -> None:
        for instance in self._instances:
            instance.stop()


class _Instance:
    """One instance, and what it submits: the sink of `agent_modules`."""

    def __init__(
        self,
        check_class: type[Any],
        name: str,
        given: Mapping[str, Any],
        instance: Mapping[str, Any],
        log: logging.Logger,
        clock: Callable[[], float],
        times: EventTimes,
    ) -> None:
        self._times = times
        self._class, self._name, self._log, self._clock = check_class, name, log, clock
        self._naming: str = given["naming"]
        self._init_config = copy.deepcopy(given["init_config"])
        self._settings = dict(copy.deepcopy(instance))
        for table in (self._init_config, self._settings):
            table.pop("process_isolation", None)  # it is the input's to say
        common = self._init_config | self._settings
        self._interval = float(common.get("min_collection_interval") or 0)
        self._hides_host = str(common.get("empty_default_hostname", "")).lower() in ("true", "yes", "1")
        service = common.get("service")
        self._tags = [str(tag) for tag in self._settings.get("tags") or []] + (
            [f"service:{service}"] if service else []
        )
        self._aggregates = Aggregates(given["aggregates"], given["percentiles"], clock)
        self._lock = threading.Lock()
        self._held: list[tuple[str, dict[str, Any], dict[str, str], int | None]] = []
        self._metadata: dict[str, Any] = {}
        self._id = f"{name}:{next(_serial):x}"
        self._check: Any = None
        self._last: float | None = None

    def gather(self, acc: GuestAccumulator) -> None:
        now = self._clock()
        if self._last is not None and now + _EARLY < self._last + self._interval:
            return
        self._last = now
        if self._check is None:
            self._check = self._made()
        try:
            report = self._check.run()
            # The warnings are logged already; nobody else takes them away.
            self._check.get_warnings()
        finally:
            self._flush(acc)
        if report:
            raise PyagentError("; ".join(_messages(report)))

    def stop(self) -> None:
        if self._check is not None:
            try:
                self._check.cancel()
            finally:
                agent_modules.unregister(self._id)

    def _made(self) -> Any:
        agent_modules.register(self._id, self, self._log.getEffectiveLevel())
        try:
            check = self._class(name=self._name, init_config=self._init_config, instances=[self._settings])
        except TypeError as error:
            # Of the Agent before version 6.
            try:
                check = self._class(
                    name=self._name, init_config=self._init_config, agentConfig={}, instances=[self._settings]
                )
            except TypeError:
                raise error from None
        check.check_id = self._id
        check.provider = "file"
        return check

    def metric(self, kind: int, name: str, value: float, tags: Sequence[str], host: str, flush_first: bool) -> None:
        self._aggregates.sample(kind, name, value, [*tags, *self._tags] if self._tags else tags, host, flush_first)

    def bucket(
        self,
        name: str,
        count: float,
        bounds: tuple[float, float],
        monotonic: bool,
        host: str,
        tags: Sequence[str],
        flush_first: bool,
    ) -> None:
        self._aggregates.bucket(name, count, bounds, monotonic, [*tags, *self._tags], host, flush_first)

    def service_check(self, name: str, status: int, tags: Sequence[str], host: str, message: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a service check is a text, and not {name!r:.80}")
        measurement, field = place(name, self._naming, self._name)
        fields: dict[str, Any] = {field: int(status)}
        if message:
            fields[f"{field}_message"] = message
        self._hold(measurement, fields, self._tagged(tags, host))

    def event(self, event: dict[str, Any]) -> None:
        tags = self._tagged(event.get("tags") or [], event.get("host") or "")
        tags["check"] = self._name
        for key in ("alert_type", "priority", "source_type_name", "event_type"):
            if event.get(key):
                tags[key] = str(event[key])
        fields = {"title": str(event.get("msg_title", "")), "text": str(event.get("msg_text", ""))}
        if event.get("aggregation_key"):
            fields["aggregation_key"] = str(event["aggregation_key"])
        with self._lock:
            when = self._times.of(event.get("timestamp"), tags, fields)
        self._hold("datadog_event", fields, tags, when)

    def metadata(self, name: str, value: str) -> None:
        with self._lock:
            if len(self._metadata) < _MOST_HELD:
                self._metadata[name.replace(".", "_")] = str(value)

    def log(self, level: int, text: str) -> None:
        if not self._log.isEnabledFor(level):
            return
        check = self._check
        self._log.log(level, "%s", check.sanitize(text) if check is not None else text)

    def _hold(self, measurement: str, fields: dict[str, Any], tags: dict[str, str], when: int | None = None) -> None:
        with self._lock:
            if len(self._held) < _MOST_HELD:
                self._held.append((measurement, fields, tags, when))

    def _flush(self, acc: GuestAccumulator) -> None:
        groups: dict[tuple[str, tuple[str, ...], str, bool], dict[str, Any]] = {}
        for name, suffix, value, tags, host, is_gauge in self._aggregates.flush():
            measurement, field = place(name, self._naming, self._name)
            key = (measurement, tags, host, is_gauge)
            groups.setdefault(key, {})[f"{field}_{suffix}" if suffix else field] = value
        for (measurement, tags, host, is_gauge), fields in groups.items():
            kind = MetricType.GAUGE if is_gauge else MetricType.UNTYPED
            acc.add(measurement, fields, self._tagged(tags, host, own=False), kind=kind)
        with self._lock:
            held, self._held = self._held, []
            metadata, self._metadata = self._metadata, {}
        if metadata:
            held.append(("datadog_metadata", metadata, self._tagged([], "") | {"check": self._name}, None))
        for measurement, fields, texts, when in held:
            acc.add(measurement, fields, texts, when)

    def _tagged(self, tags: Iterable[str], host: str, own: bool = True) -> dict[str, str]:
        texts = tags_of([*(tags or ()), *(self._tags if own else ())])
        if host or self._hides_host:
            texts["host"] = host
        return texts


def place(name: str, naming: str, check: str) -> tuple[str, str]:
    """Measurement and field of a metric of Datadog's."""
    if naming == "metric":
        return name, "value"
    head, _, last = name.rpartition(".")
    if naming == "check" or not head:
        return check, name.removeprefix(f"{check}.").replace(".", "_")
    return head.replace(".", "_"), last


def tags_of(tags: Iterable[str]) -> dict[str, str]:
    """`key:value` as tags. One without a value is `true`; several values of a key are joined by commas."""
    found: dict[str, list[str]] = {}
    for tag in tags:
        key, colon, value = tag.partition(":")
        values = found.setdefault(key, [])
        if (text := value if colon else "true") not in values:
            values.append(text)
    return {key: ",".join(sorted(values)) for key, values in found.items() if key}


_shared: dict[tuple[tuple[str, ...], tuple[str, ...]], GuestModules] = {}
"""By the folders: those of the same ones have the same modules, as they would in Python."""
_sharing = threading.Lock()


def _modules_of(given: Mapping[str, Any]) -> GuestModules:
    check = given["check"]
    folders = tuple(given["module_path"])
    # The modules beside a file come last: many a check is called as the library that it imports.
    last = (os.path.dirname(os.path.abspath(check)),) if check.endswith(".py") else ()
    if given["isolated"]:
        return GuestModules(folders, last, alone=True)
    with _sharing:
        return _shared.setdefault((folders, last), GuestModules(folders, last))


def load(check: str, modules: GuestModules) -> tuple[type[Any], str, str]:
    """The class of a check, the check's name, and its file. Raises PyagentError where there is none, or are several."""
    place, _, class_name = check.partition(":") if not check.endswith(".py") else (check, "", "")
    parts = [] if check.endswith(".py") else place.split(".")
    names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} - {"datadog_checks"}
    try:
        with modules.imports(*names):
            module = _module(place, modules)
            if module is None:
                place, _, class_name = place.rpartition(".")
                module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name not in names:
            raise  # it is there, and something that it needs is not
        raise PyagentError(_no_module(place if place.startswith("datadog_checks.") else error.name or place)) from None
    found, name = _class_of(module, place, class_name)
    return found, name, getattr(module, "__file__", None) or ""


def _no_module(place: str) -> str:
    package, _, rest = place.partition(".")
    check = rest.partition(".")[0]
    if package != "datadog_checks" or not check:
        return f"there is no module {place!r}; name its folder by module_path"
    # The packages of these names on PyPI are empty.
    command = how_to_install(place, f"git+https://github.com/DataDog/integrations-core#subdirectory={check}")
    return f"there is no check {check!r} of Datadog's; {command}"


def _class_of(module: ModuleType, place: str, class_name: str) -> tuple[type[Any], str]:
    from datadog_checks.base import AgentCheck

    name = os.path.splitext(os.path.basename(place))[0] if place.endswith(".py") else place.rpartition(".")[2]
    if module.__name__ == "datadog_checks":  # what is behind it is no class
        raise PyagentError(_no_module(f"{place}.{class_name}"))
    if class_name:
        found = getattr(module, class_name, None)
        if not isinstance(found, type) or not issubclass(found, AgentCheck):
            advice = "" if place.endswith(".py") else "; where it is in another module, see `module_path`"
            raise PyagentError(f"{place} has no check {class_name!r}{advice}")
        return found, name
    classes = list(dict.fromkeys(_checks_of(module, AgentCheck)))
    if not classes:
        raise PyagentError(f"there is no class in {place} that is an AgentCheck")
    if len(classes) > 1:
        names = ", ".join(one.__name__ for one in classes)
        raise PyagentError(f"{place} has several checks ({names}); name one, as {place}:{classes[0].__name__}")
    return classes[0], name


def _module(place: str, modules: GuestModules) -> ModuleType | None:
    """None where the last part may be a class."""
    if place.endswith(".py"):
        return _of_file(place, modules)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        parent = place.rpartition(".")[0]
        if not parent or error.name != place:
            raise
    return None


def _of_file(path: str, modules: GuestModules) -> ModuleType:
    name = f"datadog_check_{next(_serial)}_{os.path.splitext(os.path.basename(path))[0]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise PyagentError(f"cannot read {path}: there is no such file")
    module = importlib.util.module_from_spec(modules.prepare(spec))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _checks_of(module: ModuleType, base: type[Any]) -> Iterator[type[Any]]:
    """As the Agent looks for them: those that nothing in the module is derived from, and none of Datadog's own bases."""
    classes = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, base) and not one.__module__.startswith("datadog_checks.base")
    ]
    for one in classes:
        if not any(other is not one and issubclass(other, one) for other in classes):
            yield one


def _messages(report: str) -> Iterator[str]:
    """What `run` says of a failure: a list in JSON, with the traceback."""
    try:
        found = json.loads(report)
    except ValueError:
        yield " ".join(str(report).split())[:_LONGEST]
        return
    for one in found if isinstance(found, list) else [found]:
        text = one.get("message") if isinstance(one, dict) else one
        # The last line of the traceback has the kind of the exception, too.
        trace = one.get("traceback", "") if isinstance(one, dict) else ""
        last = trace.strip().rpartition("\n")[2]
        text = last if text and str(text) in last else text or last
        yield " ".join(str(text).split())[:_LONGEST]
