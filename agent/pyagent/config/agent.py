"""The tables `[agent]` and `[global_tags]` of one or more sources (reference: telegraf 1.2)."""

import socket
from typing import Any

from pyagent.api import Duration
from pyagent.api.units import LEAST_INTERVAL
from pyagent.config.options import Policy, decode_values
from pyagent.config.plan import AgentSettings
from pyagent.config.table_view import Diagnostics, TableView, type_name
from pyagent.config.toml import Document
from pyagent.plugin_kinds import COMMON_KEYS

__all__ = ["AGENT_KEYS", "AgentTable"]

AGENT_KEYS = frozenset(AgentSettings.__struct_fields__)

# Telegraf has no name of its own for these in the file, and finds them in any case and without underscores.
_CASE_INSENSITIVE = frozenset(
    (
        "interval",
        "round_interval",
        "precision",
        "collection_jitter",
        "collection_offset",
        "flush_interval",
        "flush_jitter",
        "metric_batch_size",
        "metric_buffer_limit",
        "hostname",
        "omit_hostname",
    )
)
_CHOICES = {
    "logformat": ("", "text", "structured"),
    "logtarget": ("", "file", "stderr"),
    "buffer_strategy": ("", "memory", "disk", "disk_write_through"),
}


class AgentTable:
    """Settings and global tags, merged source by source."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.global_tags: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._places: dict[str, TableView] = {}
        self._diagnostics = diagnostics

    def add(self, document: Document, policy: Policy) -> None:
        """Take over what a source says. Raises ConfigError."""
        for key in ("tags", "global_tags"):
            tags = self._view(document, key)
            for name, value in tags.table.items():
                if not isinstance(value, str):
                    raise tags.error(f"{name!r} must be a string, not {type_name(value)}", name)
            self.global_tags |= tags.table
        view = self._view(document, "agent")
        values, _ = decode_values(
            view, AgentSettings, ignored=COMMON_KEYS, case_insensitive=_CASE_INSENSITIVE, policy=policy
        )
        if values and self._values:
            view.warn("settings of several [agent] tables are merged; later ones overwrite earlier ones")
        for name, value in values.items():
            self._check(view, name, value)
        self._values |= values
        self._places |= dict.fromkeys(values, view)
        settings = self.settings()
        if settings.skip_processors_after_aggregators and settings.skip_processors_before_aggregators:
            raise view.error("skip_processors_before_aggregators and ..._after_... cannot both be true")
        if not settings.omit_hostname:
            # For each source anew, as Telegraf does: omit_hostname in a later one comes too late.
            self.global_tags["host"] = settings.hostname

    def settings(self) -> AgentSettings:
        """What the sources so far say together, the host's name resolved."""
        values = {name: value for name, value in self._values.items() if value != "" or name == "hostname"}
        for name in ("metric_batch_size", "metric_buffer_limit"):
            if values.get(name) == 0:
                del values[name]
        if values.get("omit_hostname"):
            values["hostname"] = ""
        else:
            values["hostname"] = values.get("hostname") or socket.gethostname()
        return AgentSettings(**values)

    def final(self) -> AgentSettings:
        """The settings once all sources are read. Raises ConfigError for intervals that are none."""
        settings = self.settings()
        for name in ("interval", "flush_interval"):
            value: Duration = getattr(settings, name)
            if value < LEAST_INTERVAL:
                view = self._places[name]
                bound = "positive" if value <= 0 else f"{LEAST_INTERVAL} or more"
                raise view.error(f"{name} must be {bound}; found {value}", self._key(view, name))
        return settings

    def _view(self, document: Document, key: str) -> TableView:
        table = document.data.get(key, {})
        if not isinstance(table, dict):
            brackets = "; write it in single brackets" if isinstance(table, list) else ""
            raise document.error((key,), f"{key} must be a table, [{key}], not {type_name(table)}{brackets}", key)
        return TableView(document=document, path=(key,), label=key, table=table, diagnostics=self._diagnostics)

    @staticmethod
    def _key(view: TableView, name: str) -> str:
        return next((key for key in view.table if key.replace("_", "").lower() == name.replace("_", "")), name)

    def _check(self, view: TableView, name: str, value: Any) -> None:
        key = self._key(view, name)
        if name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(repr(choice) for choice in _CHOICES[name] if choice)
            raise view.error(f"{name} cannot be {value!r}; use one of {choices}", key)
        if name == "config_url_retry_attempts" and value < -1:
            raise view.error(f"{name}: invalid number of attempts: {value}; -1 is without limit", key)
        if name == "log_with_timezone" and value and value.lower() != "local":
            from zoneinfo import ZoneInfo

            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise view.error(f"{name}: unknown time zone {value!r}", key) from None
        if name == "snmp_translator" and value == "netsnmp":
            view.complain("snmp_translator: 'netsnmp' is deprecated; use 'gosmi'", key)
        elif name == "snmp_translator" and value not in ("", "gosmi"):
            view.warn(f"snmp_translator: {value!r} is ignored; use 'gosmi'", key)
