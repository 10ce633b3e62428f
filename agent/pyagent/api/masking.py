"""How text is shown that may hold secrets: URLs without them, and which names promise one."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, unquote_plus

__all__ = ["mask_url", "mask_urls", "secret_values", "url_secrets"]

_URL = re.compile(r"(?<=://)(?:[^\s/?#@]*@)?[^\s\"'<>`]*")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"([?&;#])([^=&;#?]*)=([^&;#]*)")
_SECRET_NAMES = frozenset(("p", "pw", "k", "key", "sig", "auth", "code", "jwt", "sas"))
_SECRET_PARTS = ("pass", "pwd", "secret", "token", "signature", "credential", "authorization", "session")
_SECRET_ENDS = ("apikey", "accesskey", "privatekey", "authkey", "_key", "-key", ".key")
_NO_SECRET = ("pwd", "oldpwd")
_NO_SECRET_ENDS = ("_directory", "_dir", "_file", "_path", "_fd", "_sock")
"""Where secrets are, not what they are."""


def mask_urls(text: str) -> str:
    """`text` with user, password and secret parameters of each URL in it masked."""
    return _URL.sub(lambda match: _masked(match[0]), text) if "://" in text else text


def mask_url(url: str) -> str:
    """The same of one URL, which may have anything in it."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + _masked(rest)


def _masked(rest: str) -> str:
    """What stands behind the `://` of a URL."""
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches anything
    port = authority.rpartition("]")[2].rpartition(":")[2] if ":" in authority else ""
    if "@" in authority:
        rest = "***@" + authority.rpartition("@")[2] + rest[len(authority) :]
    elif port and not port.isdecimal() and "@" in rest:
        # No port, so a password with a / ? or # in it, which somebody did not write as %2F.
        rest = "***@" + rest.rpartition("@")[2]
    if "=" not in rest:
        return rest
    return _PARAMETER.sub(lambda match: f"{match[1]}{match[2]}=***" if _is_secret(match) else match[0], rest)


def _is_secret(parameter: re.Match[str]) -> bool:
    name, value = parameter[2], parameter[3]
    # What is masked already may have a line number behind it.
    return value != "" and not value.startswith("***") and _promises_secret(unquote_plus(name).strip().lower())


def _promises_secret(name: str) -> bool:
    return name in _SECRET_NAMES or name.endswith(_SECRET_ENDS) or any(part in name for part in _SECRET_PARTS)


def secret_values(environ: Mapping[str, str], shortest: int = 4) -> Iterator[str]:
    """The values of the variables whose names promise a secret; those of fewer characters would mask half of a message."""
    for variable, value in environ.items():
        name = variable.lower()
        is_place = name in _NO_SECRET or name.endswith(_NO_SECRET_ENDS)
        if len(value) >= shortest and not is_place and _promises_secret(name):
            yield value


def url_secrets(text: str, shortest: int = 4) -> Iterator[str]:
    """The passwords and secret parameters of the URLs in a text, as they stand there and decoded: what shows the parts of a URL
    shows them without the rest of it."""
    for url in _URL.findall(text) if "://" in text else ():
        user, at, _ = _AUTHORITY.match(url)[0].rpartition("@")  # type: ignore[index]  # it matches anything
        found = [user.partition(":")[2]] if at else []
        found += [parameter[3] for parameter in _PARAMETER.finditer(url) if _is_secret(parameter)]
        for secret in found:
            yield from {one for one in (secret, unquote(secret), unquote_plus(secret)) if len(one) >= shortest}
