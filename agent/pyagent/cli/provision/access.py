"""Which server is meant, and as whom it is called."""

import argparse
import os
import re
import socket
import time
from urllib.parse import urlsplit

from pyagent.api import Secret
from pyagent.cli.instances import SettingsFile
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.values import ProvisionError, checked_name
from pyagent.cli.terminal import harmless, some_of
from pyagent.cli.tokens import checked_token, only_line, token_of
from pyagent.influxdb import CUSTOM, InfluxDBError, Management, Organization, ServerState, checked_url, server_state

__all__ = [
    "admin",
    "caller",
    "choose_organization",
    "host_name",
    "password_of",
    "same_server",
    "server_of",
    "settings_directory",
    "state_of",
    "url_of_configuration",
]

_ADMINISTERS = "an operator or all-access token"
_PAUSE = 0.5
"""Seconds between two looks for a server that is starting."""
DEFAULT_URL = "http://localhost:8086"
_SERVER = ("INFLUX_HOST", "INFLUX_URL")
"""Variables with the server's address: the influx command's own name, and another that many scripts set."""
_ID_AT_END = re.compile(r"(.*)/api/v2/telegrafs/([0-9a-fA-F]{16})", re.DOTALL)


def url_of_configuration(source: str) -> tuple[str, str]:
    """The server and the ID in a configuration's URL; empty where it is none."""
    match = _ID_AT_END.fullmatch(source)
    return (match[1], match[2].lower()) if match else ("", "")


