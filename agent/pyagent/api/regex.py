"""Moved to `pyagent.kit.regex`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.regex", "Regex compile_regex longest_text")
