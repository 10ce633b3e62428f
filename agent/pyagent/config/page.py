"""The pages of plugins in Markdown, made from their declarations and the notes beside them."""

import posixpath
import re
from collections.abc import Iterator, Sequence

from pyagent.api import Measurement
from pyagent.config.annotations import about_of, platform_names
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.config.declared import COMMON, OptionSpec, declared_options
from pyagent.config.description import Description, about_text, describe_plugin, field_type, flat_options
from pyagent.config.plan import PluginKind
from pyagent.config.toml_text import toml_value
from pyagent.plugin_kinds import KINDS, PLUGIN_KINDS

__all__ = ["builtin_pages", "plugin_page", "with_differences"]

_MADE = "<!-- Made by `make docs-plugins` from the plugin's declarations and the notes beside it: change those. -->\n\n"
_EFFECTS = {"executes": "runs commands", "writes": "writes files", "reads_path": "reads files"}
_HOSTED = "configuration.md#what-a-text-from-a-url-can-do"
_DIFFERENCES = "Differences from Telegraf"
"""The heading in the notes of a plugin."""
_LISTED = (
    "<!-- From here to the next comment: made by `make docs-plugins` of the notes beside the plugins. -->",
    "<!-- The end of what is made of the notes. -->",
)
_INDEX = """\
# Plugins

A name in a configuration is the name here: `[[inputs.mem]]` is [inputs.mem](inputs/mem.md). `pyagent plugins` lists those of
the host, your own included, and `pyagent plugins NAME` shows what a page here shows. [Writing plugins](../writing-plugins.md)
says how to add one.

Types of fields are `int`, `uint`, `float`, `bool` and `str`. A `uint` is an unsigned integer of 64 bits; it is written as a
signed one (`i`), unless the output sets `influx_uint_support`. The unit `1` is a plain count.
"""


def builtin_pages(catalog: Catalog) -> dict[str, str]:
    """The pages of the plugins that come with the agent, and `index.md`, by their paths below docs/plugins."""
    entries = [entry for entry in catalog.entries() if entry.origin == "pyagent"]
    pages = {f"{entry.kind}/{entry.name}.md": _MADE + plugin_page(catalog, entry, "../") for entry in entries}
    return {"index.md": _MADE + _index(catalog, entries), **pages}


def with_differences(catalog: Catalog, page: str) -> str:
    """`page`, a text for docs/differences.md, with what the notes of the plugins say between its two comments.

    Raises ValueError for a page without them.
    """
    parts = [_LISTED[0]]
    for entry in catalog.entries():
        text = describe_plugin(catalog, entry).notes.section(_DIFFERENCES) if entry.origin == "pyagent" else ""
        if text:
            path = f"plugins/{entry.kind}/{entry.name}.md"
            parts += [f"**[{entry.label}]({path}#{_anchor_of(_DIFFERENCES)})**", _moved(text.strip("\n"), path)]
    before, begin, rest = page.partition(_LISTED[0])
    _, end, after = rest.partition(_LISTED[1])
    if not begin or not end:
        raise ValueError(f"the page has no place for the differences: it needs the lines {_LISTED[0]} and {_LISTED[1]}")
    return before + "\n\n".join([*parts, _LISTED[1]]) + after


def _moved(text: str, path: str) -> str:
    """Markdown of the page at `path` with its links as they are in a page from which `path` is seen."""

    def moved(found: re.Match[str]) -> str:
        target = found[1]
        if "://" in target:
            return found[0]
        place = path if target.startswith("#") else f"{posixpath.dirname(path)}/"
        return f"]({posixpath.normpath(place + target)})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, text)


def plugin_page(catalog: Catalog, entry: CatalogEntry, docs: str = "") -> str:
    """One plugin's page. `docs`: where docs/plugins lies as seen from it; without it there are no links to other pages.

    Raises ConfigError where the plugin cannot be imported.
    """
    shown = describe_plugin(catalog, entry)
    return "\n\n".join(part.strip("\n") for part in _parts(shown, docs) if part) + "\n"


def _parts(shown: Description, docs: str) -> Iterator[str]:
    yield f"# {shown.entry.label}"
    yield shown.summary
    yield about_text(shown.about)
    notes = shown.notes
    yield notes.lead or shown.text
    sample = f"```toml\n{shown.sample.removeprefix(f'# {shown.summary}' + chr(10))}```"
    has_example = "```toml" in notes.lead
    if not has_example:
        yield sample
    yield "## Options"
    if shown.options:
        yield _options(flat_options(shown.options))
    else:
        yield "It has no options of its own."
    yield notes.section("Options")
    yield _more_options(shown, docs)
    metrics = notes.section("Metrics")
    if shown.measurements or metrics:
        yield "## Metrics"
        yield metrics
        for measurement in shown.measurements:
            yield from _measurement(measurement)
    for heading, text in notes.sections:
        if heading not in ("Options", "Metrics"):
            yield f"## {heading}"
            yield text
    if has_example:
        yield "## Sample configuration"
        yield sample


