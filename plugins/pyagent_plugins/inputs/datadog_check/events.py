"""When events were: a timestamp of Datadog's has whole seconds, and a database keeps one event of a time and its tags."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any

__all__ = ["EventTimes"]

_MOST = 10_000
"""Times that are known at once, with their tags."""
_LATEST = 9_000_000_000
"""Seconds: what is later is no time, or has no room as nanoseconds."""


class EventTimes:
    def __init__(self, now: Callable[[], int] = time_ns) -> None:
        self._now = now
        self._known: OrderedDict[tuple[Any, ...], dict[str, int]] = OrderedDict()
        """By time and tags: the events, each as a text, and which of them it was."""

    def of(self, timestamp: Any, tags: Mapping[str, str], fields: Mapping[str, Any]) -> int:
        """Nanoseconds since the epoch: of several events with these tags in a second each is 1 ns later than the one before.
        One that is submitted again has the time that it had. `timestamp`: seconds; without one that can be used it is now."""
        when = _nanoseconds(timestamp)
        if when is None:
            when = self._now()
        key = (when, *sorted(tags.items()))
        events = self._known.setdefault(key, {})
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        event = repr(sorted(fields.items()))
        if len(events) < _MOST:
            return when + events.setdefault(event, len(events))
        return when + events.get(event, len(events))


def _nanoseconds(timestamp: Any) -> int | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    return int(timestamp * 1_000_000_000) if 0 < timestamp < _LATEST else None
