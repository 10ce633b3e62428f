"""Telegraf's sample configurations of the outputs: taken as they are, and no option in them is unknown."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli

from pyagent.api import Output
from pyagent.testing.outputs import make_output
from pyagent_plugins.outputs.discard import Discard
from pyagent_plugins.outputs.file import File
from pyagent_plugins.outputs.http import Http
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB

PLUGINS = {"discard": Discard, "file": File, "http": Http, "influxdb_v2": InfluxDB}


@pytest.mark.parametrize(("name", "plugin"), PLUGINS.items())
def test_sample(name: str, plugin: type[Output[Any]], shared: Path) -> None:
    text = (shared / f"corpus/telegraf/samples/outputs/{name}.conf").read_text()
    (table,) = tomli.loads(text)["outputs"][name]
    make_output(plugin, table)
    mentioned = set(re.findall(r"^ *(?:# )?([a-z_0-9]+) = ", text, re.MULTILINE))
    assert mentioned >= table.keys()
    assert mentioned <= {field.encode_name for field in msgspec.structs.fields(plugin.options_type)}
