"""The module `collectd`: what collectd's own Python plugin gives its modules."""

import logging
import math
import socket
import threading
import time as clock
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from pyagent.api.foreign import describe
from pyagent_plugins.inputs.collectd_python.series import AllSeries, Series, checked_text
from pyagent_plugins.inputs.collectd_python.types import Source

__all__ = ["Callback", "CollectdModule", "Config", "Notification", "Values"]

_LEVELS = {3: logging.ERROR, 4: logging.WARNING, 5: logging.INFO, 6: logging.INFO, 7: logging.DEBUG}
_SEVERITIES = {1: logging.ERROR, 2: logging.WARNING, 4: logging.INFO}
_KINDS = ("config", "init", "read", "shutdown", "notification", "log", "write", "flush")
_MOST_CALLBACKS = 10_000
_NOW = 0.0
_LATEST = 1 << 33
"""Seconds since 1970."""
_LONGEST_TEXT = 10_000
"""Characters of a message; what shows it cuts it when secrets are masked."""


class CollectdError(Exception):
    pass


class Signed(int):
    """A number that is signed: a derive."""


class Unsigned(int):
    """A number that is not signed: a counter."""


class Config:
    """A line or a block of the configuration."""

    def __init__(
        self, key: str, parent: "Config | None", values: tuple[Any, ...], children: tuple["Config", ...]
    ) -> None:
        self.key, self.parent, self.values, self.children = key, parent, values, children

    def __repr__(self) -> str:
        return f"<collectd.Config {self.key} {' '.join(str(value) for value in self.values)}>"


class Callback:
    def __init__(self, kind: str, name: str, function: Callable[..., Any], data: Any, interval: float) -> None:
        self.kind, self.name, self.function, self.data = kind, name, function, data
        self.interval = interval
        self.module = name.removeprefix("python.")

    def __call__(self, *arguments: Any) -> None:
        if self.data is None:
            self.function(*arguments)
        else:
            self.function(*arguments, self.data)


class _Data:
    """What values and notifications have in common. Each module `collectd` has classes of its own, which know it."""

    _collectd: "CollectdModule"

    def __init__(
        self, type: str, plugin_instance: str, type_instance: str, plugin: str, host: str, time: float
    ) -> None:
        self.type = type
        self.plugin_instance, self.type_instance = plugin_instance, type_instance
        self.plugin, self.host, self.time = plugin, host, time


D = TypeVar("D", bound=_Data)


class Values(_Data):
    def __init__(
        self,
        type: str = "",
        values: Any = None,
        plugin_instance: str = "",
        type_instance: str = "",
        plugin: str = "",
        host: str = "",
        time: float = _NOW,
        interval: float = 0,
        meta: Any = None,
    ) -> None:
        # Made for each value, and so without the call of the class above.
        self.type, self.plugin_instance, self.type_instance = type, plugin_instance, type_instance
        self.plugin, self.host, self.time = plugin, host, time
        self.values = [] if values is None else values
        self.interval, self.meta = interval, {} if meta is None else meta

    def dispatch(
        self,
        type: str | None = None,
        values: Any = None,
        plugin_instance: str | None = None,
        type_instance: str | None = None,
        plugin: str | None = None,
        host: str | None = None,
        time: float | None = None,
        interval: float | None = None,
        meta: Any = None,
    ) -> None:
        """Hand the values over; an argument counts for this call alone. Raises TypeError, RuntimeError."""
        collectd = self._collectd
        series = collectd.series.of(
            self.type if type is None else type,
            self.plugin_instance if plugin_instance is None else plugin_instance,
            self.type_instance if type_instance is None else type_instance,
            self.plugin if plugin is None else plugin,
            self.host if host is None else host,
        )
        when = self.time if time is None else time
        if when is not _NOW:
            when = _seconds(when)
        given = self.values if values is None else values
        if not isinstance(given, list | tuple):
            raise TypeError("values must be list or tuple")
        if len(given) != series.count:
            raise RuntimeError(f"type {series.identity['type']} needs {series.count} values, got {len(given)}")
        if series.is_gauge:
            numbers = list(map(float, given))
        else:
            numbers = [convert(number) for convert, number in zip(series.convert, given, strict=True)]
        collectd.take(series, numbers, when)
        if collectd.registered["write"]:
            more = {"values": numbers, "time": when, "interval": interval, "meta": meta}
            collectd.tell("write", _copied(self, {**series.identity, **more}))

    def write(self, destination: str | None = None, **arguments: Any) -> None:
        """As dispatch: there is one destination."""
        self.dispatch(**arguments)

    def __repr__(self) -> str:
        return f"collectd.Values(type={self.type!r},plugin={self.plugin!r},values={self.values!r})"


