"""Names that are elsewhere now, most of them in `pyagent.kit`, or are called otherwise: the old ones go on for one version,
with a warning that names the new one."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["moved", "moved_module", "renamed"]


def moved(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of `module`. `names`: where each name is now: a module, or `module:name` where it has another name."""

    def look_up(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = names[name].partition(":")
        message = f"{module}.{name} is now {place}.{new or name}; the old path goes with the next version"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(place), new or name)

    return look_up


def renamed(owner: str, old: str, new: str) -> Any:
    """The attribute `old` of the class of that name, which reads and sets `new`."""

    def warn() -> None:
        warnings.warn(
            f"{owner}.{old} is called {new} now; the old name goes with the next version",
            DeprecationWarning,
            stacklevel=3,
        )

    def get(self: object) -> Any:
        warn()
        return getattr(self, new)

    def set_(self: object, value: object) -> None:
        warn()
        setattr(self, new, value)

    return property(get, set_)


def moved_module(old: str, new: str, names: str, **elsewhere: str) -> tuple[Callable[[str], Any], list[str]]:
    """The `__getattr__` and the `__all__` of `old`. `names`: those in `new`, with spaces between;
    `elsewhere`: where others are."""
    places = dict.fromkeys(names.split(), new) | elsewhere
    return moved(old, places), list(places)
