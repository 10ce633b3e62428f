"""What lists of values are called: five texts, which are checked once and not for each list."""

from collections.abc import Callable, Mapping
from typing import Any

from pyagent_plugins.inputs.collectd_python.types import Source

__all__ = ["AllSeries", "Series", "checked_text"]

_MOST_KNOWN = 20_000
_LONGEST = 127
"""Bytes of a name, as in collectd."""


class Series:
    """What lists of values with the same texts have in common; measurements and tags by the rules of the format collectd."""

    __slots__ = ("convert", "count", "identity", "is_gauge", "measurements", "plugin", "sources", "tags")

    def __init__(self, identity: Mapping[str, str], sources: list[Source], hostname: str) -> None:
        self.identity, self.sources, self.plugin = identity, sources, identity["plugin"]
        """`identity`: the five texts by their names; what was empty is what collectd makes of it."""
        self.convert = [_CONVERTERS[kind] for _, kind, _, _ in sources]
        """What makes a number of each value. Raises TypeError, ValueError, OverflowError."""
        self.count = len(sources)
        self.is_gauge = all(kind == "gauge" for _, kind, _, _ in sources)
        self.measurements = [f"{self.plugin}_{name}" for name, _, _, _ in sources]
        self.tags = {"type": identity["type"]}
        if identity["host"] != hostname:
            self.tags["host"] = identity["host"]
        if identity["plugin_instance"]:
            self.tags["instance"] = identity["plugin_instance"]
        if identity["type_instance"]:
            self.tags["type_instance"] = identity["type_instance"]


class AllSeries:
    """Those of one module `collectd`, with its types. `sources`: of a type. Raises what `sources` raises."""

    def __init__(self, sources: Callable[[str], list[Source]], hostname: str) -> None:
        self._sources, self._hostname = sources, hostname
        self._known: dict[tuple[Any, ...], Series] = {}

    def of(self, *given: Any) -> Series:
        """By type, plugin_instance, type_instance, plugin and host, as a module gives them. Raises TypeError, RuntimeError."""
        try:
            return self._known[given]
        except (KeyError, TypeError):  # TypeError: one that is no text, and cannot be a key
            pass
        names = ("type", "plugin_instance", "type_instance", "plugin", "host")
        identity = {name: checked_text(name, text) for name, text in zip(names, given, strict=True)}
        is_plain = tuple(identity.values()) == given
        identity["host"] = identity["host"] or self._hostname
        identity["plugin"] = identity["plugin"] or "python"
        if not identity["type"]:
            raise RuntimeError("type not set")
        series = Series(identity, self._sources(identity["type"]), self._hostname)
        if is_plain:  # else it may be long
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[given] = series
        return series


def checked_text(name: str, text: Any) -> str:
    """As collectd takes it. Raises TypeError."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a text, and is {text!r:.80}")
    return text.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")


def _whole(kind: str, low: int, high: int) -> Callable[[Any], int]:
    def convert(number: Any) -> int:
        whole = int(number)
        if not low <= whole <= high:
            raise OverflowError(f"{whole} is out of the range of a {kind}")
        return whole

    return convert


_CONVERTERS: dict[str, Callable[[Any], float]] = {
    "gauge": float,
    "derive": _whole("derive", -(1 << 63), (1 << 63) - 1),
    "counter": _whole("counter", 0, (1 << 64) - 1),
    "absolute": _whole("absolute", 0, (1 << 64) - 1),
}
