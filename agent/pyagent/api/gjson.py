"""Moved to `pyagent.kit.gjson`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.gjson", "MISSING Path compile_path")
