"""Moved to `pyagent.kit.http_client`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__,
    "pyagent.kit.http_client",
    "HttpClient HttpError HttpResponse environment_proxy",
    TlsOptions="pyagent.kit.tls",
)
