"""What the page "Create configuration" needs: the installed inputs with their options, a text of some, and its mistakes."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from aiohttp import web

from pyagent.api import ConfigError, Input
from pyagent.config import SourceText, load_plan
from pyagent.config.catalog import Catalog, CatalogEntry, about
from pyagent.config.declared import OptionSpec, declared_options, table_type
from pyagent.config.sample import plugin_sample
from pyagent.config.toml_text import toml_value
from pyagent.runtime.settings import PLUGIN_DIRECTORY
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.http import caller, read_json, reply, text_of
from pyagent.sandbox.permissions import require
from pyagent.sandbox.wizard import AGENT

DIRECTORIES: Final = (Path(PLUGIN_DIRECTORY),)
"""Where this host's own plugins are."""
_OUTPUT = """\
[[outputs.influxdb_v2]]
  ## This server, and what the variable INFLUX_TOKEN of the agent's host holds.
  urls = [{url}]
  token = "$INFLUX_TOKEN"
  organization = {org}
  bucket = {bucket}
"""


class _Everything(Mapping[str, str]):
    """The variables of a host that is not known here: a reference to any is right."""

    def __getitem__(self, name: str) -> str:
        return f"value-of-{name}"

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


async def plugins(request: web.Request) -> web.Response:
    """The inputs that can be used here, by name."""
    _require_maker(request)
    return reply(request, {"inputs": await asyncio.to_thread(lambda: list(_inputs()))})


def _inputs() -> Iterator[Document]:
    catalog = Catalog(DIRECTORIES)
    for entry in catalog.entries("inputs"):
        try:
            plugin = catalog.load(entry)
            sample = plugin_sample(catalog, entry)
        except ConfigError:
            continue  # a library is missing, or it is broken: `pyagent plugins show` says which
        measurements = plugin.measurements if issubclass(plugin, Input) else ()
        yield {
            "name": entry.name,
            "text": about(plugin).partition("\n\n")[0].replace("\n", " "),
            "sample": sample,
            "options": [
                _option(one)
                for one in declared_options(plugin.options_type)
                if one.offered and table_type(one.annotation) is None
            ],
            "measurements": {
                one.name: {name: field.unit for name, field in one.fields.items() if field.unit} for one in measurements
            },
        }


def _option(declared: OptionSpec) -> Document:
    annotation = _without_none(declared.annotation)
    choices = list(get_args(annotation)) if get_origin(annotation) is Literal else []
    document: Document = {
        "name": declared.name,
        "type": declared.type,
        "text": declared.text,
        "required": declared.required,
        "default": declared.default,
        "effects": declared.effects,
    }
    return document | ({"choices": choices} if choices else {})


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, type(int | None)):
        return next((one for one in get_args(annotation) if one is not type(None)), annotation)
    return annotation


async def compose(request: web.Request) -> web.Response:
    """The text for what is chosen: {bucket, org, inputs: [{name, options: {name: value}}]}."""
    _require_maker(request)
    body = await read_json(request)
    url, chosen = f"http://{request.host}", body.get("inputs")
    if not isinstance(chosen, list) or not all(isinstance(one, dict) for one in chosen):
        raise invalid("cannot make a configuration: inputs must be a list of objects")
    org, bucket = text_of(body, "org"), text_of(body, "bucket")
    return reply(request, {"config": await asyncio.to_thread(_text, url, org, bucket, chosen)})


def _text(url: str, org: str, bucket: str, chosen: list[Document]) -> str:
    """Raises InfluxError."""
    catalog = Catalog(DIRECTORIES)
    parts = [AGENT, _OUTPUT.format(url=_literal(url), org=_literal(org), bucket=_literal(bucket))]
    for one in chosen:
        options = one.get("options") or {}
        try:
            (entry,) = catalog.find(f"inputs.{text_of(one, 'name')}")
            parts.append(plugin_sample(catalog, entry, _known(catalog, entry, options)))
        except (ConfigError, TypeError, ValueError) as error:
            raise invalid(str(error)) from None
    return "\n".join(parts)


def _known(catalog: Catalog, entry: CatalogEntry, options: object) -> Mapping[str, Any]:
    """Raises ValueError for what is no option of the input."""
    names = {option.name for kind in catalog.option_types(entry) for option in declared_options(kind)}
    if not isinstance(options, dict) or not options.keys() <= names:
        raise ValueError(f"cannot set options of {entry.label}: they must be an object with names of its options")
    return options


def _literal(text: str) -> str:
    """A string that stands for itself: `$` begins a reference otherwise."""
    return toml_value(text.replace("$", "$$"))


async def check(request: web.Request) -> web.Response:
    """The mistakes of a text, each with its line; what a host lets a hosted text do is known there alone."""
    _require_maker(request)
    config = text_of(await read_json(request), "config")
    return reply(request, {"mistakes": await asyncio.to_thread(_mistakes, config)})


def _mistakes(config: str) -> list[str]:
    try:
        plan = load_plan(
            [SourceText("line", config)],
            environ=_Everything(),
            plugin_directories=DIRECTORIES,
            partial=True,
        )
    except ConfigError as error:
        return [_placed(str(error))]
    found = [_placed(one) for one in (*plan.errors, *(broken.reason for broken in plan.broken))]
    if not plan.inputs and not found:
        found.append("it has no inputs; choose a plugin")
    return found


def _placed(message: str) -> str:
    """With "line 3: " in place of a file's name."""
    return message.replace("line:", "line ", 1) if message.startswith("line:") else message


def _require_maker(request: web.Request) -> None:
    """Who may make configurations of his organisation."""
    who = caller(request)
    require(who, "write", "telegrafs", who["orgID"])