def _more_options(shown: Description, docs: str) -> str:
    """The options that are declared elsewhere and stand in the same table."""
    kind = shown.entry.kind
    if kind in ("parsers", "serializers"):
        user = "input" if kind == "parsers" else "output"
        return f"The options stand in the table of the {user} that names this `data_format`."
    if not docs:
        return f"The same table takes the {_common_title(kind).lower()}."
    every = f"[the {_common_title(kind).lower()}]({docs}index.md#{_anchor(kind)})"
    text = f"The same table takes {every}"
    if shown.format:
        text += f", and those of the [{shown.format[:-1]}]({docs}index.md#{shown.format}) that `data_format` names"
    effects = {effect for _, option in flat_options(shown.options) for effect in option.effects}
    if not effects:
        return f"{text}."
    words = " or ".join(_EFFECTS[effect] for effect in _EFFECTS if effect in effects)
    return f"{text}. An option that {words} has [bounds in a configuration from a URL]({docs}../{_HOSTED})."


def _options(options: Iterator[tuple[str, OptionSpec]]) -> str:
    rows = [(f"`{name}`", option.type, _default(option), _meaning(option)) for name, option in options]
    return _table(("option", "type", "default", "meaning"), rows)


def _default(option: OptionSpec) -> str:
    if option.required:
        return "required"
    return "" if option.default is None else f"`{toml_value(option.default)}`"


def _meaning(option: OptionSpec) -> str:
    more = [option.bounds] if option.bounds else []
    more += [f"deprecated: use {option.deprecated}"] if option.deprecated else []
    more += [f"before: `{'`, `'.join(option.renamed_from)}`"] if option.renamed_from else []
    more += [_EFFECTS[effect] for effect in option.effects]
    text = f"without effect: {option.text}" if option.no_effect else option.text
    return _plain(text) + "".join(f" ({words})" for words in more)


def _measurement(measurement: Measurement) -> Iterator[str]:
    yield f"### `{measurement.name}`"
    text = _sentence(_plain(measurement.text))
    if measurement.open:
        text += " Further fields and tags may appear."
    yield text.strip()
    if measurement.tags:
        yield _table(("tag", "meaning"), [(f"`{name}`", _plain(text)) for name, text in measurement.tags.items()])
    if measurement.fields:
        rows = [
            (f"`{name}`", field_type(field), field.unit, _plain(field.text))
            for name, field in measurement.fields.items()
        ]
        yield _table(("field", "type", "unit", "meaning"), rows)


def _index(catalog: Catalog, entries: Sequence[CatalogEntry]) -> str:
    parts = [_INDEX.strip()]
    for kind in KINDS:
        rows = []
        for entry in (entry for entry in entries if entry.kind == kind):
            about = about_of(catalog.load(entry))
            rows.append(
                (
                    f"[{entry.name}]({kind}/{entry.name}.md)",
                    _plain(catalog.summary(entry)),
                    platform_names(about.platforms) if about.platforms else "",
                    about.stability if about.stability != "stable" else "",
                )
            )
        parts += [f"## {PLUGIN_KINDS[kind].title}", _table(("plugin", "what it does", "platforms", "stability"), rows)]
    for kind in (kind for kind in KINDS if COMMON.get(kind)):
        options = {option.name: option for options in COMMON[kind] for option in declared_options(options)}
        parts += [f"## {_common_title(kind)}", _options(flat_options(list(options.values())))]
    return "\n\n".join(parts) + "\n"


def _common_title(kind: PluginKind) -> str:
    return f"Options of all {PLUGIN_KINDS[kind].title.lower()}"


def _anchor(kind: PluginKind) -> str:
    return _anchor_of(_common_title(kind))


def _anchor_of(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    # A column that nobody fills is left out, but for the first.
    kept = [n for n in range(len(head)) if n == 0 or any(row[n] for row in rows)]
    return "\n".join("| " + " | ".join(row[n].replace("|", r"\|") for n in kept) + " |" for row in lines)


def _plain(text: str) -> str:
    """Text of a declaration so that Markdown shows it as it is; what stands in backticks is code there, too."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[\]])", r"\\\1", part) for part in parts)
