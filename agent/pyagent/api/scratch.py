"""Moved to `pyagent.kit.scratch`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.scratch", "ScratchFolder")
