"""The text of a configuration: what InfluxDB's page makes, with the inputs that are chosen and the settings that are given."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

import tomli

from pyagent.api import ConfigError, Secret
from pyagent.api.masking import mask_url
from pyagent.cli.instances import is_variable
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.values import cause_of, read_text
from pyagent.cli.terminal import harmless
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.config.declared import COMMON, OptionSpec, declared_options, table_type
from pyagent.config.options import suggest
from pyagent.config.plan import AgentSettings
from pyagent.config.sample import plugin_sample
from pyagent.config.toml_text import toml_value

__all__ = [
    "Choice",
    "Chosen",
    "check_option",
    "choose",
    "configuration_text",
    "is_secret_text",
    "parse_choice",
    "plugin_options",
]

_AGENT = """\
[agent]
  ## how often every input is gathered, at multiples of the interval
  interval = "10s"
  round_interval = true
  ## metrics in one write at the most, and metrics kept while an output cannot be written
  metric_batch_size = 1000
  metric_buffer_limit = 10000
  ## random delay up to this much before each gather
  collection_jitter = "0s"
  ## how often outputs are written, and a random delay before that
  flush_interval = "10s"
  flush_jitter = "0s"
  ## unit that times are rounded to; empty: by the interval
  precision = ""
  ## value of the tag host; empty: the system's name
  hostname = ""
  omit_hostname = false
"""
_OUTPUT = """\
[[outputs.influxdb_v2]]
  ## InfluxDB, and what the variable INFLUX_TOKEN of this host holds
  urls = [{url}]
  token = "$INFLUX_TOKEN"
  organization = {org}
  bucket = {bucket}
"""
_REFERENCE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*|@\{\w+:")
_PASSWORD = re.compile(r"(?:^|[\s;&?])(?:password|pwd|passwd)\s*=\s*[^\s;&$]", re.IGNORECASE)
_SOURCE = re.compile(r"@(env|file|prompt)(?::(.*))?", re.DOTALL)
_RESERVED = re.compile(r"INFLUX_TOKEN|(?:TELEGRAF|PYAGENT)_.*")


@dataclass(frozen=True, slots=True)
class Choice:
    """One `--set SECTION.OPTION=VALUE`."""

    section: str
    option: str
    key: str
    """Of an option that is a table; empty: the whole option."""
    value: str = field(repr=False)

    @property
    def name(self) -> str:
        return ".".join(filter(None, (self.section, self.option, self.key)))


@dataclass(slots=True)
class Chosen:
    """What the text is made of."""

    inputs: list[CatalogEntry]
    options: dict[str, dict[str, Any]]
    """Values by section (an input's name, or `agent`) and option."""
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    """What references in the values stand for: it belongs into the file of settings."""


def parse_choice(text: str) -> Choice:
    """Raises ConfigError, which does not show the value."""
    names, equals, value = text.partition("=")
    section, _, rest = names.strip().removeprefix("inputs.").partition(".")
    option, _, key = rest.partition(".")
    if not equals or not section or not option:
        # Without an = it may be anything, a secret as well.
        which = f" {harmless(names)!r}" if equals else ""
        raise ConfigError(f"cannot use the setting{which}: write INPUT.OPTION=VALUE, such as mem.interval=30s")
    return Choice(section, option, key, value)


def choose(
    catalog: Catalog,
    inputs: Sequence[str],
    choices: Iterable[Choice],
    *,
    environ: Mapping[str, str],
    known: Mapping[str, str],
    questions: Questions,
) -> Chosen:
    """Look everything up, read secrets from where the values say. Raises ConfigError.

    `known`: values of variables that are kept already, which need not be given again.
    """
    chosen = Chosen([_input(catalog, name) for name in inputs], {})
    if doubled := next((name for name in inputs if list(inputs).count(name) > 1), None):
        raise ConfigError(f"cannot use the input {doubled!r} twice here; add a second one with: pyagent provision edit")
    for choice in choices:
        declared = _declared(catalog, chosen.inputs, choice)
        value = _resolved(choice, declared, chosen, environ, known, questions)
        options = chosen.options.setdefault(choice.section, {})
        if choice.key:
            table = options.setdefault(choice.option, {})
            table[choice.key] = value
        else:
            options[choice.option] = value
    return chosen


def plugin_options(catalog: Catalog, name: str) -> list[str]:
    """The names of an input's own options that `--set` takes. Raises ConfigError."""
    own, *_ = catalog.option_types(_input(catalog, name))
    return [option.name for option in declared_options(own) if table_type(option.annotation) is None]


def check_option(catalog: Catalog, choice: Choice) -> None:
    """Raises ConfigError where the input has no such option."""
    _declared(catalog, [_input(catalog, choice.section)], choice)


def configuration_text(
    catalog: Catalog, chosen: Chosen, *, title: str, url: str, org: str, bucket: str, tls_ca: str = ""
) -> str:
    """The whole text: `[agent]`, the output to the bucket, and a sample of each input with its settings."""
    output = _OUTPUT.format(url=_literal(url), org=_literal(org), bucket=_literal(bucket))
    if tls_ca:
        output += f"  tls_ca = {_literal(tls_ca)}\n"
    return "\n".join(
        [
            f"# {title}\n# In strings, $NAME and ${{NAME}} stand for variables of the host that the agent runs on.\n",
            _agent(chosen.options.get("agent", {})),
            output,
            *(plugin_sample(catalog, entry, chosen.options.get(entry.name)) for entry in chosen.inputs),
        ]
    )


def _is_secret(declared: OptionSpec, value: str) -> bool:
    """Whether a value has a secret in it that is no reference to one."""
    if "secret" in declared.type:
        return bool(value) and not _REFERENCE.search(value)
    return is_secret_text(value)


def is_secret_text(value: str) -> bool:
    """Whether an address or the like has a password in it."""
    return mask_url(value) != value or _PASSWORD.search(value) is not None


def _literal(text: str) -> str:
    """A string that stands for itself: `$` begins a reference otherwise."""
    return toml_value(text.replace("$", "$$"))


def _agent(given: Mapping[str, Any]) -> str:
    lines = []
    left = dict(given)
    for line in _AGENT.splitlines():
        name = line.partition("=")[0].strip()
        lines.append(f"  {name} = {toml_value(left.pop(name))}" if name in left else line)
    return "\n".join([*lines, *(f"  {name} = {toml_value(value)}" for name, value in left.items())]) + "\n"


def _input(catalog: Catalog, name: str) -> CatalogEntry:
    entries = list(catalog.entries("inputs"))
    for entry in entries:
        if entry.name == name.removeprefix("inputs."):
            catalog.load(entry)  # its library may be missing
            return entry
    near = suggest(name, [entry.name for entry in entries])
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(entry.name for entry in entries)}"
    raise ConfigError(f"unknown input {name!r}; {hint}")


