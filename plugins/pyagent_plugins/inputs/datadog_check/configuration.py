"""The settings of a check, from the TOML or from the conf.yaml of the Datadog Agent."""

import re
from collections.abc import Iterator
from typing import Any

from pyagent.api import ConfigError
from pyagent.api.files import read_file
from pyagent.kit.libraries import missing_library

__all__ = ["settings"]

_LARGEST = 1 << 20
_MOST_VALUES = 100_000
"""Of a file: an alias of YAML may stand for any number of values."""
_TEMPLATE = re.compile(r"%%[^%]+%%")
_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
_TEMPLATES = ("ad_identifiers", "advanced_ad_identifiers", "cel_selector")


def settings(
    conf: str, init_config: dict[str, Any], instances: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`init_config` and the instances, at least one. Raises ConfigError."""
    option = "instances"
    if conf:
        if init_config or instances:
            raise ConfigError("set either conf, or init_config and instances", option="conf")
        init_config, instances = _read(conf)
        option = "conf"
    instances = instances or [{}]
    for one in instances:
        if not isinstance(one.get("tags") or [], list):
            # Each letter of a text would be a tag.
            raise ConfigError('`tags` of an instance is no list; write ["a:b"]', option=option)
    for key, value in _values([init_config, *instances], option):
        if _TEMPLATE.search(value):
            raise ConfigError(
                f"the value of {key!r:.80} is a template of Datadog's autodiscovery (%%NAME%%), which there is not; write the"
                " value itself",
                option=option,
            )
        if value.startswith("ENC[") and value.endswith("]"):
            raise ConfigError(
                f"the value of {key!r:.80} is a handle of Datadog's secret backend (ENC[...]), which there is not; use a"
                " variable of the environment, ${NAME}, in the table",
                option=option,
            )
    return init_config, instances


def _read(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        import yaml
    except ImportError:
        raise ConfigError(f"cannot read {path}: {missing_library('yaml')}", option="conf") from None
    try:
        text = read_file(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", option="conf") from None
    if len(text) > _LARGEST:
        raise ConfigError(f"cannot read {path}: it has more than 1 MiB", option="conf")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else path
        # What it quotes may be a password that begins as an alias or a tag does.
        cause = _QUOTED.sub("'...'", getattr(error, "problem", None) or "it is no YAML")
        raise ConfigError(f"cannot read {where}: {cause}", option="conf") from None
    if not isinstance(document, dict) or "instances" not in document:
        raise ConfigError(f"cannot read {path}: there is no `instances`", option="conf")
    for name in _TEMPLATES:
        if name in document:
            raise ConfigError(
                f"{path} is a template of Datadog's autodiscovery (`{name}`), which there is not; write a file with the"
                " values themselves",
                option="conf",
            )
    init_config, instances = document.get("init_config") or {}, document["instances"]
    if not isinstance(init_config, dict):
        raise ConfigError(f"cannot read {path}: `init_config` is no table", option="conf")
    if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
        raise ConfigError(f"cannot read {path}: `instances` is no list of tables", option="conf")
    return init_config, instances


def _values(root: Any, option: str) -> Iterator[tuple[str, str]]:
    """All texts with the keys that they stand at; each value only of a kind that can be handed on."""
    count, left = 0, [("", root)]
    while left:
        name, value = left.pop()
        count += 1
        if count > _MOST_VALUES:
            raise ConfigError(f"there are more than {_MOST_VALUES:,} values", option=option)
        if isinstance(value, dict):
            if not all(isinstance(key, str | int | float | bool) or key is None for key in value):
                raise ConfigError("a key is neither a text nor a number", option=option)
            left += [(str(key), one) for key, one in value.items()]
        elif isinstance(value, list):
            left += [(name, one) for one in value]
        elif isinstance(value, str):
            yield name, value
        elif not (value is None or isinstance(value, int | float)):
            raise ConfigError(
                f"the value of {name!r:.80} is a {type(value).__name__}, which no check is given; write it in quotes",
                option=option,
            )
