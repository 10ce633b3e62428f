"""All that is known of one plugin, for its page and for the terminal: its declarations, and the notes that lie beside it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyagent.api import About, Field, Input, Measurement
from pyagent.config.annotations import about_of, platform_names
from pyagent.config.catalog import Catalog, CatalogEntry, about
from pyagent.config.data_format import format_kind
from pyagent.config.declared import OptionSpec, declared_options, table_type
from pyagent.config.plan import PluginKind
from pyagent.config.sample import plugin_sample
from pyagent.reading import read_file

__all__ = ["Description", "Notes", "about_text", "describe_plugin", "field_type", "flat_options"]

MOST_NOTES = 1 << 20
"""Bytes of a file of notes."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Markdown by hand: what stands before the first heading of the second level, and the sections by their headings."""

    lead: str = ""
    sections: Sequence[tuple[str, str]] = ()

    def section(self, name: str) -> str:
        """The text of a section; empty where there is none."""
        return next((text for heading, text in self.sections if heading == name), "")


@dataclass(frozen=True, slots=True)
class Description:
    """A plugin as it is shown."""

    entry: CatalogEntry
    summary: str
    """The first paragraph of its docstring, on one line."""
    text: str
    """The rest of the docstring."""
    notes: Notes
    about: About
    options: Sequence[OptionSpec]
    format: PluginKind | None
    """The kind of plugin whose options stand in the same table, by `data_format`."""
    measurements: Sequence[Measurement]
    sample: str


def describe_plugin(catalog: Catalog, entry: CatalogEntry) -> Description:
    """Raises ConfigError where the plugin cannot be imported."""
    plugin = catalog.load(entry)
    summary, _, text = about(plugin).partition("\n\n")
    return Description(
        entry=entry,
        summary=" ".join(summary.split()),
        text=text,
        notes=read_notes(_notes_file(catalog.source(entry))),
        about=about_of(plugin),
        options=list(declared_options(plugin.options_type)),
        format=format_kind(plugin.options_type),
        measurements=plugin.measurements if issubclass(plugin, Input) else (),
        sample=plugin_sample(catalog, entry),
    )


def flat_options(options: Sequence[OptionSpec], before: str = "") -> Iterator[tuple[str, OptionSpec]]:
    """Each option with its name, those of tables among them behind the table's: `server.port`."""
    for option in options:
        yield before + option.name, option
        if found := table_type(option.annotation):
            yield from flat_options(list(declared_options(found[0])), f"{before}{option.name}.")


def about_text(about: About) -> str:
    """What is out of the ordinary, as sentences; empty where nothing is."""
    texts = {
        "beta": "Beta: options and metrics may still change.",
        "experimental": "Experimental: it may go as it came.",
    }
    parts = [texts.get(about.stability, "")]
    parts += [f"For {platform_names(about.platforms)} only."] if about.platforms else []
    parts += [f"Since {about.since}."] if about.since else []
    return " ".join(filter(None, parts))


def field_type(field: Field) -> str:
    """`int`, or of one that only grows `int, counter`."""
    return f"{field.type}, counter" if field.counter else field.type


def read_notes(file: Path | None) -> Notes:
    """The notes in a file of Markdown; none where there is no file that can be read."""
    try:
        text = read_file(file, MOST_NOTES).decode("utf-8", "replace") if file else ""
    except (OSError, ValueError):
        return Notes()
    # A line such as `## text` in a block of code is no heading: the blocks are hidden while the text is cut.
    hidden = re.sub(r"(?ms)^```.*?^```$", lambda block: re.sub("#", "\0", block[0]), text)
    lead, *sections = re.split(r"(?m)^## ", hidden)
    pairs = [section.replace("\0", "#").partition("\n") for section in sections]
    return Notes(lead.replace("\0", "#").strip(), tuple((heading.strip(), rest.strip()) for heading, _, rest in pairs))


def _notes_file(source: Path | None) -> Path | None:
    """`mem.md` beside `mem.py`; of a plugin that is a folder, `postgresql.md` beside the folder."""
    if source is None:
        return None
    return (source.parent if source.name == "__init__.py" else source).with_suffix(".md")
