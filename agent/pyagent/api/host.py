"""Moved to `pyagent.kit.procfs`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.procfs", "host_path")
