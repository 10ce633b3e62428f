"""Line protocol to metrics and back. This is the one door: callers need not know which core serves them.

The reference in plain Python (`encoder`, `parser`, `relaying`) documents the format. `implementation` says which core is
in use: "reference" or "native".
"""

from pyagent.lineprotocol.encoder import encode
from pyagent.lineprotocol.parser import parse
from pyagent.lineprotocol.relaying import relay
from pyagent.lineprotocol.results import Encoded, Parsed, ParseError, Precision, Relayed

__all__ = ["Encoded", "ParseError", "Parsed", "Precision", "Relayed", "encode", "implementation", "parse", "relay"]

implementation: str = "reference"
