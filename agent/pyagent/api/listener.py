"""Moved to `pyagent.kit.http_server`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__,
    "pyagent.kit.http_server",
    "HttpListener ListenerOptions Request bad_lines header_text same_secret",
    Answer="pyagent.kit.http_server:Response",
    Refused="pyagent.kit.http_server:HttpRefusal",
)
