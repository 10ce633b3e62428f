"""Both cores behind one fixture: what is true of one has to be true of the other."""

import importlib
import os
from types import ModuleType, SimpleNamespace

import pytest

from pyagent.lineprotocol import encoder, parser, relaying

REFERENCE = SimpleNamespace(encode=encoder.encode, parse=parser.parse, relay=relaying.relay)


def native_core() -> ModuleType:
    try:
        return importlib.import_module("pyagent.lineprotocol.native")
    except ImportError as error:
        reason = f"the native core is not built ({error}); install the project where a C++ compiler is"
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def native() -> ModuleType:
    return native_core()


@pytest.fixture(scope="session", params=["reference", "native"])
def core(request: pytest.FixtureRequest) -> SimpleNamespace | ModuleType:
    """Something with `encode`, `parse` and `relay`."""
    return REFERENCE if request.param == "reference" else native_core()
