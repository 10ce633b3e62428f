"""A connection to an MQTT broker, on the running event loop: paho-mqtt, which is imported when a connection is made.

Messages are acknowledged by the plugin and never by the library.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.kit.connect_errors import explained
from pyagent.kit.libraries import missing_library
from pyagent.kit.tls import system_context

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.properties import Properties

__all__ = ["Broker", "MqttConnection", "MqttMessage", "MqttSettings"]

_SCHEMES = {
    "tcp": (False, "tcp", 1883),
    "mqtt": (False, "tcp", 1883),
    "ssl": (True, "tcp", 8883),
    "tls": (True, "tcp", 8883),
    "mqtts": (True, "tcp", 8883),
    "tcps": (True, "tcp", 8883),
    "mqtt+ssl": (True, "tcp", 8883),
    "ws": (False, "websockets", 80),
    "wss": (True, "websockets", 443),
}
_TICK = 1.0
"""Seconds between two looks at what is due: pings, and answers to them."""


@dataclass(frozen=True, slots=True)
class Broker:
    text: str
    """For messages."""
    host: str
    port: int
    tls: bool
    transport: str
    path: str

    @classmethod
    def of(cls, text: str, *, tls: bool = False) -> "Broker":
        """`tls`: for an address without a scheme. Raises ConfigError."""
        given = text if "://" in text else f"{'ssl' if tls else 'tcp'}://{text}"
        try:
            url = urlsplit(given)
            secure, transport, port = _SCHEMES[url.scheme]
            if not url.hostname or url.username is not None:
                raise ValueError
            return cls(
                f"{url.scheme}://{url.netloc}", url.hostname, url.port or port, secure, transport, url.path or "/mqtt"
            )
        except (ValueError, KeyError):
            if "@" in given:  # not shown: it may be a password
                raise ConfigError(
                    "cannot use an address of 'servers': it has a user or a password; set them by the options 'username' and "
                    "'password'",
                    option="servers",
                ) from None
            raise ConfigError(
                "cannot use an address of 'servers': it is none; give 'tcp://HOST:1883', 'ssl://HOST:8883' or 'ws://HOST:PORT/PATH'",
                option="servers",
            ) from None


@dataclass(frozen=True, slots=True)
class MqttSettings:
    client_id: str
    username: str
    password: str
    clean_session: bool
    keepalive: int
    """Seconds; a broker that does not answer a ping for as long is given up."""
    timeout: float
    """Seconds for each step of connecting."""
    tls: ssl.SSLContext | None
    """None: nothing but the system's authorities."""
    server_name: str = ""
    """To expect in the broker's certificate, where that is not the host."""
    trace: logging.Logger | None = None
    version_5: bool = False
    """MQTT 5, and not 3.1.1."""


@dataclass(frozen=True, slots=True)
class MqttMessage:
    topic: str
    payload: bytes
    acknowledge: Callable[[], None] | None
    """To be called once, by the loop; None where the broker expects nothing. It does nothing on a connection that is lost."""


