"""Reads metrics from subjects of NATS.

Core NATS and JetStream: a message of the latter is acknowledged when the outputs' queues hold its metrics.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pyagent.api import Accumulator, ConfigError, Input, Metric, PyagentError, Secret, option
from pyagent.api.files import readable_path
from pyagent.kit.connect_errors import explained
from pyagent.kit.consumer import Consumer, Message
from pyagent.kit.libraries import missing_library
from pyagent.kit.reconnect import KeptConnection
from pyagent.kit.tls import TlsOptions, system_context

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["NATSConsumer", "NATSConsumerOptions"]

_SERVER, _SUBJECT = "nats://localhost:4222", "telegraf"
_TIMEOUT = 5.0
"""Seconds for each step of connecting."""
_STOP_GRACE = 1.0
"""Seconds for what was received to get into the queues, and to be acknowledged."""


class NATSConsumerOptions(TlsOptions, frozen=True):
    parses: ClassVar[bool] = True

    servers: Annotated[list[str], option("servers of one cluster ([]: nats://localhost:4222)")] = []
    subjects: Annotated[
        list[str], option("subjects of core NATS, with the wildcards * and > ([]: telegraf, where no stream is read)")
    ] = []
    jetstream_subjects: Annotated[list[str], option("subjects that a stream keeps")] = []
    jetstream_stream: Annotated[str, option("name of that stream (empty: the one that has the subject)")] = ""
    queue_group: Annotated[str, option("consumers of one name share the messages")] = "telegraf_consumers"
    username: Annotated[Secret, option("user name at the server")] = Secret("")
    password: Annotated[Secret, option("password at the server")] = Secret("")
    credentials: Annotated[str, option("file of credentials", reads_path=True)] = ""
    nkey_seed: Annotated[str, option("file of an nkey's seed", reads_path=True)] = ""
    secure: Annotated[bool, option("use TLS")] = False
    pending_message_limit: Annotated[int, option("messages of a subscription that may wait here", ge=1)] = 65536
    pending_bytes_limit: Annotated[int, option("bytes of a subscription that may wait here", ge=1)] = 67108864
    max_undelivered_messages: Annotated[
        int, option("messages that may wait to be acknowledged before no more are taken", ge=1)
    ] = 1000
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"


class NATSConsumer(Input[NATSConsumerOptions]):
    def setup(self) -> None:
        options = self.options
        if bool(options.username) != bool(options.password):
            raise ConfigError("cannot use username and password one without the other; set both", option="username")
        self._tls = (options.ssl_context() or system_context()) if options.secure else None
        self._client: Client | None = None
        self._consumer: Consumer | None = None
        self._kept: KeptConnection | None = None
        self._room = asyncio.Event()
        self._acknowledging: set[asyncio.Task[None]] = set()
        self.parser  # noqa: B018  # its mistakes are told here

    async def start(self, acc: Accumulator) -> None:
        options = self.options
        most = options.max_undelivered_messages
        self._consumer = Consumer(acc, self.parser, self.log, most=most, adjust=_tagged, on_room=self._room.set)
        kept = KeptConnection(self._connect, self.log, ", ".join(options.servers or [_SERVER]))
        await kept.start()
        self._kept = kept

    async def stop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is None:
            return
        await kept.stop()
        if self._consumer is not None:
            await self._consumer.close(_STOP_GRACE)
        if self._acknowledging:
            await asyncio.wait(self._acknowledging, timeout=_STOP_GRACE)
        await self._close()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is gone one way or the other
                async with asyncio.timeout(_STOP_GRACE):
                    await client.close()

    async def _connect(self) -> Awaitable[str]:
        await self._close()
        try:
            from nats.aio.client import Client
        except ImportError:
            raise PyagentError(f"cannot speak NATS: {missing_library('nats')}") from None
        options = self.options
        if (options.credentials or options.nkey_seed) and find_spec("nkeys") is None:
            raise PyagentError(f"cannot sign in with 'credentials' or 'nkey_seed': {missing_library('nkeys')}")
        servers = options.servers or [_SERVER]
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        errors: list[str] = []

        async def disconnected() -> None:
            if not lost.done():
                lost.set_result(errors[-1] if errors else "the server or the network ended it")

        async def failed(error: Exception) -> None:
            errors[:] = [_words(error)]
            self.log.debug("nats: %s", errors[-1])

        client = Client()
        self._client = client
        try:
            with readable_path(options.credentials) as credentials, readable_path(options.nkey_seed) as seed:
                async with asyncio.timeout(_TIMEOUT):
                    await client.connect(
                        servers=list(servers),
                        name="pyagent",
                        error_cb=failed,
                        disconnected_cb=disconnected,
                        closed_cb=disconnected,
                        allow_reconnect=False,
                        connect_timeout=int(_TIMEOUT),
                        user=options.username.reveal() or None,
                        password=options.password.reveal() or None,
                        user_credentials=credentials or None,
                        nkeys_seed=seed or None,
                        tls=self._tls,
                        tls_hostname=options.tls_server_name or None,
                    )
        except Exception as error:
            await self._close()
            raise PyagentError(f"cannot connect to {', '.join(servers)}: {_words(error, errors)}") from None
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._subscribe(client)
        except Exception as error:
            await self._close()
            raise PyagentError(f"cannot subscribe at {', '.join(servers)}: {_words(error)}") from None
        return lost

    async def _subscribe(self, client: "Client") -> None:
        options = self.options
        messages, size = options.pending_message_limit, options.pending_bytes_limit
        for subject in options.subjects or ([] if options.jetstream_subjects else [_SUBJECT]):
            await client.subscribe(
                subject,
                queue=options.queue_group,
                cb=self._received(False),
                pending_msgs_limit=messages,
                pending_bytes_limit=size,
            )
        for subject in options.jetstream_subjects:
            await client.jetstream().subscribe(
                subject,
                queue=options.queue_group or None,
                cb=self._received(True),
                stream=options.jetstream_stream or None,
                manual_ack=True,
                pending_msgs_limit=messages,
                pending_bytes_limit=size,
            )
        await client.flush()

    def _received(self, acknowledged: bool) -> "Callable[[Msg], Awaitable[None]]":
        async def received(message: "Msg") -> None:
            consumer = self._consumer
            assert consumer is not None
            acknowledge = (lambda: self._acknowledge(message)) if acknowledged else None
            consumer.put(Message(message.data, message.subject, acknowledge))
            while not consumer.has_room:
                self._room.clear()
                await self._room.wait()

        return received

    def _acknowledge(self, message: "Msg") -> None:
        async def send() -> None:
            with suppress(Exception):  # the connection is lost, and the message comes again
                await message.ack()

        task = asyncio.create_task(send())
        self._acknowledging.add(task)
        task.add_done_callback(self._acknowledging.discard)


def _tagged(message: Message, metrics: list[Metric]) -> list[Metric]:
    for metric in metrics:
        metric.tags["subject"] = message.source
    return metrics


def _words(error: BaseException, before: list[str] | None = None) -> str:
    if before:
        return before[-1]
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT:g} s"
    if isinstance(error, OSError):
        return explained(error)
    text: Any = " ".join(str(error).split())
    return str(text).removeprefix("nats: ") or type(error).__name__
