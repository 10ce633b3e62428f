"""Moved to `pyagent.kit.timestamps`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.timestamps", "load_zone parse_timestamp")
