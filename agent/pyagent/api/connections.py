"""Moved to `pyagent.kit.connections`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__, "pyagent.kit.connections", "Client Connections StreamClient limit_connections"
)
