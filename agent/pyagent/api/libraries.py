"""Moved to `pyagent.kit.libraries`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.libraries", "how_to_install missing_library")
