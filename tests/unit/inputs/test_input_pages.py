"""Each input has a page that names every option and everything that it emits."""

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyagent.api import Input
from pyagent.config.registry import Registry

INPUTS = ["exec", "file", "http_listener_v2", "influxdb_listener", "influxdb_v2_listener", "mem", "mock", "postgresql"]


@pytest.mark.parametrize("name", INPUTS)
def test_the_page_names_everything(root: Path, name: str) -> None:
    found = Registry().find("inputs", name).plugin
    assert issubclass(found, Input)
    plugin: type[Input[Any]] = found
    page = (root / f"docs/plugins/inputs/{name}.md").read_text()
    wanted = [field.encode_name for field in msgspec.structs.fields(plugin.options_type)]
    for measurement in plugin.measurements:
        wanted += [measurement.name, *measurement.tags, *measurement.fields]
    assert [word for word in wanted if f"`{word}`" not in page] == []
    assert importlib.import_module(plugin.__module__).__doc__
