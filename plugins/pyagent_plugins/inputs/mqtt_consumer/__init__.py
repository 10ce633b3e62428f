"""Reads metrics from topics of an MQTT broker.

A message is acknowledged when the outputs' queues hold its metrics.
"""

import secrets
import ssl
from collections.abc import Awaitable, Iterable
from typing import Annotated, ClassVar

from pyagent.api import Accumulator, ConfigError, Duration, Input, Metric, PyagentError, Secret, option
from pyagent.kit.consumer import Consumer, Message
from pyagent.kit.mqtt import Broker, MqttConnection, MqttMessage, MqttSettings
from pyagent.kit.reconnect import KeptConnection
from pyagent.kit.tls import TlsOptions
from pyagent_plugins.inputs.mqtt_consumer.topic_parsing import TopicParser, TopicParsing

__all__ = ["MQTTConsumer", "MQTTConsumerOptions"]

_SERVER = "tcp://127.0.0.1:1883"
_STOP_GRACE = 1.0
"""Seconds for what was received to get into the queues, and to be acknowledged."""


class MQTTConsumerOptions(TlsOptions, frozen=True):
    parses: ClassVar[bool] = True

    servers: Annotated[
        list[str],
        option("brokers of one cluster: 'tcp://host:1883', 'ssl://...', 'ws://...' ([]: tcp://127.0.0.1:1883)"),
    ] = []
    topics: Annotated[list[str], option("topics to subscribe to, with the wildcards + and #")] = []
    topic_tag: Annotated[str, option("tag that keeps the topic (empty: none)")] = "topic"
    qos: Annotated[int, option("0: at most once, 1 and 2: at least once", ge=0, le=2)] = 0
    connection_timeout: Annotated[Duration, option("give up connecting after", ge="1s")] = Duration("30s")
    max_reconnect_interval: Annotated[Duration, option("longest pause between attempts to connect again")] = Duration(
        "30s"
    )
    keepalive: Annotated[Duration, option("time between pings, in whole seconds", ge=0)] = Duration("60s")
    ping_timeout: Annotated[
        Duration, option("a broker that leaves a ping unanswered for `keepalive` is given up", no_effect=True)
    ] = Duration("10s")
    max_undelivered_messages: Annotated[
        int, option("messages that may wait to be acknowledged before no more are read", ge=1)
    ] = 1000
    persistent_session: Annotated[
        bool, option("the broker keeps what comes while the agent is away; wants client_id, and qos 1 or 2")
    ] = False
    client_id: Annotated[str, option("name of this client, which no other may have (empty: a random one)")] = ""
    username: Annotated[Secret, option("user name at the broker")] = Secret("")
    password: Annotated[Secret, option("password at the broker")] = Secret("")
    client_trace: Annotated[bool, option("log what the MQTT library does, at the level debug")] = False
    topic_parsing: Annotated[list[TopicParsing], option("names, tags and fields out of topics")] = []
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.topics:
            yield "topics", "is empty: there is nothing to subscribe to"
        if self.persistent_session and self.qos == 0:
            yield "persistent_session", "does nothing with qos = 0: the broker keeps no such messages"


class MQTTConsumer(Input[MQTTConsumerOptions]):
    def setup(self) -> None:
        options = self.options
        if options.persistent_session and not options.client_id:
            message = "cannot use persistent_session without client_id: the broker knows its clients by that; set it"
            raise ConfigError(message, option="persistent_session")
        for topic in options.topics:
            _check_filter(topic)
        context = options.ssl_context()
        self._brokers = [Broker.of(server, tls=context is not None) for server in options.servers or [_SERVER]]
        self._settings = self._made_settings(context)
        self._topic_parsers = [TopicParser(each) for each in options.topic_parsing]
        self._connection: MqttConnection | None = None
        self._kept: KeptConnection | None = None
        self._consumer: Consumer | None = None

    def _made_settings(self, context: ssl.SSLContext | None) -> MqttSettings:
        options = self.options
        return MqttSettings(
            client_id=options.client_id or f"pyagent-consumer-{secrets.token_hex(5)}",
            username=options.username.reveal(),
            password=options.password.reveal(),
            clean_session=not options.persistent_session,
            keepalive=int(options.keepalive.seconds),
            timeout=options.connection_timeout.seconds,
            tls=context,
            server_name=options.tls_server_name,
            trace=self.log if options.client_trace else None,
        )

    async def start(self, acc: Accumulator) -> None:
        self._consumer = Consumer(
            acc,
            self.parser,
            self.log,
            most=self.options.max_undelivered_messages,
            adjust=self._adjusted if self.options.topic_tag or self._topic_parsers else None,
            on_room=self._read_on,
        )
        servers = ", ".join(broker.text for broker in self._brokers)
        longest = self.options.max_reconnect_interval.seconds
        kept = KeptConnection(self._connect, self.log, servers, longest=longest)
        await kept.start()
        self._kept = kept

    async def stop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is None:
            return
        await kept.stop()
        if self._connection is not None:
            self._connection.pause()
        if self._consumer is not None:
            await self._consumer.close(_STOP_GRACE)
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> Awaitable[str]:
        """To the first of the servers that takes it."""
        assert self._consumer is not None
        if self._connection is not None:
            self._connection.close()
        failures = []
        for broker in self._brokers:
            connection = MqttConnection(broker, self._settings, self._received, self._consumer.forget)
            # Messages of a session that goes on come before the answer to the subscription.
            self._connection = connection
            try:
                await connection.open()
                # Exactly once is none that a program which may be killed can promise: at least once is.
                await connection.subscribe(self.options.topics, min(self.options.qos, 1))
            except PyagentError as error:
                connection.close()
                failures.append(str(error))
            else:
                self._pause()
                return connection.lost
        raise PyagentError("; ".join(failures))

    def _received(self, message: MqttMessage) -> None:
        assert self._consumer is not None
        self._consumer.put(Message(message.payload, message.topic, message.acknowledge))
        self._pause()

    def _pause(self) -> None:
        """Read no more where there is no room; not before the subscription is answered, behind what a session has kept."""
        connection, consumer = self._connection, self._consumer
        if connection is not None and connection.is_subscribed and consumer is not None and not consumer.has_room:
            connection.pause()

    def _read_on(self) -> None:
        if self._connection is not None and self._kept is not None:
            self._connection.resume()

    def _adjusted(self, message: Message, metrics: list[Metric]) -> list[Metric]:
        topic, tag = message.source, self.options.topic_tag
        for metric in metrics:
            if tag:
                metric.tags[tag] = topic
            for parser in self._topic_parsers:
                parser.parse(topic, metric)
        return metrics


def _check_filter(topic: str) -> None:
    parts = topic.split("/")
    wrong = [part for part in parts if len(part) > 1 and ("+" in part or "#" in part)]
    if not topic or "\0" in topic or len(topic.encode()) > 65535 or wrong or "#" in parts[:-1]:
        message = f"cannot subscribe to {topic[:80]!r}: '+' stands for one whole part of a topic, '#' for all those at its end"
        raise ConfigError(message, option="topics")