def server_of(arguments: argparse.Namespace, questions: Questions, file: SettingsFile | None = None) -> str:
    """The server's address: as given, that of the instance's configuration, the environment's, else it is asked for."""
    known = url_of_configuration(file.source)[0] if file is not None else ""
    given = arguments.url or known or next(filter(None, map(os.environ.get, _SERVER)), "")
    if given:
        return checked_url(given)
    if not questions.terminal:
        raise ProvisionError(f"no server is given; add --url, such as --url {DEFAULT_URL}")

    def check(text: str) -> str:
        url = checked_url(text if "://" in text else f"http://{text}")
        state_of(arguments, url)
        return url

    return questions.text("Address of InfluxDB", DEFAULT_URL, check=check)


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are the same, written in whatever way."""

    def plain(url: str) -> tuple[str, str | None, int | None, str]:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme), parts.path

    try:
        return plain(one.rstrip("/")) == plain(other.rstrip("/"))
    except ValueError:
        return False


def state_of(arguments: argparse.Namespace, url: str) -> ServerState:
    """What listens there; with --wait it may still be starting. Raises InfluxDBError."""
    if not arguments.wait >= 0:
        raise ProvisionError(f"cannot wait for {arguments.wait} s; write seconds, such as --wait 60")
    deadline = time.monotonic() + arguments.wait
    while True:
        try:
            return server_state(url, tls_ca=arguments.tls_ca)
        except InfluxDBError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)


def password_of(arguments: argparse.Namespace, questions: Questions, question: str) -> str:
    """Of the file, of INFLUX_PASSWORD, else it is asked for."""
    if found := getattr(arguments, "password_known", ""):
        return str(found)
    path = arguments.password_file
    found = only_line(path, "password") if path else os.environ.get("INFLUX_PASSWORD", "")
    if not found:
        if not questions.terminal:
            raise ProvisionError("no password is given; add --password-file FILE, or set INFLUX_PASSWORD")
        found = questions.secret(question)
    Secret(found)
    return found


def admin(arguments: argparse.Namespace, questions: Questions, url: str) -> tuple[Management, ServerState]:
    """The server at `url`, called with a token or as a user that may make configurations and tokens.

    Raises ProvisionError where there is neither, InfluxDBError where there is no InfluxDB 2 or it was never set up.
    """
    state = state_of(arguments, url)
    if not state.is_set_up:
        raise InfluxDBError(
            f"cannot use InfluxDB at {url}: it has no user, organization and bucket yet; make them: "
            f"pyagent provision setup --url {url}"
        )
    return caller(arguments, questions, url, _ADMINISTERS), state


def caller(arguments: argparse.Namespace, questions: Questions, url: str, needed: str) -> Management:
    """The server at `url`, called with the token or as the user that is given; else it is asked for, until the server knows
    what was typed. `needed`: which token it takes, as in `a token that may read the bucket`. Raises ProvisionError,
    InfluxDBError.
    """
    token = "" if arguments.user else token_of(arguments)
    if token:
        return Management(url, token=token, tls_ca=arguments.tls_ca)
    if arguments.user and not _asks_for_password(arguments, questions):
        return _signed_in(arguments, questions, url, arguments.user)
    if not questions.terminal:
        raise ProvisionError(
            f"no token is given; add --token-file FILE with {needed}, set INFLUX_TOKEN "
            "(sudo --preserve-env=INFLUX_TOKEN), or sign in with --user NAME"
        )
    with_user = bool(arguments.user) or questions.yes(
        f"Sign in with user and password? (n: with {needed})", default=True
    )
    while True:
        if with_user:
            user = arguments.user or questions.text("User", "admin", check=lambda text: checked_name(text, "user"))
            management = _signed_in(arguments, questions, url, user)
        else:
            management = Management(url, token=_typed_token(questions), tls_ca=arguments.tls_ca)
        try:
            management.organizations()
        except InfluxDBError as error:
            management.close()
            if error.status != 401:
                raise
            questions.say(f"  {error}")
            continue
        return management


def _asks_for_password(arguments: argparse.Namespace, questions: Questions) -> bool:
    known = getattr(arguments, "password_known", "") or arguments.password_file or os.environ.get("INFLUX_PASSWORD")
    return questions.terminal and not known


def _signed_in(arguments: argparse.Namespace, questions: Questions, url: str, user: str) -> Management:
    password = password_of(arguments, questions, f"Password of {harmless(user)}")
    return Management(url, username=user, password=password, tls_ca=arguments.tls_ca)


def _typed_token(questions: Questions) -> str:
    while True:
        try:
            return checked_token(questions.secret("Token").strip(), "that you typed")
        except ProvisionError as error:
            questions.say(f"  {error}")


def choose_organization(management: Management, given: str, questions: Questions) -> Organization:
    """The one that is given, by name or ID; else the only one. Raises ProvisionError, with the names that there are."""
    if given and (found := management.organization(given)):
        return found
    every = management.organizations()
    names = [org.name for org in every]
    if given:
        hint = _listed(names, given) or _none_seen(management)
        raise ProvisionError(f"cannot find the organization {harmless(given)!r} at {management.url}: {hint}")
    if len(every) == 1:
        return every[0]
    if not every:
        raise ProvisionError(f"cannot find an organization at {management.url}: {_none_seen(management)}")
    if not questions.terminal:
        raise ProvisionError(f"there are several organizations at {management.url}: {some_of(names)}; add --org NAME")
    chosen = questions.choice("Organization", names)
    return next(org for org in every if org.name == chosen)


def _none_seen(management: Management) -> str:
    """Why no organization is seen. An operator's token sees all, an all-access token its own."""
    if not management.signs_in and management.is_operator() is False:
        return f"the {CUSTOM} that is given may see none; use an operator or all-access token, or sign in with --user"
    whose = "the user" if management.signs_in else "the token"
    return f"{whose} may see none; use an operator or all-access token"


def settings_directory(arguments: argparse.Namespace) -> str:
    return str(arguments.settings_directory or os.environ.get("PYAGENT_SETTINGS_DIRECTORY", ""))


def host_name(arguments: argparse.Namespace, file: SettingsFile) -> str:
    """As given; the one of the instance's file, which stays when the system's changes; else the system's."""
    return checked_name(arguments.host or file.host or socket.gethostname(), "host")


def _listed(names: list[str], wanted: str) -> str:
    return f"there {'is' if len(names) == 1 else 'are'} {some_of(names, wanted)}" if names else ""
