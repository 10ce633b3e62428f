"""`option(...)` with bounds, old names and without effect: one declaration, and the check, the sample, the page and the schema."""

from pathlib import Path

import pytest
from loading import Load

from pyagent.config.catalog import Catalog
from pyagent.config.migrate import migrate
from pyagent.config.page import plugin_page
from pyagent.config.sample import plugin_sample
from pyagent.config.schema import json_schema

PLUGIN = '''"""Has bounds."""
from typing import Annotated
from pyagent.api import Duration, Input, Options, Size, option

class Server(Options, frozen=True):
    port: Annotated[int, option("its port", ge=1, le=65535)] = 80

class BoundOptions(Options, frozen=True):
    count: Annotated[int, option("how many", ge=0)] = 1
    share: Annotated[float, option("how much", gt=0, lt=1)] = 0.5
    wait: Annotated[Duration, option("how long", ge="1s", le="1h")] = Duration("5s")
    room: Annotated[Size, option("how large", le="1MiB")] = Size(0)
    levels: Annotated[list[int], option("some", ge=1)] = []
    maybe: Annotated[int | None, option("perhaps", ge=0)] = None
    servers: Annotated[list[Server], option("where")] = []
    new_name: Annotated[str, option("renamed", renamed_from=("old_name", "older"))] = "x"
    nothing: Annotated[bool, option("it was of use once", no_effect=True)] = False

class Bound(Input[BoundOptions]):
    def gather(self, acc): pass
'''
TABLE = "[[outputs.nowhere]]\n[[inputs.bound]]\n"


@pytest.fixture
def bound(load: Load) -> Load:
    (load.folder / "bound.py").write_text(PLUGIN)
    return load


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("count = -1", "the option 'count' must be 0 or more; found -1"),
        ("share = 0.0", "the option 'share' must be more than 0 and less than 1; found 0.0"),
        ("share = 1", "the option 'share' must be more than 0 and less than 1; found 1"),
        ("share = nan", "the option 'share' must be more than 0 and less than 1; found nan"),
        ("wait = '500ms'", "the option 'wait' must be 1s to 1h; found 500ms"),
        ("wait = 7200", "the option 'wait' must be 1s to 1h; found 7200"),
        ("room = '2MB'", "the option 'room' must be 1MiB or less; found 2MB"),
        ("levels = [3, 0]", "the option 'levels' must be 1 or more; found [3, 0]"),
        ("maybe = -1", "the option 'maybe' must be 0 or more; found -1"),
        ("servers = [{ port = 0 }]", "the option 'servers[0].port' must be 1 to 65535; found 0"),
        ("older = 'a'\nnew_name = 'b'", "the option 'new_name' is given twice, the second time as 'new_name'"),
        ("older = 'a'\nold_name = 'b'", "the option 'old_name' is given twice, the second time as 'old_name'"),
        ("nothin = true", "unknown option 'nothin'; did you mean 'nothing'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(bound: Load, line: str, wanted: str) -> None:
    message = bound.refused(TABLE + line)
    number = 3 + line.count("\n")
    assert message.startswith(f"a.conf:{number}: inputs.bound: {wanted}")


@pytest.mark.parametrize(
    ("line", "warnings"),
    [
        ("count = 0\nshare = 0.1\nwait = '1h'\nroom = '1MiB'\nlevels = [1]\nmaybe = 0", []),
        ("nothing = false", []),
        ("nothing = true", ["a.conf:3: inputs.bound: the option 'nothing' has no effect: it was of use once"]),
        ("older = 'a'", ["a.conf:3: inputs.bound: the option 'older' is deprecated; use new_name"]),
        ("new_name = 'a'", []),
    ],
)
def test_what_is_taken(bound: Load, line: str, warnings: list[str]) -> None:
    plan = bound(TABLE + line)
    assert list(plan.warnings) == warnings
    if "'a'" in line:
        assert plan.inputs[0].options.new_name == "a"  # type: ignore[attr-defined]


def test_the_sample_the_page_and_the_schema_follow(bound: Load) -> None:
    catalog = Catalog([bound.folder])
    (entry,) = catalog.find("inputs.bound")
    sample = plugin_sample(catalog, entry)
    assert "## how many (integer, 0 or more)\n  # count = 1\n" in sample
    assert "nothing" not in sample
    assert "older" not in sample
    page = plugin_page(catalog, entry)
    assert "| `share` | number | `0.5` | how much (more than 0 and less than 1) |" in page
    assert "| `servers.port` | integer | `80` | its port (1 to 65535) |" in page
    assert "| renamed (before: `old_name`, `older`) |" in page
    assert "| without effect: it was of use once |" in page
    schema = json_schema(catalog)
    properties = schema["$defs"]["inputs.bound"]["properties"]
    assert properties["share"] | {"exclusiveMinimum": 0, "exclusiveMaximum": 1} == properties["share"]
    assert properties["older"]["deprecated"]
    jsonschema = pytest.importorskip("jsonschema", reason="the library jsonschema is not installed")
    for table, valid in [
        ({"count": 0, "share": 0.5, "wait": "1s", "older": "x", "levels": [1], "servers": [{"port": 1}]}, True),
        ({"count": -1}, False),
        ({"share": 1}, False),
        ({"servers": [{"port": 0}]}, False),
        ({"room": "9GB"}, True),
    ]:
        assert jsonschema.Draft202012Validator(schema).is_valid({"inputs": {"bound": [table]}}) == valid, table


def test_migrate_writes_the_new_name(bound: Load) -> None:
    done = migrate(TABLE + "  older = 'a' # why\n", "a.conf", Catalog([bound.folder]))
    assert done.text == TABLE + "  new_name = 'a' # why\n"
    assert done.changes == ("inputs.bound: older is new_name",)


def test_an_old_name_keeps_its_effect(bound: Load, tmp_path: Path) -> None:
    (bound.folder / "runner.py").write_text(
        "from typing import Annotated\nfrom pyagent.api import Input, Options, option\n"
        "class ROptions(Options, frozen=True):\n"
        "    command: Annotated[str, option('what to run', executes=True, renamed_from='cmd')] = ''\n"
        "class R(Input[ROptions]):\n    def gather(self, acc): pass\n"
    )
    from pyagent.config import SourceText

    source = SourceText("http://x.test/c", "[[outputs.nowhere]]\n[[inputs.runner]]\ncmd = 'rm'\n")
    assert "'cmd' runs commands or code, which a configuration from a URL may not" in bound.refused(sources=[source])