def _declared(catalog: Catalog, inputs: Sequence[CatalogEntry], choice: Choice) -> OptionSpec:
    if choice.section == "agent":
        options = list(declared_options(AgentSettings))
    else:
        entry = next((one for one in inputs if one.name == choice.section), None)
        if entry is None:
            names = ", ".join(one.name for one in inputs) or "none"
            raise ConfigError(
                f"cannot set {choice.name}: {choice.section!r} is not among the chosen inputs ({names}); "
                f"add --input {choice.section}"
            )
        kinds = [*catalog.option_types(entry), *COMMON["inputs"]]
        options = [option for kind in kinds for option in declared_options(kind)]
    for option in options:
        if option.name == choice.option and (not choice.key or get_origin(_plain(option.annotation)) is dict):
            if table_type(option.annotation) is not None:
                raise ConfigError(f"cannot set {choice.name}: it is a table; write it with: pyagent provision edit")
            return option
    near = suggest(choice.option, [option.name for option in options])
    hint = f"did you mean {choice.section}.{near}?" if near else f"see pyagent plugins show {choice.section}"
    raise ConfigError(f"cannot set {choice.name}: there is no such option; {hint}")


def _resolved(
    choice: Choice,
    declared: OptionSpec,
    chosen: Chosen,
    environ: Mapping[str, str],
    known: Mapping[str, str],
    questions: Questions,
) -> Any:
    """The value as TOML is to have it; what it refers to is in `chosen.variables` then."""
    annotation = _plain(declared.annotation)
    if choice.key:
        annotation = get_args(annotation)[1]
    if not (match := _SOURCE.fullmatch(choice.value)):
        if _is_secret(declared, choice.value):
            raise ConfigError(
                f"cannot set {choice.name} to a secret that is written here: everybody on this host sees the arguments of "
                f"a process; write {choice.name}=@env:NAME, {choice.name}=@file:PATH or {choice.name}=@prompt"
            )
        return _typed(choice.name, annotation, choice.value)
    source, argument = match[1], match[2] or ""
    if source == "env":
        variable = argument
        if not is_variable(variable) or _RESERVED.fullmatch(variable):
            raise ConfigError(f"cannot set {choice.name}: {variable!r} cannot be used as a variable; name another")
        value = environ.get(variable) or known.get(variable, "")
        if not value:
            raise ConfigError(
                f"cannot set {choice.name}: the variable {variable} is not set; export it, and let it through sudo: "
                f"sudo --preserve-env={variable} pyagent provision ..."
            )
    else:
        variable = re.sub(r"[^A-Z0-9]+", "_", choice.name.upper())
        value = _file(choice.name, argument) if source == "file" else known.get(variable, "")
        if not value:
            value = questions.secret(f"{choice.name} (not shown)")
    Secret(value)  # no message shows it from here on
    chosen.variables[variable] = value
    return f"${{{variable}}}"


def _file(name: str, path: str) -> str:
    try:
        text = read_text(path).removesuffix("\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot set {name}: cannot read {path}: {cause_of(error)}") from None
    if not text:
        raise ConfigError(f"cannot set {name}: the file {path} is empty; write the value into it")
    return text


def _plain(annotation: Any) -> Any:
    """Without `| None`."""
    if get_origin(annotation) in (Union, type(int | None)):
        return next((item for item in get_args(annotation) if item is not type(None)), annotation)
    return annotation


def _typed(name: str, annotation: Any, text: str) -> Any:
    """The value of the option's type that the text stands for. Raises ConfigError."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    try:
        if annotation is bool:
            return {"true": True, "false": False}[text.lower()]
        if annotation in (int, float):
            return annotation(text)
        if origin is Literal and all(isinstance(one, int) for one in arguments):
            return int(text)
        if origin is list:
            if text.lstrip().startswith("["):
                return tomli.loads(f"value = {text}")["value"]
            if text.lstrip()[:1] in ('"', "'"):
                return _quoted(text)
            return [_typed(name, _plain(arguments[0]), part.strip()) for part in text.split(",") if part.strip()]
        if origin is dict:
            return tomli.loads(f"value = {text}")["value"]
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(annotation, "a value of TOML")
        raise ConfigError(f"cannot set {name} to {text!r}: write {wanted}") from None
    return text


def _quoted(text: str) -> list[Any]:
    """Strings in quotes, with commas between; a command whose first word alone is quoted is one string.

    Raises ValueError for a quotation mark without its end.
    """
    try:
        return list(tomli.loads(f"value = [{text}]")["value"])
    except ValueError:
        shlex.split(text)
        return [text]
