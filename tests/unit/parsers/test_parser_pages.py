"""Each parser has a page that names every option with its default."""

import importlib
import json
from pathlib import Path

import msgspec
import pytest

from pyagent.config.registry import Registry


@pytest.mark.parametrize("name", Registry().names("parsers"))
def test_the_page_names_everything(root: Path, name: str) -> None:
    plugin = Registry().find("parsers", name).plugin
    page = (root / f"docs/plugins/parsers/{name}.md").read_text()
    for field in msgspec.structs.fields(plugin.options_type):
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        text = json.dumps(str(default) if isinstance(default, int) and type(default) not in (int, bool) else default)
        assert f"| `{field.encode_name}` | `{text}` |" in page
    assert importlib.import_module(plugin.__module__).__doc__
