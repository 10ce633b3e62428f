"""The option `address`: libpq's two forms of a connection string, read as Telegraf's library pgx reads them.

The text is never repeated in a message: a mistake in it may well be a piece of the password.
"""

import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote

from pyagent.api import ConfigError

CONNECT_TIMEOUT = 5
"""Seconds for each IP address of the server, unless connect_timeout says otherwise."""

SECRETS = frozenset({"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"})
FILES = frozenset({"passfile", "servicefile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir"})
# Left out of the tag `server`: secrets, and what Telegraf leaves out.
HIDDEN = SECRETS | {"sslcert", "sslkey", "sslmode", "sslrootcert"}
# Settings of pgx, the library of Telegraf, that have no counterpart; those named pool_... are others.
PGX_ONLY = {"statement_cache_capacity", "description_cache_capacity", "krbspn", "servicefile", "sslinline"}

# ASCII: to libpq, other blanks of Unicode are letters.
_PAIR = re.compile(r"\s*([\w.]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.?)(?:[^\s\\]|\\.?)*)|\Z)", re.A | re.S)
_SOCKET = re.compile(r"(/.*)?/\.s\.PGSQL\.(\d+)", re.A)
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")

Pairs = list[tuple[str, str]]


def parse_address(text: str) -> tuple[Pairs, str]:
    """The settings of an address, and the address without what is HIDDEN, as the tag `server` has it.

    Key=value pairs stay there as they were written; a URL becomes such pairs, sorted, as in Telegraf. Raises ConfigError.
    """
    for scheme in ("postgres://", "postgresql://"):
        if text.startswith(scheme):
            pairs = _parse_url(text.removeprefix(scheme))
            return pairs, " ".join(sorted(f"{key}={_quote(value)}" for key, value in pairs if _is_shown(key)))
    written = list(_split_pairs(text))
    # What is hidden goes with one blank before it, so that the tag equals Telegraf's to the blank.
    shown = "".join(raw if _is_shown(key) else raw[: len(raw) - len(raw.lstrip())][:-1] for key, _, raw in written)
    return [(key, value) for key, value, _ in written], shown.strip()


def files_of_address(text: str) -> list[str]:
    """The files that an address names for libpq to read; none of one that cannot be read."""
    try:
        return [value for key, value in parse_address(text)[0] if key in FILES and value != "system"]
    except ConfigError:
        return []


def _is_shown(key: str) -> bool:
    return key.lower() not in HIDDEN


def _split_pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Each key=value pair by libpq's rules: the key, the value, and both as they were written, blanks before included."""
    position = 0
    while text[position:].strip():
        match = _PAIR.match(text, position)
        if match is None:
            raise ConfigError(
                f"cannot read address: at character {position + 1} there is no key=value; "
                "put a value with blanks in single quotes",
                option="address",
            )
        quoted, plain = match[2], match[3]
        value = quoted if quoted is not None else plain or ""
        yield match[1], re.sub(r"\\(.?)", r"\1", value, flags=re.DOTALL), match[0]
        position = match.end()


def _parse_url(text: str) -> Pairs:
    """The settings of a URL without its scheme."""
    rest, _, query = text.partition("?")
    authority, _, path = rest.partition("/")
    user_part, has_user, hosts_part = authority.rpartition("@")
    pairs: Pairs = []
    if has_user:
        user, has_password, password = user_part.partition(":")
        pairs += [("user", unquote(user)), *([("password", unquote(password))] if has_password else [])]
    matches = [_HOST.fullmatch(part) for part in hosts_part.split(",") if part]
    # Brackets around an IPv6 address are kept where no port follows, as in Telegraf's tag.
    hosts = [unquote(match[1] if match[2] is None else match[1].strip("[]")) for match in matches if match]
    ports = [match[2] for match in matches if match]
    if None in matches:
        raise ConfigError(
            "cannot read address: a host is not host:port; write special characters of the password as %XX, "
            "and an IPv6 address in brackets",
            option="address",
        )
    if hosts:
        pairs.append(("host", ",".join(hosts)))
    if any(port is not None for port in ports):
        pairs.append(("port", ",".join(port or "" for port in ports)))
    if database := unquote(path).lstrip("/"):
        pairs.append(("dbname", database))
    settings: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        settings[key] = f"{settings[key]},{value}" if key in settings else value
    return [*pairs, *settings.items()]


def _quote(value: str) -> str:
    """A value as Telegraf shows it in the tag of a URL's address."""
    if not any(character in " ='\\" for character in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def connection_parameters(pairs: Pairs, known: frozenset[str]) -> tuple[dict[str, str], bool, list[str]]:
    """What to connect with, whether statements may be prepared, and which settings were ignored.

    `known`: the settings of libpq. Like pgx, this takes any other as a setting of the server (search_path, ...).
    """
    parameters: dict[str, str] = {}
    server_settings: list[str] = []
    ignored: list[str] = []
    prepare = True
    for key, value in pairs:
        if key == "default_query_exec_mode":
            prepare = value == "cache_statement"
        elif key == "ssl" and value == "true":
            parameters.setdefault("sslmode", "require")
        elif key == "database" or key in known:
            parameters["dbname" if key == "database" else key] = value
        elif key in PGX_ONLY or key.startswith("pool_"):
            ignored.append(key)
        else:
            server_settings.append("-c " + re.sub(r"([\\\s])", r"\\\1", f"{key}={value}"))
    parameters = {key: value for key, value in parameters.items() if value}
    if server_settings:
        before = parameters.get("options", os.environ.get("PGOPTIONS", ""))
        parameters["options"] = " ".join([before, *server_settings]).strip()
    if "host" in parameters:
        parameters |= _hosts(parameters["host"], parameters.get("port", ""))
    # GSS encryption is looked for by default, at the cost of loading Kerberos; pgx has none.
    defaults = {"gssencmode": "disable", "connect_timeout": str(CONNECT_TIMEOUT)}
    for key, value in defaults.items():
        if key in known and not os.environ.get(f"PG{key}".upper()):
            parameters.setdefault(key, value)
    return {"fallback_application_name": "pyagent", **parameters}, prepare, ignored


def _hosts(host: str, port: str) -> dict[str, str]:
    """The hosts as libpq takes them, and their ports: an IPv6 address without brackets, a socket by its folder and by the port
    in its name."""
    hosts = re.sub(r"[\[\]]", "", host).split(",")
    sockets = [_SOCKET.fullmatch(one) for one in hosts]
    if not any(sockets):
        return {"host": ",".join(hosts)}
    ports = port.split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(ports) != len(hosts):
        return {"host": host}  # libpq has words for that
    named = zip(sockets, hosts, ports, strict=True)
    found = [(match[1] or "/", match[2]) if match else (one, number) for match, one, number in named]
    return {"host": ",".join(one for one, _ in found), "port": ",".join(number for _, number in found)}


def database_of(address: str) -> str:
    """The database that the tag `server` names, which Telegraf takes for that of the background writer's metric."""
    try:
        pairs, _ = parse_address(address)
    except ConfigError:
        pairs = []
    named = [value for key, value in pairs if key in ("dbname", "database")]
    return (named[-1] if named else os.environ.get("PGDATABASE")) or "postgres"
