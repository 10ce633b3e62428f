"""Moved to `pyagent.kit.tls`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__, "pyagent.kit.tls", "client_context server_context system_context tls_version"
)
