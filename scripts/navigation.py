"""A hook of mkdocs.yml: puts the page of each plugin into the navigation. The pages are what docs/plugins has."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

TITLES = {
    "inputs": "Inputs",
    "outputs": "Outputs",
    "processors": "Processors",
    "aggregators": "Aggregators",
    "parsers": "Parsers",
    "serializers": "Serializers",
    "secretstores": "Secret stores",
}
"""Of the folders, in this order; another one comes behind them."""


def on_config(config: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    config["nav"] = [*config["nav"], {"Plugins": plugins(Path(config["docs_dir"]))}]
    return config


def plugins(docs: Path) -> list[Any]:
    """The section `Plugins`: pages of `plugins/` itself first, then a section for each kind, its pages by name."""

    def pages(folder: Path) -> list[str]:
        names = sorted(path.name for path in folder.glob("*.md"))
        return [f"{folder.relative_to(docs)}/{name}" for name in sorted(names, key=lambda name: name != "index.md")]

    there = sorted(folder.name for folder in (docs / "plugins").iterdir() if folder.is_dir())
    folders = [*(name for name in TITLES if name in there), *(name for name in there if name not in TITLES)]
    return [*pages(docs / "plugins"), *({TITLES.get(name, name): pages(docs / "plugins" / name)} for name in folders)]
