from types import ModuleType, SimpleNamespace

import pytest
from cores import REFERENCE, native_core


@pytest.fixture(scope="session")
def native() -> ModuleType:
    return native_core()


@pytest.fixture(scope="session")
def reference() -> SimpleNamespace:
    return REFERENCE


@pytest.fixture(scope="session", params=["reference", "native"])
def core(request: pytest.FixtureRequest) -> SimpleNamespace | ModuleType:
    """Something with `encode`, `parse`, `relay`, `pack` and `unpack`."""
    return REFERENCE if request.param == "reference" else native_core()
