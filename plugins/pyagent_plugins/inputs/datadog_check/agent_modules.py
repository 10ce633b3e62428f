"""The modules that the Datadog Agent gives its checks: `aggregator`, `datadog_agent`, `tagger`, `util`, and so on.

They are put where `import` finds them, once for each process; what a check submits finds its instance by its id.
"""

import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol

from pyagent.api import PyagentError

__all__ = ["Sink", "install", "register", "unregister"]

_VERSION = "7.0.0"
_LONGEST_COMMAND = 60.0
_MOST_CACHED = 10_000
_BLANKS = re.compile(r"\s+")

_log = logging.getLogger("datadog_checks")


class Sink(Protocol):
    """Where what an instance submits goes."""

    def metric(self, kind: int, name: str, value: float, tags: Sequence[str], host: str, flush_first: bool) -> None: ...
    def bucket(
        self,
        name: str,
        count: float,
        bounds: tuple[float, float],
        monotonic: bool,
        host: str,
        tags: Sequence[str],
        flush_first: bool,
    ) -> None: ...
    def service_check(self, name: str, status: int, tags: Sequence[str], host: str, message: str) -> None: ...
    def event(self, event: dict[str, Any]) -> None: ...
    def metadata(self, name: str, value: str) -> None: ...
    def log(self, level: int, text: str) -> None: ...


_sinks: dict[str, Sink] = {}
_cache: dict[str, str] = {}
_started = int(time.time())


def register(check_id: str, sink: Sink, level: int) -> None:
    """`level` from which on it wants what is logged; less comes where another one wants it."""
    _sinks[check_id] = sink
    if _log.level == logging.NOTSET or level < _log.level:
        _log.setLevel(level)


def unregister(check_id: str) -> None:
    _sinks.pop(check_id, None)


def install() -> None:
    """Put the modules in place, before anything of `datadog_checks` is imported. Raises PyagentError where it is too late."""
    if isinstance(sys.modules.get("aggregator"), _Module):
        return
    if "datadog_checks.base" in sys.modules:
        raise PyagentError("datadog_checks.base was imported before, by something else; set isolate = true")
    for module in (
        _Module("aggregator", _AGGREGATOR),
        _Module("datadog_agent", _DATADOG_AGENT),
        _Module("tagger", _TAGGER),
        _Module("util", {"headers": _headers, "get_hostname": socket.gethostname}),
        _Module(
            "_util",
            {
                "SubprocessOutputEmptyError": SubprocessOutputEmptyError,
                "get_subprocess_output": _run,
                "subprocess_output": _run,
            },
        ),
        _Module("containers", {"is_excluded": lambda *container: False}),
        _Module("kubeutil", {"get_connection_info": dict}),
    ):
        sys.modules[module.__name__] = module
    import datadog_checks.base.log as agent_log

    # It would send all that this process logs to the Agent, and change the level of the whole log.
    agent_log.init_logging = lambda: None
    logging.addLevelName(agent_log.TRACE_LEVEL, "TRACE")
    _log.addHandler(_Handler())
    _log.propagate = False


class SubprocessOutputEmptyError(Exception):
    """A program printed nothing."""


class _Module(ModuleType):
    """One of ours."""

    def __init__(self, name: str, contents: dict[str, Any]) -> None:
        super().__init__(name, "Stands for the module of this name that the Datadog Agent has.")
        self.__dict__.update(contents)


