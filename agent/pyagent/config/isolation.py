"""Where the calls of a plugin run, so that one that blocks harms nobody but itself: found once, when its plan is made."""

import inspect
from types import FunctionType
from typing import Any, Literal

from pyagent.api import Input, Plugin
from pyagent.plugin_kinds import PLUGIN_KINDS, PluginKind

__all__ = ["Isolation", "is_async", "isolation_of"]

Isolation = Literal["inline", "thread", "loop"]
"""On the main loop; in a thread of the plugin's own; in such a thread, on a loop of its own."""


def is_async(kind: PluginKind, plugin: type[Plugin[Any]]) -> bool:
    """Whether the method that does a plugin's work is `async def`. Nothing of the plugin's code runs for it."""
    if kind == "inputs":
        method = _method(plugin, "gather")
        if method is Input.gather:
            method = _method(plugin, "start")
    else:
        method = _method(plugin, PLUGIN_KINDS[kind].method)
    return type(method) is FunctionType and inspect.iscoroutinefunction(method)


def isolation_of(kind: PluginKind, *, asynchronous: bool, external: bool) -> Isolation:
    """What is the engine's own waits on the main loop where it can be awaited; a plain `def` that may block needs a thread.
    What is external has a thread in any case: even one that is `async def` may block."""
    if not external:
        return "inline" if asynchronous or PLUGIN_KINDS[kind].computes else "thread"
    # No aggregator is `async`: where it says so, that is refused in its thread.
    return "loop" if asynchronous and kind != "aggregators" else "thread"


def _method(plugin: type[Plugin[Any]], name: str) -> object:
    return inspect.getattr_static(plugin, name, None)
