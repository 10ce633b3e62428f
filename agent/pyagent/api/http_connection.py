"""Moved to `pyagent.kit.http_connection`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.http_connection", "IDLE HttpConnection")
