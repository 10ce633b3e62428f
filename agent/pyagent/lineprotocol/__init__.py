"""Line protocol, and the lossless form, to metrics and back. This is the one door: callers need not know which core serves
them.

The reference in plain Python (`encoder`, `parser`, `relaying`, `lossless`, `metrics`) documents the formats. The native core is
used where it was built, unless PYAGENT_NATIVE=0; its results are the same. `implementation` says which is in use: "reference"
or "native".
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pyagent.lineprotocol.results import Content, Encoded, InvalidLine, Parsed, Precision, Relayed

__all__ = [
    "Content",
    "DefaultTags",
    "Encoded",
    "InvalidLine",
    "Parsed",
    "Precision",
    "Relayed",
    "add_tags",
    "encode",
    "implementation",
    "pack",
    "parse",
    "plain_metric",
    "relay",
    "round_times",
    "unpack",
]

DefaultTags = tuple[tuple[str, str], ...]
"""Tags for metrics that have none of these keys."""

implementation = "reference"
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.lineprotocol.native import (
            add_tags,
            encode,
            pack,
            parse,
            plain_metric,
            relay,
            round_times,
            unpack,
        )

        implementation = "native"
if TYPE_CHECKING or implementation == "reference":
    from pyagent.lineprotocol.encoder import encode
    from pyagent.lineprotocol.lossless import pack, unpack
    from pyagent.lineprotocol.metrics import add_tags, plain_metric, round_times
    from pyagent.lineprotocol.parser import parse
    from pyagent.lineprotocol.relaying import relay
