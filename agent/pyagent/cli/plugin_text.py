"""One plugin in the terminal, and as JSON: what its page in Markdown has."""

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from pyagent.api import Measurement
from pyagent.config.declared import OptionSpec
from pyagent.config.description import Description, about_text, field_type, flat_options
from pyagent.config.toml_text import toml_value
from pyagent.runtime.colours import coloured, has_colours

__all__ = ["as_document", "as_text"]

_WIDTH = 118


def as_document(shown: Description) -> dict[str, Any]:
    return {
        "kind": shown.entry.kind,
        "name": shown.entry.name,
        "from": shown.entry.origin,
        "text": "\n\n".join(filter(None, (shown.summary, shown.text))),
        "stability": shown.about.stability,
        "platforms": list(shown.about.platforms),
        **({"since": shown.about.since} if shown.about.since else {}),
        "options": [_option(declared) for declared in shown.options],
        "measurements": [
            {
                "name": measurement.name,
                "text": measurement.text,
                "open": measurement.open,
                "tags": dict(measurement.tags),
                "fields": {
                    name: {"type": field.type, "unit": field.unit, "text": field.text, "counter": field.counter}
                    for name, field in measurement.fields.items()
                },
            }
            for measurement in shown.measurements
        ],
        "sample": shown.sample,
    }


def _option(declared: OptionSpec) -> dict[str, Any]:
    default = {} if declared.default is None else {"default": declared.default}
    more: dict[str, Any] = {"deprecated": declared.deprecated} if declared.deprecated else {}
    more |= {"bounds": declared.bounds} if declared.bounds else {}
    more |= {"renamed_from": list(declared.renamed_from)} if declared.renamed_from else {}
    more |= {"no_effect": True} if declared.no_effect else {}
    return {
        "name": declared.name,
        "type": declared.type,
        "required": declared.required,
        **default,
        "text": declared.text,
        **more,
        **dict.fromkeys(declared.effects, True),
    }


def as_text(shown: Description) -> Iterator[str]:
    """Line by line."""
    yield _title(shown.entry.label) + f" (from {shown.entry.origin})"
    yield ""
    yield from _wrapped(shown.summary or "It says nothing about itself.", "")
    if note := about_text(shown.about):
        yield from _wrapped(note, "")
    if about := shown.notes.lead or shown.text:
        yield ""
        yield from _markdown(about, "")
    yield ""
    yield _title("Options") if shown.options else "It has no options of its own."
    rows = [(name, option.type, _default(option), _meaning(option)) for name, option in flat_options(shown.options)]
    yield from _table([("option", "type", "default", "meaning"), *rows] if rows else [])
    yield from _section(shown, "Options")
    if metrics := list(_section(shown, "Metrics")):
        yield ""
        yield _title("Metrics")
        yield from metrics[1:]
    for measurement in shown.measurements:
        yield from _measurement(measurement)
    for heading, text in shown.notes.sections:
        if heading not in ("Options", "Metrics"):
            yield ""
            yield _title(heading)
            yield from _markdown(text, "  ")
    yield ""
    yield _title("Sample configuration")
    yield from textwrap.indent(shown.sample, "  ").splitlines()


def _section(shown: Description, name: str) -> Iterator[str]:
    if text := shown.notes.section(name):
        yield ""
        yield from _markdown(text, "  ")


def _measurement(measurement: Measurement) -> Iterator[str]:
    yield ""
    more = " (and further fields and tags)" if measurement.open else ""
    yield _title(f"Measurement {measurement.name}") + more
    yield from _wrapped(measurement.text, "  ")
    yield from _table([(f"tag {name}", "", "", text) for name, text in measurement.tags.items()])
    yield from _table([(name, field_type(field), field.unit, field.text) for name, field in measurement.fields.items()])


def _title(text: str) -> str:
    return coloured(text, "bold") if has_colours(sys.stdout) else text


def _default(option: OptionSpec) -> str:
    if option.required:
        return "(required)"
    return "" if option.default is None else toml_value(option.default)


def _meaning(option: OptionSpec) -> str:
    more = [option.bounds] if option.bounds else []
    more += [f"deprecated: use {option.deprecated}"] if option.deprecated else []
    more += [f"before: {', '.join(option.renamed_from)}"] if option.renamed_from else []
    text = f"without effect: {option.text}" if option.no_effect else option.text
    return text + "".join(f" ({words})" for words in more)


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [min(max((len(row[column]) for row in rows), default=0), 40) for column in range(3)]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width)
        yield f"  {cells}  {row[3]}".rstrip()


def _markdown(text: str, indent: str) -> Iterator[str]:
    """Markdown so that it reads well in a terminal: lines of code as they are, everything else wrapped."""
    is_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif is_code or line.startswith("    "):
            yield f"{indent}  {line}".rstrip()
        elif line.startswith("|"):
            if not re.fullmatch(r"[| :-]+", line):
                cells = re.split(r" *(?<!\\)\| *", line.strip("| "))
                yield from _wrapped(_inline("  |  ".join(cells)), indent, indent + "    ")
        elif line.startswith("#"):
            yield f"{indent}{_title(line.lstrip('# '))}"
        elif line.startswith(("- ", "* ")):
            yield from _wrapped(_inline(line), indent, f"{indent}  ")
        else:
            yield from _wrapped(_inline(line), indent) if line else [""]


def _inline(text: str) -> str:
    """Without the marks of links: an address of the web stays, a path to another page does not."""
    text = re.sub(r"\[([^\]]+)\]\((https?://[^)]+)\)", r"\1 (\2)", text)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "")


def _wrapped(text: str, indent: str, after: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if after is None else after,
        break_long_words=False,
        break_on_hyphens=False,
    )
