"""Secrets in settings that code or programs of others are given: the log masks them, in whatever form they come back.

def setup(self) -> None:
    mask_settings(self.options.instances)
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import quote, quote_plus

from pyagent.api.masking import secret_values, url_secrets
from pyagent.api.units import Secret

__all__ = ["mask_settings"]

_LEAST_NUMBER, _MOST_NUMBER = 10**5, 10**20
_SHORTEST_LINE = 8
"""Shorter ones, and smaller numbers, would mask what is none: a bound, the end of a block."""
_SCHEMES = ("basic", "bearer", "token", "apikey")
_ASSIGNED = re.compile(
    r"""(?<![\w&?])(?P<name>[\w-]{0,40}(?:passw|pwd|passphrase|secret|token|api[_-]?key|community)[\w-]{0,40})(?P<equals>\s*=\s*|\s+)"""
    r"""(?:(?P<quoted>"[^"]+"|'[^']+'|\{[^}]+\})|(?P<bare>[^\s;,"'{]+))""",
    re.ASCII | re.IGNORECASE,
)
"""In a text of options or of a connection: `--password=X`, `--password X`, `;Password=X`; a line `Password "X"`."""


def mask_settings(settings: object) -> None:
    """What the names of settings promise to be secret, and what URLs in them have: in tables and lists of any depth."""
    left: list[tuple[str, str, object]] = [("", "", settings)]
    while left:
        name, above, value = left.pop()
        if isinstance(value, Mapping):
            above = name if _promised(name, "text") else above
            # Of `auth_token: {reader: {value: X}}` the name that tells stands above.
            left += [(above if above and str(key) == "value" else str(key), above, one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            left += [(name, above, one) for one in value]
            left += [
                (option.lstrip("-"), "", one)
                for option, one in pairwise(value)
                if isinstance(option, str) and option.startswith("-") and "=" not in option
            ]
        elif isinstance(value, str):
            for secret in (*_promised(name, value), *url_secrets(value), *_assigned(value)):
                for form in _forms(secret):
                    Secret(form)
        elif isinstance(value, int | float) and _LEAST_NUMBER <= value < _MOST_NUMBER:
            for secret in secret_values({name: f"{value:.0f}"}):
                Secret(secret)


def _promised(name: str, value: str) -> list[str]:
    """The value where its name promises a secret, also where only settings do: a variable PWD is a folder."""
    name = name.lower()
    is_secret = (name == "pwd" and not value.startswith("/")) or ("community" in name and value.lower() != "public")
    return list(secret_values({"password" if is_secret else name: value}))


def _assigned(text: str) -> Iterator[str]:
    for match in _ASSIGNED.finditer(text):
        name, equals, quotes = match["name"], match["equals"].strip(), match["quoted"]
        value = quotes[1:-1] if quotes else match["bare"]
        is_line = bool(quotes) and not text[: match.start()].rpartition("\n")[2].strip(" \t")
        if (equals or is_line or name.startswith("-")) and not value.startswith(("/", "-")):
            yield from _promised(name.strip("-").replace("-", "_"), value)


def _forms(secret: str) -> Iterator[str]:
    """The secret as errors and libraries show it: quoted, in a URL, on one line, line by line."""
    yield secret
    yield " ".join(secret.split())
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----"))
    scheme, _, rest = secret.partition(" ")
    if scheme.lower() in _SCHEMES:  # of a header
        yield rest.strip()
