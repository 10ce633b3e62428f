"""Moved to `pyagent.kit.glob`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.glob", "Matcher Verdicts compile_patterns")
