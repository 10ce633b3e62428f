"""Headers of HTTP that a configuration names: `headers`, `http_headers` and the like."""

import re
from collections.abc import Mapping

from pyagent.api.errors import ConfigError
from pyagent.api.units import Secret

__all__ = ["check_text", "revealed_headers"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def revealed_headers(headers: Mapping[str, Secret | str], option: str) -> dict[str, str]:
    """Names and values as they are sent. Raises ConfigError, which shows no value, for what can stand in no header."""
    found = {name: value.reveal() if isinstance(value, Secret) else value for name, value in headers.items()}
    for name, value in found.items():
        if not _NAME.fullmatch(name):
            text = f"cannot use {option}: {name!r} is no name of a header; write letters, digits and hyphens, without blanks"
            raise ConfigError(text, option=option)
        check_text(value, option, of=f"the value of {name!r}")
    return found


def check_text(text: str, option: str, of: str = "it") -> None:
    """Raises ConfigError where it cannot be a header's value."""
    if _CONTROL.search(text):
        raise ConfigError(
            f"cannot use {option}: {of} holds a line break or control character; remove it", option=option
        )
