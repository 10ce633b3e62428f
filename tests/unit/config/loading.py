"""A plan from a text and plugins of the test's own, for all tests of this folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError
from pyagent.config import Plan, SourceText, load_plan

INPUT = "from pyagent.api import Input\nclass Nothing(Input):\n    def gather(self, acc): pass\n"
OUTPUT = "from pyagent.api import Output\nclass Nowhere(Output):\n    def write(self, batch): pass\n"
OPTIONS = """
from typing import Annotated, Any, Literal
from pyagent.api import Duration, Input, Options, Secret, Size, option

class Server(Options, frozen=True):
    host: str
    port: int = 80

class FullOptions(Options, frozen=True):
    flag: bool = False
    count: int = 1
    share: float = 0.5
    text: str = ""
    texts: list[str] = []
    headers: dict[str, Secret] = {}
    wait: Duration = Duration("5s")
    room: Size = Size("1MB")
    token: Secret = Secret("")
    mode: Literal["fast", "safe"] = "safe"
    server: Server | None = None
    servers: list[Server] = []
    either: str | int = ""
    old: Annotated[str, option("old", deprecated="text")] = ""
    command: Annotated[str, option("what to run", executes=True)] = ""
    files: Annotated[list[str], option("where to write", writes=True)] = []

    def __post_init__(self):
        if self.count > 100:
            raise ValueError("count and text do not go together")

class Full(Input[FullOptions]):
    def gather(self, acc): pass
"""
PLUGINS = {"nothing": INPUT, "nowhere": OUTPUT, "full": OPTIONS}


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A drop-in folder with the input `nothing`, the output `nowhere` and `full`, an input with every kind of option."""
    folder = tmp_path / "plugins.d"
    folder.mkdir()
    for name, text in PLUGINS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


class Load:
    """Makes plans with the drop-in folder; `refused` gives the message of a text that makes none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *texts: str, environ: Mapping[str, str] | None = None, **settings: Any) -> Plan:
        sources = [SourceText(f"{'ab'[index]}.conf", text) for index, text in enumerate(texts)]
        settings = {"testing": True, "plugin_directories": [self.folder], **settings}
        return load_plan(settings.pop("sources", sources), environ=environ or {}, **settings)

    def refused(self, *texts: str, **settings: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            self(*texts, **settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def load(plugins: Path) -> Load:
    return Load(plugins)
