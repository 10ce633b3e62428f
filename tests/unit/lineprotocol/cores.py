"""Both cores. What is true of one has to be true of the other."""

import importlib
import os
from types import ModuleType, SimpleNamespace

import pytest

from pyagent.lineprotocol import encoder, lossless, parser, relaying

REFERENCE = SimpleNamespace(
    encode=encoder.encode, pack=lossless.pack, parse=parser.parse, relay=relaying.relay, unpack=lossless.unpack
)


def native_core() -> ModuleType:
    """The native core, whatever the door picked; skips where it was not built."""
    try:
        return importlib.import_module("pyagent.lineprotocol.native")
    except ImportError as error:
        reason = f"the native core is not built ({error}); install the project where a C++ compiler is"
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
