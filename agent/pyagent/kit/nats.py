"""Connections to NATS: the options that its plugins share, and the way into a cluster."""

import asyncio
import logging
import os
import random
import re
import ssl
from collections import UserString, deque
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pyagent.api import ConfigError, PyagentError, Secret, option
from pyagent.api.files import readable_path
from pyagent.api.masking import mask_url
from pyagent.kit.connect_errors import explained
from pyagent.kit.libraries import missing_library
from pyagent.kit.tls import TlsOptions, system_context

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NATS_TIMEOUT", "NatsConnector", "NatsOptions", "nats_words"]

_SERVER = "nats://localhost:4222"
NATS_TIMEOUT = 5.0
"""Seconds for each step of connecting to one server, and for each answer."""
_CLOSE_GRACE = 1.0
_PING_SECONDS, _PINGS = 20, 2
"""A server that answers none of so many pings is gone, though the network does not say so."""
_NO_NATS = ("info message, json parse error", "empty response from server when expecting INFO")
_LOST = ("Connection lost", "connection closed", "unexpected EOF")
"""What the library says of one that is gone."""
_OBJECT = re.compile(r"<(\w+)[^<>]* 0x[0-9a-f]+[^<>]*>")
"""An object of Python; each is another cause for the log."""
_CREDENTIALS = "BEGIN NATS USER JWT"
"""In credentials that are given themselves, not by the name of their file."""


class NatsOptions(TlsOptions, frozen=True):
    """Inherit from it."""

    servers: Annotated[list[str], option("servers of one cluster ([]: nats://localhost:4222)")] = []
    username: Annotated[Secret, option("user name at the server")] = Secret("")
    password: Annotated[Secret, option("password at the server")] = Secret("")
    credentials: Annotated[Secret, option("credentials, or the path of their file", reads_path=True)] = Secret("")
    nkey_seed: Annotated[str, option("file of an nkey's seed", reads_path=True)] = ""
    secure: Annotated[bool, option("use TLS")] = False


