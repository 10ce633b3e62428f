"""Where configuration text comes from: files, directories and URLs (reference: telegraf 3.1, 3.2)."""

import asyncio
import json
import os
import re
import stat
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from pyagent.api import ConfigError, Secret, masking
from pyagent.kit.connect_errors import SPEAKS_HTTPS, wants_https
from pyagent.reading import read_file

if TYPE_CHECKING:
    from pyagent.kit.http_client import HttpResponse

__all__ = [
    "SourceError",
    "SourceText",
    "default_sources",
    "expand_sources",
    "is_url",
    "mask_url",
    "read_source",
    "settings_place",
    "split_values",
]

MAX_BYTES = 4 * 1024 * 1024
MAX_REDIRECTS = 5
_PASSING = (408, 421, 425, 429)
"""Answers below 500 that a server gives for the moment."""
_URL = re.compile(r"\w+://")
_SCHEMELESS = re.compile(r"[\w.-]+:\d+(/|$)|[\w.-]+(:\d+)?/api/v2/telegrafs/")


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of one source. `where` is its path or URL for messages: a password in the URL is masked."""

    where: str
    text: str
    url: str = field(default="", repr=False, compare=False)
    """The whole URL, for what must tell two apart that only differ in what is masked."""


class SourceError(ConfigError):
    """A source cannot be read.

    `retryable`: it may be there later (no connection, a server's failure, 401, 404). `unanswered`: it was not even asked,
    or could not say: what was known of it before still holds. `lasting`: only a person's work will change it, so that a run
    in which somebody waits (--test, --once) does not ask again.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, unanswered: bool = False, lasting: bool = False
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.lasting = lasting
        self.unanswered = unanswered


def is_url(where: str) -> bool:
    return _URL.match(where) is not None


def mask_url(where: str) -> str:
    """The value as it may be shown: without user, password and secret parameters where it is a URL."""
    return masking.mask_url(where) if is_url(where) else where


def settings_place(environ: Mapping[str, str]) -> str:
    """Where the settings of an instance of the unit belong, what is wrong with these files, and what makes it read them again;
    empty for any other run."""
    files = environ.get("PYAGENT_ENVIRONMENT_FILES")
    restart = f"systemctl restart pyagent@{environ.get('PYAGENT_INSTANCE', 'NAME')}"
    return f" in {files}, then: {restart}" if files else ""


def split_values(values: Sequence[str]) -> list[str]:
    """The values of a repeatable flag: each is a list with commas (so names with commas do not work, as in Telegraf)."""
    return [part.strip() for value in values for part in value.split(",")]


def expand_sources(
    configs: Sequence[str] = (), directories: Sequence[str] = (), warnings: list[str] | None = None
) -> list[str]:
    """The sources that `--config` and `--config-directory` name, in the order in which they are read.

    What a directory holds and cannot be used, and one that holds nothing, is told in `warnings`. Raises SourceError for a
    directory that cannot be read.
    """
    warnings = [] if warnings is None else warnings
    found = [value for value in split_values(configs) if value]
    for directory in filter(None, split_values(directories)):
        files = list(_walk(directory, warnings))
        if not files:
            warnings.append(f"the directory {directory} holds no configuration: none of its files is called *.conf")
        found += files
    return found


def default_sources(environ: Mapping[str, str], etc: str = "/etc", warnings: list[str] | None = None) -> list[str]:
    """The sources to read where none is named by a flag; empty where there is none.

    PYAGENT_CONFIG, else TELEGRAF_CONFIG, else TELEGRAF_CONFIG_PATH if it exists, else `$HOME/.telegraf/telegraf.conf`,
    else `telegraf.conf` and `telegraf.d` in `/etc/telegraf`. Where it may not even look goes to `warnings`. Raises SourceError
    for a directory that cannot be read.
    """

    def is_there(path: str) -> bool:
        """Also a link to nowhere: reading it will say so."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        except OSError as error:
            if warnings is not None:
                warnings.append(f"cannot look for {path}: {error.strerror}")
            return False
        return True

    for name in ("PYAGENT_CONFIG", "TELEGRAF_CONFIG"):
        if found := expand_sources([environ.get(name, "")]):
            return found
    named = environ.get("TELEGRAF_CONFIG_PATH", "")
    if named and (is_url(named) or is_there(named)):
        return [named]
    home = os.path.join(environ.get("HOME", ""), ".telegraf", "telegraf.conf")
    if is_there(home):
        return [home]
    main, directory = os.path.join(etc, "telegraf", "telegraf.conf"), os.path.join(etc, "telegraf", "telegraf.d")
    # An empty telegraf.d is what a package installs.
    below = _walk(directory, [] if warnings is None else warnings) if is_there(directory) else ()
    return [main] * is_there(main) + list(below)


def _walk(directory: str, warnings: list[str]) -> Iterator[str]:
    """All *.conf below a directory, in the order of their names. Links to directories in it are not descended."""
    try:
        names = sorted(os.listdir(directory), key=os.fsencode)
    except OSError as error:
        raise SourceError(f"cannot read the directory {directory}: {error.strerror}") from None
    for name in names:
        path = os.path.join(directory, name)
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                if not name.startswith(".."):
                    yield from _walk(path, warnings)
            elif name.endswith(".conf") and len(name) > len(".conf"):
                yield path
        except (OSError, SourceError) as error:
            warnings.append(f"{path}: skipped: {error}")


async def read_source(where: str, *, environ: Mapping[str, str] | None = None, timeout: float = 10.0) -> SourceText:
    """Read a file or, where `where` begins with a scheme, GET a URL. `timeout` in seconds, for each request.

    The token is `TELEGRAF_CONTROLLER_TOKEN` (Bearer), else `INFLUX_TOKEN` of `environ` (the process's by default).
    Raises SourceError.
    """
    if is_url(where):
        return await _read_url(where, os.environ if environ is None else environ, timeout)
    if _is_pipe(where):
        from concurrent.futures import ThreadPoolExecutor

        thread = ThreadPoolExecutor(1)  # its writer may take a while
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, _read_file, where)
        finally:
            thread.shutdown(wait=False)
    return _read_file(where)


def _is_pipe(where: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(where).st_mode)
    except (OSError, ValueError):
        return False


def _read_file(where: str) -> SourceText:
    try:
        body = read_file(where, MAX_BYTES, pipes=True)
    except IsADirectoryError:
        reason = "it is a directory; name a file, or use --config-directory"
        raise SourceError(f"cannot read the configuration {where}: {reason}") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SourceError(f"cannot read the configuration {where}: {reason}{_advice(where, error)}") from None
    # As Telegraf does: a file in Latin-1 must not fail for an umlaut in a comment.
    return SourceText(where, _text(where, body, "replace"))


def _advice(where: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "; this account must be allowed to read it"
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return ""
    if _SCHEMELESS.match(where):
        return f"; an address begins with its scheme: http://{where}"
    return "; correct the path" if os.path.isabs(where) else "; it is looked for in the folder of the start"


def _text(where: str, body: bytes, errors: str) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or 3 * body.count(0) > len(body):
        raise SourceError(f"cannot read the configuration {where}: it is text in UTF-16; save it as UTF-8")
    if b"\0" in body:
        raise SourceError(f"cannot read the configuration {where}: it is not text (it contains NUL bytes)")
    if body.lstrip().startswith(b"<") and not body.lstrip().startswith(b"<<"):
        raise SourceError(f"cannot read the configuration {where}: it is HTML or XML, not TOML (a login page?)")
    try:
        return body.decode("utf-8", errors).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{where}:{line}: cannot read the configuration: it is not text in UTF-8") from None


async def _read_url(where: str, environ: Mapping[str, str], timeout: float) -> SourceText:
    from pyagent.kit.http_client import HttpClient, HttpError  # aiohttp costs 13 MiB, so only where a URL is read

    shown = mask_url(where)
    client = HttpClient(timeout=timeout, max_body=MAX_BYTES)
    try:
        target, first = where, _split(where, shown)
        for _ in range(MAX_REDIRECTS + 1):
            parts = _split(target, shown)
            headers = {"Accept": "application/toml"}
            # The token is for the host that was named and must not reach another one, or anybody in clear text.
            if parts.hostname == first.hostname and (parts.scheme == "https" or first.scheme == "http"):
                headers |= _authorization(first, environ)
            plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
            response = await client.request("GET", plain, headers=headers)
            location = response.headers.get("Location", "")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                break
            target = urljoin(plain, location)
            if first.scheme == "https" and not target.startswith("https:"):
                raise SourceError(
                    f"cannot read the configuration {shown}: it redirects to {mask_url(target)}, unencrypted"
                )
        else:
            raise SourceError(
                f"cannot read the configuration {shown}: more than {MAX_REDIRECTS} redirects",
                retryable=True,
                lasting=True,
            )
    except HttpError as error:
        raise SourceError(
            f"cannot read the configuration {shown}: {error}", retryable=True, unanswered=True, lasting=error.lasting
        ) from None
    finally:
        await client.close()
    if response.status != 200:
        reason = _explain(response, environ)
        raise SourceError(
            f"cannot read the configuration {shown}: {reason}",
            retryable=True,
            unanswered=response.status >= 500,
            lasting=response.status < 500 and response.status not in _PASSING,
        )
    return SourceText(shown, _text(shown, response.body, "strict"), where)


def _split(url: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SourceError(f"cannot read the configuration {shown}: {error}; check the URL") from None
    if parts.scheme not in ("http", "https"):
        raise SourceError(
            f"cannot read the configuration {shown}: the scheme {parts.scheme!r} is not supported; use http or https"
        )
    if not parts.hostname:
        raise SourceError(f"cannot read the configuration {shown}: the URL names no host")
    return parts


def _authorization(url: SplitResult, environ: Mapping[str, str]) -> dict[str, str]:
    name, scheme = _token_variable(environ)
    if name:
        return {"Authorization": f"{scheme} {Secret(environ[name].strip()).reveal()}"}
    if url.username is not None:
        user = f"{unquote(url.username)}:{Secret(unquote(url.password or '')).reveal()}"
        return {"Authorization": f"Basic {b64encode(user.encode()).decode()}"}
    return {}


def _token_variable(environ: Mapping[str, str]) -> tuple[str, str]:
    """Name of the variable that holds the token, and the scheme that it is sent with."""
    if environ.get("TELEGRAF_CONTROLLER_TOKEN", "").strip():
        return "TELEGRAF_CONTROLLER_TOKEN", "Bearer"
    if environ.get("INFLUX_TOKEN", "").strip():
        return "INFLUX_TOKEN", "Token"
    return "", ""


def _explain(response: "HttpResponse", environ: Mapping[str, str]) -> str:
    reason = f"{response.status} {response.reason}".strip()
    try:
        message = json.loads(response.body).get("message", "")
    except (ValueError, AttributeError):
        message = ""
    if isinstance(message, str) and message.isprintable() and message:
        reason += f" ({message[:200]})"
    if wants_https(response.status, response.body):
        return SPEAKS_HTTPS
    if response.status in (401, 403):
        name, _ = _token_variable(environ)
        where = settings_place(environ)
        if name:
            advice = f"; correct it{where}" if where else ""
            return f"{reason}: the server refused the token in {name}; it must be allowed to read this configuration{advice}"
        return f"{reason}: no token was sent; set INFLUX_TOKEN to one that may read this configuration{where}"
    if response.status == 404:
        return f"{reason}: check the address, the configuration's ID and that the token may read it"
    return reason
