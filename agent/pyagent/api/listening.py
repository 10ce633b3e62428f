"""Moved to `pyagent.kit.listen_address`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(__name__, "pyagent.kit.listen_address", "ListenAddress TlsServerOptions")
