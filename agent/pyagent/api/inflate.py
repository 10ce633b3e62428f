"""Moved to `pyagent.kit.inflate`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.inflate", "Inflater")
