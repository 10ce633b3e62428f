"""The JSON Schema for editors: every option is in it, and what loads is valid by it."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli

from pyagent.config.catalog import Catalog
from pyagent.config.declared import COMMON, declared_options
from pyagent.config.sample import sample
from pyagent.config.schema import json_schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(json_schema(Catalog())))
    return found


def test_every_option_is_in_it(schema: dict[str, Any]) -> None:
    catalog = Catalog()
    for entry in catalog.entries("inputs", "outputs", "processors", "aggregators"):
        table = schema["$defs"][entry.label]
        kinds = [catalog.load(entry).options_type, *COMMON[entry.kind]]
        names = {option.name for kind in kinds for option in declared_options(kind)}
        assert names <= table["properties"].keys()
        assert table["additionalProperties"] is False
        assert entry.name in schema["properties"][entry.kind]["properties"]


def test_an_option_is_described(schema: dict[str, Any]) -> None:
    options = schema["$defs"]["outputs.influxdb_v2"]["properties"]
    assert options["timeout"]["type"] == ["string", "number"]
    assert options["timeout"]["default"] == "5s"
    assert options["content_encoding"]["enum"] == ["gzip", "identity"]
    assert options["token"] == {
        "type": "string",
        "examples": ["$NAME", "@{store:key}"],
        "description": "API token that may write to the bucket",
        "default": "",
    }
    assert options["http_headers"]["additionalProperties"]["type"] == "string"
    assert options["fielddrop"]["deprecated"] is True
    assert options["metric_batch_size"]["type"] == "integer"


def test_tables_among_the_options(plugins: Path) -> None:
    table = json_schema(Catalog([plugins]))["$defs"]["inputs.full"]
    server = table["properties"]["servers"]["items"]
    assert server["required"] == ["host"]
    assert table["properties"]["server"]["anyOf"] == [server]


def test_an_input_that_parses_has_the_options_of_the_formats(schema: dict[str, Any]) -> None:
    assert {"data_format", "csv_delimiter", "json_query"} <= schema["$defs"]["inputs.file"]["properties"].keys()


def test_a_plugin_that_cannot_be_imported_may_have_any_options(tmp_path: Path) -> None:
    (tmp_path / "dream.py").write_text("from pyagent.api import Input\nimport no_such_library\nclass D(Input): pass\n")
    table = json_schema(Catalog([tmp_path]))["$defs"]["inputs.dream"]
    assert "no_such_library" in table.pop("description")
    assert table == {"type": "object"}


def test_what_is_valid(schema: dict[str, Any], shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the library jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    def mistakes(text: str) -> list[str]:
        return [error.message for error in validator.iter_errors(tomli.loads(text))]

    assert mistakes(sample(Catalog())) == []
    for kind in ("inputs", "outputs"):
        for name in schema["properties"][kind]["properties"]:
            path = shared / f"corpus/telegraf/samples/{kind}/{name}.conf"
            if path.exists():
                assert mistakes(path.read_text()) == [], path
    assert mistakes("[inputs.mem]\n") == []
    assert mistakes("[[inputs.mem]]\ninterval = '5s'\nnamepass = ['m*']\n[inputs.mem.tags]\na = 'b'\n") == []
    assert mistakes("[[inputs.mem]]\nintervall = '5s'\n")
    assert mistakes("[agent]\ninterval = true\n")
    assert mistakes("[[inputs.memm]]\n")
