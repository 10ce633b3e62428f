"""Moved to `pyagent.kit.http_server`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__,
    "pyagent.kit.http_server",
    "Answer HttpListener ListenerOptions Refused Request bad_lines header_text same_secret",
)