class Notification(_Data):
    def __init__(
        self,
        type: str = "",
        message: str = "",
        plugin_instance: str = "",
        type_instance: str = "",
        plugin: str = "",
        host: str = "",
        time: float = 0,
        severity: int = 0,
        meta: Any = None,
    ) -> None:
        super().__init__(type, plugin_instance, type_instance, plugin, host, time)
        self.message, self.severity, self.meta = message, severity, {} if meta is None else meta

    def dispatch(
        self,
        type: str | None = None,
        message: str | None = None,
        plugin_instance: str | None = None,
        type_instance: str | None = None,
        plugin: str | None = None,
        host: str | None = None,
        time: float | None = None,
        severity: int | None = None,
        meta: Any = None,
    ) -> None:
        """Log it, and hand it to those that have registered. Raises TypeError."""
        sent = _copied(self, locals())
        for name in ("type", "plugin_instance", "type_instance", "plugin", "host"):
            setattr(sent, name, checked_text(name, getattr(sent, name)))
        sent.host, sent.plugin = sent.host or self._collectd.hostname, sent.plugin or "python"
        sent.time = _seconds(sent.time)
        if sent.severity not in _SEVERITIES:
            raise TypeError("severity must be NOTIF_FAILURE, NOTIF_WARNING or NOTIF_OKAY")
        sent.time = sent.time or clock.time()
        self._collectd.notified(sent)