class NatsConnector:
    """Connects to any server of a cluster: to those of the options in turn, the first by chance, then to those that the
    cluster has told of. One connection at a time."""

    def __init__(self, options: NatsOptions, log: logging.Logger, name: str = "pyagent") -> None:
        """Raises ConfigError."""
        if bool(options.username) != bool(options.password):
            raise ConfigError("cannot use username and password one without the other; set both", option="username")
        servers = [one.strip() for text in options.servers for one in text.split(",") if one.strip()]
        for server in servers:
            _check(server)
        self._options = options
        self._log = log
        self._name = name
        self._tls = (options.ssl_context() if options.secure else None) or system_context()
        self._servers = servers or [_SERVER]
        self._told: dict[str, str] = {}
        """Servers that the cluster told of: which host's certificate they are to have."""
        self._client: Client | None = None

    @property
    def where(self) -> str:
        """The servers, for messages."""
        return ", ".join(map(mask_url, self._servers))

    async def close(self) -> None:
        """Safe at any time."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is gone one way or the other
                async with asyncio.timeout(_CLOSE_GRACE):
                    await client.close()
            await _end_tasks(client)

    async def connect(self) -> "tuple[Client, asyncio.Future[str]]":
        """The connection, and what ends, with the reason, when it is lost; one that there was before is closed. Raises
        PyagentError."""
        await self.close()
        if find_spec("nats") is None:
            raise PyagentError(f"cannot speak NATS: {missing_library('nats')}")
        if (self._options.credentials or self._options.nkey_seed) and find_spec("nkeys") is None:
            raise PyagentError(f"cannot sign in with 'credentials' or 'nkey_seed': {missing_library('nkeys')}")
        failures: dict[str, str] = {}
        for server in [*random.sample(self._servers, len(self._servers)), *self._told]:
            try:
                return await self._connect_to(server)
            except Exception as error:
                await self.close()
                failures.setdefault(nats_words(error), mask_url(server))
        causes = "; ".join(f"{server}: {cause}" if len(failures) > 1 else cause for cause, server in failures.items())
        raise PyagentError(f"cannot connect to {self.where}: {causes}") from None

    async def _connect_to(self, server: str) -> "tuple[Client, asyncio.Future[str]]":
        options = self._options
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        errors: deque[str] = deque(maxlen=2)

        async def disconnected() -> None:
            if not lost.done():
                lost.set_result(errors[-1] if errors else "the server or the network ended it")

        async def failed(error: Exception) -> None:
            errors.append(nats_words(error))
            self._log.debug("nats: %s", errors[-1])

        client = self._client = _new_client(secure=options.secure or urlsplit(server).scheme == "tls")
        with ExitStack() as stack:
            credentials = _credentials(stack, options.credentials)
            seed = _readable(stack, options.nkey_seed, "nkey_seed")
            try:
                async with asyncio.timeout(NATS_TIMEOUT):
                    await client.connect(
                        servers=[server],
                        name=self._name,
                        error_cb=failed,
                        disconnected_cb=disconnected,
                        closed_cb=disconnected,
                        allow_reconnect=False,
                        max_reconnect_attempts=1,
                        reconnect_time_wait=0,
                        connect_timeout=int(NATS_TIMEOUT),
                        ping_interval=_PING_SECONDS,
                        max_outstanding_pings=_PINGS,
                        user=options.username.reveal() or None,
                        password=options.password.reveal() or None,
                        user_credentials=credentials or None,  # type: ignore[arg-type]  # its type is stricter than its code
                        nkeys_seed=seed or None,
                        tls=self._tls,
                        tls_hostname=options.tls_server_name or self._told.get(server) or None,
                    )
            except Exception as error:
                # That it cannot be reached is said before, and then that there is no server left.
                raise PyagentError(errors[0] if errors else nats_words(error)) from None
        host = self._told.get(server) or urlsplit(server).hostname or ""
        for found in client.discovered_servers:
            if found.netloc not in (urlsplit(one).netloc for one in self._servers):
                self._told[found.geturl()] = host
        return client, lost


class _Subject(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


def _new_client(secure: bool) -> "Client":
    from nats.aio.client import Client
    from nats.errors import SecureConnWantedError

    class Connection(Client):
        def _build_message(self, sid: int, subject: bytes, reply: bytes, *rest: Any) -> Any:
            # What is not UTF-8 would end the library's reading, for all subjects.
            return super()._build_message(sid, _Subject(subject), _Subject(reply), *rest)

        async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
            # The library speaks plain text to a server that does not ask for TLS, and sends it the password.
            if initial_connection and secure and not info.get("tls_required"):
                if not info.get("tls_available"):
                    raise SecureConnWantedError
                info["tls_required"] = True
            await super()._process_info(info, initial_connection)

    return Connection()


async def _end_tasks(client: "Client") -> None:
    """End what the library leaves running where its own close fails: on a connection that has just broken off."""
    names = ("_reading_task", "_ping_interval_task", "_flusher_task", "_reconnection_task")
    subscriptions = getattr(client, "_subs", {}).values()
    found = [getattr(client, name, None) for name in names] + [one._wait_for_msgs_task for one in subscriptions]
    tasks = {task for task in found if task is not None and not task.done()} - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSE_GRACE)
    if (transport := getattr(client, "_transport", None)) is not None:
        with suppress(Exception):
            transport.close()


def _credentials(stack: ExitStack, given: Secret) -> str | UserString:
    """As the library wants them. Raises PyagentError."""
    text = given.reveal()
    return UserString(text) if _CREDENTIALS in text else _readable(stack, text, "credentials")


def _readable(stack: ExitStack, path: str, option: str) -> str:
    """A path for the library, good as long as the stack is. Raises PyagentError."""
    try:
        found = stack.enter_context(readable_path(path)) if path else ""
        with open(found or os.devnull, "rb"):
            return found
    except OSError as error:
        raise PyagentError(
            f"cannot read the file of {option}: {error.strerror or error}; correct its path or its rights"
        ) from None


def _check(server: str) -> None:
    try:
        parts = urlsplit(server if "://" in server else f"nats://{server}")
        known = parts.scheme in ("nats", "tls") and (parts.port or 4222) and parts.hostname
    except ValueError:
        known = None
    if not known:
        raise ConfigError(f"cannot use the server {mask_url(server)!r}: write nats://HOST:PORT", option="servers")


def nats_words(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, PyagentError):
        return str(error)
    if type(error).__name__ == "SecureConnWantedError":
        return "the server does not offer TLS; without it `secure` must be false"
    if isinstance(error, TimeoutError):
        return f"no answer within {NATS_TIMEOUT:g} s"
    if isinstance(error, ssl.SSLError | OSError):
        return explained(error)
    # Of JetStream's API errors the text for people is in the description.
    text = " ".join(str(getattr(error, "description", "") or error).split()).removeprefix("nats: ")
    if text.startswith(_NO_NATS):
        return "it does not speak NATS, or closed the connection before it said so; correct `servers`"
    if text in _LOST or "handler is closed" in text or "Transport closed" in text:
        return "the server or the network ended the connection"
    return _OBJECT.sub(r"\1", text) or type(error).__name__
