"""Line protocol to metrics and back. This is the one door: callers need not know which core serves them.

The reference in plain Python (`encoder`, `parser`, `relaying`) documents the format. The native core is used where it was
built, unless PYAGENT_NATIVE=0; its results are the same. `implementation` says which is in use: "reference" or "native".
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pyagent.lineprotocol.results import Encoded, Parsed, ParseError, Precision, Relayed

__all__ = ["Encoded", "ParseError", "Parsed", "Precision", "Relayed", "encode", "implementation", "parse", "relay"]

implementation = "reference"
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.lineprotocol.native import encode, parse, relay

        implementation = "native"
if TYPE_CHECKING or implementation == "reference":
    from pyagent.lineprotocol.encoder import encode
    from pyagent.lineprotocol.parser import parse
    from pyagent.lineprotocol.relaying import relay