class CollectdModule(ModuleType):
    """`take` is called with the numbers that were dispatched and their time, 0 for now, from any thread."""

    def __init__(
        self,
        types: dict[str, list[Source]],
        log: logging.Logger,
        take: Callable[[Series, list[float], float], None],
    ) -> None:
        super().__init__("collectd", "What collectd gives its modules in Python.")
        self.types, self.hostname = types, socket.gethostname()
        self.registered: dict[str, dict[str, Callback]] = {kind: {} for kind in _KINDS}
        self._log, self.take = log, take
        self.series = AllSeries(self.sources, self.hostname)
        self._within = threading.local()
        self.Values = type("Values", (Values,), {"_collectd": self, "__module__": "collectd"})
        self.Notification = type("Notification", (Notification,), {"_collectd": self, "__module__": "collectd"})
        self.PluginData, self.Config, self.CollectdError = _Data, Config, CollectdError
        self.Signed, self.Unsigned = Signed, Unsigned
        self.DS_TYPE_COUNTER, self.DS_TYPE_GAUGE, self.DS_TYPE_DERIVE, self.DS_TYPE_ABSOLUTE = range(4)
        self.LOG_ERR = self.LOG_ERROR = 3
        self.LOG_WARNING, self.LOG_NOTICE, self.LOG_INFO, self.LOG_DEBUG = 4, 5, 6, 7
        self.NOTIF_FAILURE, self.NOTIF_WARNING, self.NOTIF_OKAY = 1, 2, 4
        for name, level in (("error", 3), ("warning", 4), ("notice", 5), ("info", 6), ("debug", 7)):
            setattr(self, name, self._logger(level))
        for kind in _KINDS:
            if kind != "read":
                setattr(self, f"register_{kind}", self._registrar(kind))
            setattr(self, f"unregister_{kind}", self._unregistrar(kind))

    def register_read(
        self, callback: Callable[..., Any], interval: float | None = None, data: Any = None, name: str | None = None
    ) -> str:
        # Without an interval of its own it is called at each gather: that is the input's interval.
        seconds = float(interval or 0)
        if not math.isfinite(seconds) or seconds < 0:
            raise TypeError(f"interval must be seconds, and is {interval!r:.80}")
        return self._register("read", callback, data, name, seconds)

    def get_dataset(self, name: str) -> list[tuple[str, str, float, float]]:
        """Name, kind, least and greatest value of each. Raises TypeError."""
        return [
            (source, kind, math.nan if least is None else least, math.nan if most is None else most)
            for source, kind, least, most in self.sources(name)
        ]

    def flush(self, plugin: str | None = None, timeout: float = -1, identifier: str | None = None) -> None:
        for callback in list(self.registered["flush"].values()):
            if plugin in (None, "", callback.name):
                callback(timeout, identifier)

    def sources(self, name: str) -> list[Source]:
        if name not in self.types:
            raise TypeError(f"Dataset {name} not found; name a file that has it in `types_db`")
        return self.types[name]

    def notified(self, notification: Notification) -> None:
        level = _SEVERITIES[notification.severity]
        self._log.log(level, "notification of %s: %s", notification.plugin, str(notification.message)[:_LONGEST_TEXT])
        self.tell("notification", notification)

    def tell(self, kind: str, *arguments: Any) -> None:
        """Those that have registered; what they cause themselves is not told again, as it would never end."""
        if not self.registered[kind] or getattr(self._within, kind, False):
            return
        setattr(self._within, kind, True)
        try:
            for callback in list(self.registered[kind].values()):
                try:
                    callback(*arguments)
                except BaseException as error:
                    self._log.error("the %s callback %r failed: %s", kind, callback.name, describe(error))
        finally:
            setattr(self._within, kind, False)

    def _logger(self, level: int) -> Callable[[Any], None]:
        def log(message: Any) -> None:
            text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
            self._log.log(_LEVELS[level], "%s", text[:_LONGEST_TEXT])
            self.tell("log", level, text)

        return log

    def _registrar(self, kind: str) -> Callable[..., str]:
        def register(callback: Callable[..., Any], data: Any = None, name: str | None = None) -> str:
            return self._register(kind, callback, data, name, 0.0)

        return register

    def _register(self, kind: str, callback: Any, data: Any, name: str | None, interval: float) -> str:
        if not callable(callback):
            raise TypeError("callback needs a be a callable object.")
        full = f"python.{name or getattr(callback, '__module__', None) or hex(id(callback))}"
        known = self.registered[kind]
        if kind == "read" and full in known:
            self._log.warning("the read callback %r is registered already: give each a name of its own", full)
            return full
        if len(known) >= _MOST_CALLBACKS:
            raise CollectdError(f"more than {_MOST_CALLBACKS} {kind} callbacks are registered")
        if kind in ("config", "init", "shutdown"):
            # Several of a module all count there.
            key, number = full, 1
            while key in known:
                number += 1
                key = f"{full}#{number}"
            known[key] = Callback(kind, full, callback, data, interval)
        else:
            known[full] = Callback(kind, full, callback, data, interval)
        return full

    def _unregistrar(self, kind: str) -> Callable[[Any], None]:
        def unregister(given: Any) -> None:
            known = self.registered[kind]
            if isinstance(given, str):
                full = given if given.startswith("python.") else f"python.{given}"
                keys = [key for key, callback in known.items() if callback.name == full]
            else:
                keys = [key for key, callback in known.items() if callback.function == given]
            if not keys:
                raise RuntimeError(f"Unable to unregister {kind} callback.")
            for key in keys:
                del known[key]

        return unregister


def _copied(saved: D, arguments: dict[str, Any]) -> D:
    """A copy, with the arguments of a call that are given."""
    sent = object.__new__(type(saved))
    state = sent.__dict__
    state.update(saved.__dict__)
    for name, value in arguments.items():
        if value is not None and name != "self":
            state[name] = value
    return sent


def _seconds(time: Any) -> float:
    """Raises TypeError."""
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < _LATEST:
        raise TypeError(f"time must be a number of seconds since 1970, and is {time!r:.80}")
    return float(time)