class MqttConnection:
    """One connection, from `open` until `lost` is done or `close`. `received` gets each message, and must not raise.

    `resumed` is called before the first one where the broker has kept the session: what was not acknowledged comes again.
    """

    def __init__(
        self,
        broker: Broker,
        settings: MqttSettings,
        received: Callable[[MqttMessage], None],
        resumed: Callable[[], None] = lambda: None,
    ) -> None:
        self._resumed = resumed
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """The reason."""
        self.broker = broker
        self._settings = settings
        self._received = received
        self._tls: _Tls | None = None
        self._client: Client = self._make()
        self._answer: asyncio.Future[None] = self._loop.create_future()
        """To what was sent last: CONNECT or SUBSCRIBE."""
        self.is_subscribed = False
        self.undelivered: dict[int, int] = {}
        """Keys of messages that were published, by their numbers."""
        self.refused: dict[int, str] = {}
        """Why messages cannot be sent, or what a broker of MQTT 5 says of those that it does not take, by their keys."""
        self._early: dict[int, Any] = {}
        self._progress: asyncio.Future[None] = self._loop.create_future()
        self._fd = -1
        self._reads = self._writes = False
        self._is_paused = False
        self._is_closed = False
        self._tick: asyncio.TimerHandle | None = None

    def _make(self) -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        except ImportError:
            raise PyagentError(f"cannot speak MQTT: {missing_library('paho')}") from None
        settings, broker = self._settings, self.broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if settings.version_5 else settings.clean_session,
            protocol=MQTTProtocolVersion.MQTTv5 if settings.version_5 else MQTTProtocolVersion.MQTTv311,
            transport=broker.transport,  # type: ignore[arg-type]  # a Literal
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = settings.timeout
        if settings.username or settings.password:
            client.username_pw_set(settings.username, settings.password or None)
        if broker.tls:
            self._tls = _Tls(settings.tls or system_context(), settings.server_name)
            client.tls_set_context(self._tls)  # type: ignore[arg-type]  # it does as one
        if broker.transport == "websockets":
            client.ws_set_options(path=broker.path)
        if settings.trace is not None:
            client.enable_logger(settings.trace)
        client.on_connect = lambda client, userdata, flags, code, properties: self._connected(flags, code)
        client.on_subscribe = lambda client, userdata, mid, codes, properties: self._answered(codes)
        client.on_disconnect = lambda client, userdata, flags, code, properties: self._ended(str(code))
        client.on_publish = lambda client, userdata, mid, code, properties: self._published(mid, code)
        client.on_message = lambda client, userdata, message: self._take(message)
        client.on_socket_close = lambda client, userdata, sock: self._unwatch()
        # The first of these calls comes from the thread that connects.
        client.on_socket_register_write = lambda client, userdata, sock: self._wants_to_write()
        client.on_socket_unregister_write = lambda client, userdata, sock: self._unwatch_writes()
        return client

    async def open(self) -> None:
        """Connect. Raises PyagentError."""
        settings, broker = self._settings, self.broker
        try:
            arguments = self._version_5_arguments() if settings.version_5 else {}
            await self._in_thread(
                lambda: self._client.connect(broker.host, broker.port, settings.keepalive, **arguments)
            )
            sock = self._client.socket()
            if sock is None:
                raise ConnectionError("the broker closed the connection")
            self._fd = sock.fileno()
            self._watch_reads()
            self._watch_writes()
            self._look()
            await self._wait_for_answer()
        except (OSError, ValueError) as error:
            self.close()
            cause = explained(error) if isinstance(error, OSError) else str(error)
            raise PyagentError(f"cannot connect to {broker.text}: {cause}") from None
        except BaseException:
            self.close()
            raise

    async def subscribe(self, topics: Sequence[str], qos: int) -> None:
        """Raises PyagentError."""
        self._answer = self._loop.create_future()
        try:
            self._client.subscribe([(topic, qos) for topic in topics])
            await self._wait_for_answer()
            self.is_subscribed = True
        except (OSError, ValueError) as error:
            raise PyagentError(f"cannot subscribe at {self.broker.text}: {error}") from None

    def publish(
        self, key: int, topic: str, payload: bytes, qos: int, retain: bool, properties: "Properties | None" = None
    ) -> None:
        """Send a message. Its `key` is in `undelivered` until the broker has it: with a `qos` of 1 or 2 it says so, with 0 the
        message has been written then. Raises ConnectionError where the connection is lost."""
        if self.lost.done():
            raise ConnectionError(self.lost.result())
        try:
            info = self._client.publish(topic, payload, qos, retain, properties)
        except (ValueError, UnicodeError) as error:
            self.refused[key] = str(error).lower()
            return
        if info.rc != 0:
            raise ConnectionError("the broker or the network ended it")
        self.undelivered[info.mid] = key
        if info.mid in self._early:
            self._published(info.mid, self._early.pop(info.mid))

    async def delivered(self, patience: float) -> None:
        """Wait until all messages are with the broker. Raises ConnectionError where the connection is lost, or nothing more is
        acknowledged for `patience` seconds."""
        while self.undelivered:
            left = len(self.undelivered)
            self._progress = self._loop.create_future()
            both: list[asyncio.Future[Any]] = [self._progress, self.lost]
            await asyncio.wait(both, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if self.lost.done():
                raise ConnectionError(self.lost.result())
            if len(self.undelivered) == left:
                raise ConnectionError(f"no acknowledgement within {patience:g} s")

    def pause(self) -> None:
        """Read no more, until `resume`."""
        self._is_paused = True
        self._unwatch_reads()

    def resume(self) -> None:
        self._is_paused = False
        self._watch_reads()

    def close(self) -> None:
        """Say goodbye, where there is a connection, after what is still to be written. Safe at any time."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._tick is not None:
            self._tick.cancel()
        with suppress(OSError, ValueError):
            if self._fd >= 0 and self._client.socket() is not None:
                self._client.disconnect()
                self._client.loop_write()
        self._unwatch()
        for sock in (self._client.socket(), self._tls.socket if self._tls is not None else None):
            if sock is not None:
                with suppress(OSError):
                    sock.close()

    # --------------------------------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """paho connects by calls that block. A thread of its own, which nobody waits for at the end."""
        done: asyncio.Future[None] = self._loop.create_future()

        def finish(error: BaseException | None) -> None:
            if done.done():  # nobody waits any more
                if error is None and (sock := self._client.socket()) is not None:
                    sock.close()
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def run() -> None:
            failure: BaseException | None = None
            try:
                work()
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(finish, failure)

        threading.Thread(target=run, name="mqtt connect", daemon=True).start()
        await done

    async def _wait_for_answer(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                both: list[asyncio.Future[Any]] = [self._answer, self.lost]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ConnectionError(f"no answer within {self._settings.timeout:g} s") from None
        if not self._answer.done():
            raise ConnectionError(f"the broker closed the connection: {self.lost.result()}")
        self._answer.result()

    def _connected(self, flags: Any, code: Any) -> None:
        if flags.session_present and not code.is_failure:
            self._resumed()
        self._answered([code])

    def _answered(self, codes: Sequence[Any]) -> None:
        refused = [code for code in codes if code.is_failure]
        if self._answer.done():
            return
        if refused:
            self._answer.set_exception(ConnectionError(f"the broker refuses: {str(refused[0]).lower()}"))
            self._answer.exception()  # seen, though nobody may wait any more
        else:
            self._answer.set_result(None)

    def _version_5_arguments(self) -> dict[str, Any]:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if not self._settings.clean_session:
            properties.SessionExpiryInterval = 0xFFFFFFFF  # never
        return {"clean_start": self._settings.clean_session, "properties": properties}

    def _published(self, mid: int, code: Any) -> None:
        if mid not in self.undelivered:
            self._early[mid] = code
            return
        key = self.undelivered.pop(mid)
        if code.is_failure:
            self.refused[key] = str(code).lower()
        if not self._progress.done():
            self._progress.set_result(None)

    def _take(self, message: "MQTTMessage") -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "?"
        acknowledge = None if message.qos == 0 else lambda: self._acknowledge(message.mid, message.qos)
        self._received(MqttMessage(topic, bytes(message.payload), acknowledge))

    def _acknowledge(self, number: int, qos: int) -> None:
        # On another connection the number may be that of another message.
        if not self._is_closed and not self.lost.done():
            self._client.ack(number, qos)

    def _ended(self, reason: str) -> None:
        if not self.lost.done():
            unknown = reason == "Unspecified error"
            self.lost.set_result("the broker or the network ended it" if unknown else reason.lower())

    def _look(self) -> None:
        if not self._is_closed:
            self._client.loop_misc()
            self._tick = self._loop.call_later(_TICK, self._look)

    def _read(self) -> None:
        self._client.loop_read()
        # What TLS has read and not given yet makes no descriptor readable.
        while not self._is_paused and (sock := self._client.socket()) is not None:
            pending = getattr(sock, "pending", None)
            if pending is None or not pending():
                break
            self._client.loop_read()

    def _watch_reads(self) -> None:
        if self._fd >= 0 and not self._reads and not self._is_paused:
            self._reads = True
            self._loop.add_reader(self._fd, self._read)
            self._loop.call_soon(self._read_pending)

    def _read_pending(self) -> None:
        if self._reads and self._client.socket() is not None and getattr(self._client.socket(), "pending", int)():
            self._read()

    def _unwatch_reads(self) -> None:
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self._fd)

    def _wants_to_write(self) -> None:
        self._loop.call_soon_threadsafe(self._watch_writes)

    def _watch_writes(self) -> None:
        if self._fd >= 0 and not self._writes and self._client.want_write():
            self._writes = True
            self._loop.add_writer(self._fd, self._client.loop_write)

    def _unwatch_writes(self) -> None:
        if self._writes:
            self._writes = False
            self._loop.remove_writer(self._fd)

    def _unwatch(self) -> None:
        self._unwatch_reads()
        self._unwatch_writes()
        self._fd = -1


class _Tls:
    """A context that has a name of its own for the broker, and that knows its socket: where the handshake fails, paho forgets
    it."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._context = context
        self._name = name
        self.socket: ssl.SSLSocket | None = None

    def wrap_socket(self, sock: Any, **arguments: Any) -> ssl.SSLSocket:
        if self._name:
            arguments["server_hostname"] = self._name
        self.socket = self._context.wrap_socket(sock, **arguments)
        return self.socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