class _Handler(logging.Handler):
    """What checks log goes to the log of their input."""

    def emit(self, record: logging.LogRecord) -> None:
        sink = _sinks.get(getattr(record, "_check_id", "")) or next(iter(_sinks.values()), None)
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit
            text = str(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if sink is not None:
            sink.log(record.levelno, text)


def _submit_metric(
    check: object,
    check_id: str,
    kind: int,
    name: str,
    value: float,
    tags: Sequence[str],
    host: str,
    flush_first: bool = False,
    *more: object,
) -> None:
    if (sink := _sinks.get(check_id)) is not None:
        sink.metric(kind, name, value, tags, host, flush_first)


def _submit_bucket(
    check: object,
    check_id: str,
    name: str,
    value: float,
    lower: float,
    upper: float,
    monotonic: bool,
    host: str,
    tags: Sequence[str],
    flush_first: bool = False,
    *more: object,
) -> None:
    if (sink := _sinks.get(check_id)) is not None:
        sink.bucket(name, value, (lower, upper), monotonic, host, tags, flush_first)


def _submit_service_check(
    check: object, check_id: str, name: str, status: int, tags: Sequence[str], host: str, message: str = ""
) -> None:
    if (sink := _sinks.get(check_id)) is not None:
        sink.service_check(name, status, tags, host, message)


def _submit_event(check: object, check_id: str, event: dict[str, Any]) -> None:
    if (sink := _sinks.get(check_id)) is not None:
        sink.event(event)


def _set_metadata(check_id: str, name: str, value: str) -> None:
    if (sink := _sinks.get(check_id)) is not None:
        sink.metadata(name, value)


def _report_issue(check_name: str, report: str) -> None:
    _log.warning("%s reports: %s", check_name, report)


def _nothing(*arguments: object, **more: object) -> None:
    """What is only for Datadog's own service."""


def _config(name: str) -> Any:
    if name == "log_level":
        return logging.getLevelName(_log.getEffectiveLevel())
    return {"enable_metadata_collection": True, "hostname": socket.gethostname()}.get(name, "")


def _write_cache(key: str, value: str) -> None:
    if key in _cache or len(_cache) < _MOST_CACHED:
        _cache[key] = value


def _headers(agent_config: object = None, **more: str) -> dict[str, str]:
    return {"User-Agent": f"Datadog Agent/{_VERSION}", "Accept": "text/html, */*"} | more


def _log_text(text: str, level: int = logging.INFO) -> None:
    _log.log(level, "%s", text)


def _run(
    command: Sequence[str], raise_on_empty_output: bool = True, env: dict[str, str] | None = None, **more: object
) -> tuple[bytes, bytes, int]:
    done = subprocess.run(  # noqa: S603  # what the check asks for
        list(command), capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=_LONGEST_COMMAND, check=False
    )
    if not done.stdout and raise_on_empty_output:
        raise SubprocessOutputEmptyError(
            f"{command[0]} printed nothing: {done.stderr.decode('utf-8', 'replace')[:500]}"
        )
    return done.stdout, done.stderr, done.returncode


_KINDS = ("GAUGE", "RATE", "COUNT", "MONOTONIC_COUNT", "COUNTER", "HISTOGRAM", "HISTORATE")
_AGGREGATOR: dict[str, Any] = {name: number for number, name in enumerate(_KINDS)} | {
    "submit_metric": _submit_metric,
    "submit_histogram_bucket": _submit_bucket,
    "submit_histogram_bucket_multi": _submit_bucket,
    "submit_service_check": _submit_service_check,
    "submit_event": _submit_event,
    "submit_event_platform_event": _nothing,
}
_DATADOG_AGENT: dict[str, Any] = {
    "get_version": lambda: _VERSION,
    "get_config": _config,
    "get_hostname": socket.gethostname,
    "get_clustername": lambda: "",
    "get_host_tags": lambda: "{}",
    "get_process_start_time": lambda: _started,
    "headers": _headers,
    "log": _log_text,
    "send_log": _nothing,
    "set_check_metadata": _set_metadata,
    "set_external_tags": _nothing,
    "emit_agent_telemetry": _nothing,
    "report_issue": _report_issue,
    "resolve_issue": _nothing,
    "tracemalloc_enabled": lambda *arguments: False,
    "read_persistent_cache": lambda key: _cache.get(key, ""),
    "write_persistent_cache": _write_cache,
    "obfuscate_sql": lambda query, options=None: _BLANKS.sub(" ", query or "").strip(),
    "obfuscate_sql_exec_plan": lambda plan, normalize=False: plan,
    "obfuscate_mongodb_string": lambda command: command,
}
_TAGGER: dict[str, Any] = {
    "LOW": 0,
    "ORCHESTRATOR": 1,
    "HIGH": 2,
    "tag": lambda *entity: [],
    "get_tags": lambda *entity: [],
}
