"""A hook of mkdocs.yml: puts the page of each plugin into the navigation. The pages are what docs/plugins has."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

KINDS = ("inputs", "outputs", "processors", "aggregators", "parsers", "serializers", "secretstores")


def on_config(config: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    config["nav"] = [*config["nav"], {"Plugins": plugins(Path(config["docs_dir"]))}]
    return config


def plugins(docs: Path) -> list[Any]:
    """The section `Plugins`: pages of `plugins/` itself first, then a section for each kind, its pages by name."""

    def pages(folder: Path) -> list[str]:
        names = sorted(path.name for path in folder.glob("*.md"))
        return [f"{folder.relative_to(docs)}/{name}" for name in sorted(names, key=lambda name: name != "index.md")]

    folders = sorted(
        (folder for folder in (docs / "plugins").iterdir() if folder.is_dir()),
        key=lambda folder: (KINDS.index(folder.name) if folder.name in KINDS else len(KINDS), folder.name),
    )
    sections = [{folder.name.capitalize(): pages(folder)} for folder in folders]
    return [*pages(docs / "plugins"), *sections]
