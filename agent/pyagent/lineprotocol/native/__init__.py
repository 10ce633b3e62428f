"""The native core, where it was built: the same functions as the reference, with the same results."""

from pyagent.lineprotocol.native._core import (
    add_tags,
    encode,
    pack,
    parse,
    plain_metric,
    relay,
    round_times,
    unpack,
)

__all__ = ["add_tags", "encode", "pack", "parse", "plain_metric", "relay", "round_times", "unpack"]
