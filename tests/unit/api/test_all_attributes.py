"""What a module offers is there."""

import importlib
import pkgutil

import pytest

import pyagent.api
import pyagent.kit
import pyagent.testing

MODULES = [
    module.name
    for package in (pyagent.api, pyagent.kit, pyagent.testing)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.rpartition(".")[2].startswith("_")
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_attributes(name: str) -> None:
    module = importlib.import_module(name)
    offered = module.__all__
    assert len(set(offered)) == len(offered)
    assert [one for one in offered if not hasattr(module, one)] == []
