"""The native core, where it was built: the same functions as the reference, with the same results."""

from pyagent.lineprotocol.native._core import encode, pack, parse, relay, unpack

__all__ = ["encode", "pack", "parse", "relay", "unpack"]
