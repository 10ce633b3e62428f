"""Moved to `pyagent.kit.connect_errors`."""

from pyagent.api.moved import moved_module

__getattr__, __all__ = moved_module(
    __name__, "pyagent.kit.connect_errors", "SPEAKS_HTTP SPEAKS_HTTPS cause_and_advice explained is_lasting wants_https"
)
