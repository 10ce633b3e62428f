"""Secrets in settings that code or programs of others are given: the log masks them, in whatever form they come back.

def setup(self) -> None:
    mask_settings(self.options.instances)
"""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from pyagent.api.masking import secret_values, url_secrets
from pyagent.api.units import Secret

__all__ = ["mask_settings"]

_LEAST_NUMBER, _MOST_NUMBER = 10**5, 10**20
_SHORTEST_LINE = 8
"""Shorter ones, and smaller numbers, would mask what is none: a bound, the end of a block."""
_SCHEMES = ("basic", "bearer", "token", "apikey")


def mask_settings(settings: object) -> None:
    """What the names of settings promise to be secret, and what URLs in them have: in tables and lists of any depth."""
    left: list[tuple[str, object]] = [("", settings)]
    while left:
        name, value = left.pop()
        if isinstance(value, Mapping):
            left += [(str(key), one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            left += [(name, one) for one in value]
        elif isinstance(value, str):
            for secret in (*secret_values({name: value}), *url_secrets(value)):
                for form in _forms(secret):
                    Secret(form)
        elif isinstance(value, int | float) and _LEAST_NUMBER <= value < _MOST_NUMBER:
            for secret in secret_values({name: f"{value:.0f}"}):
                Secret(secret)


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
