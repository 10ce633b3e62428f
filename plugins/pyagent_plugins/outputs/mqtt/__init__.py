"""Publishes metrics to topics of an MQTT broker.

A message is delivered when the broker has acknowledged it.
"""

import secrets
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pyagent.api import (
    Batch,
    ConfigError,
    Duration,
    NotConnected,
    Options,
    Output,
    PartialWrite,
    PyagentError,
    QueueFormat,
    RawMetrics,
    Reject,
    Retry,
    Secret,
    option,
)
from pyagent.kit.mqtt import Broker, MqttConnection, MqttSettings
from pyagent.kit.tls import TlsOptions
from pyagent_plugins.outputs.mqtt.messages import Layout, Message, Topic

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

__all__ = ["MQTT", "MQTTOutputOptions"]


class PublishProperties(Options, frozen=True):
    content_type: Annotated[str, option("type of the content")] = ""
    response_topic: Annotated[str, option("topic for answers")] = ""
    message_expiry: Annotated[
        Duration, option("how long the broker keeps a message, in whole seconds (0: for ever)")
    ] = Duration(0)
    topic_alias: Annotated[int, option("number that stands for the topic (0: none)", ge=0, le=65535)] = 0
    user_properties: Annotated[dict[str, str], option("properties of your own")] = {}


class MQTTOutputOptions(TlsOptions, frozen=True):
    serializes: ClassVar[bool] = True

    servers: Annotated[
        list[str],
        option(
            "brokers of one cluster: 'HOST:1883', 'tcp://...', 'ssl://...', 'mqtts://...', 'ws://...' ([]: localhost:1883)"
        ),
    ] = []
    protocol: Annotated[Literal["", "3.1.1", "5"], option("version of MQTT (empty: 3.1.1)")] = ""
    topic: Annotated[str, option("template of the topic (empty: the measurement)")] = ""
    topic_prefix: Annotated[str, option("first part of the topic", deprecated="topic")] = ""
    qos: Annotated[int, option("0: at most once, 1: at least once, 2: exactly once", ge=0, le=2)] = 0
    keep_alive: Annotated[int, option("seconds between pings (0: none)", ge=0, le=65535)] = 30
    username: Annotated[Secret, option("user name at the broker")] = Secret("")
    password: Annotated[Secret, option("password at the broker")] = Secret("")
    client_id: Annotated[str, option("name of this client, which no other may have (empty: a random one)")] = ""
    timeout: Annotated[Duration, option("longest wait for an acknowledgement (under 1s: 5s)")] = Duration("5s")
    connection_timeout: Annotated[Duration, option("give up connecting after (under 1s: 30s)")] = Duration(0)
    persistent_session: Annotated[bool, option("the broker keeps this client's session; wants client_id")] = False
    retain: Annotated[bool, option("the broker keeps the last message of each topic")] = False
    client_trace: Annotated[
        bool, option("log what the MQTT library does, at the level debug", deprecated='log_level = "trace"')
    ] = False
    layout: Annotated[
        Literal["", "non-batch", "batch", "field", "homie-v4"],
        option(
            "a message for each metric, for all metrics of a topic, for each field, or as Homie 4 has them (empty: non-batch)"
        ),
    ] = ""
    batch: Annotated[bool, option("a message for all metrics of a topic", deprecated='layout = "batch"')] = False
    homie_device_name: Annotated[str, option("template of the device's name, for homie-v4")] = ""
    homie_node_id: Annotated[str, option("template of the node's ID, for homie-v4")] = ""
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"
    v5: Annotated[PublishProperties, option("properties of messages of MQTT 5")] = PublishProperties()


_SERVER = "localhost:1883"
_AT_ONCE = 500
"""Messages that are given to the library at once."""
_OF_THE_MESSAGE = ("topic", "payload", "packet too large")
"""What refusals speak of that are about the message; others are about this client."""


class MQTT(Output[MQTTOutputOptions]):
    def setup(self) -> None:
        options = self.options
        if options.persistent_session and not options.client_id:
            message = "cannot use persistent_session without client_id: the broker knows its clients by that; set it"
            raise ConfigError(message, option="persistent_session")
        context = options.ssl_context()
        self._brokers = [Broker.of(server, tls=context is not None) for server in options.servers or [_SERVER]]
        self._layout = Layout(
            options.layout or ("batch" if options.batch else "non-batch"),
            Topic(options.topic, options.topic_prefix),
            self.serializer,
            options.homie_device_name,
            options.homie_node_id,
        )
        self._settings = MqttSettings(
            client_id=options.client_id or f"pyagent-output-{secrets.token_hex(5)}",
            username=options.username.reveal(),
            password=options.password.reveal(),
            clean_session=not options.persistent_session,
            keepalive=options.keep_alive,
            timeout=_seconds(options.connection_timeout, 30.0),
            tls=context,
            server_name=options.tls_server_name,
            trace=self.log if options.client_trace else None,
            version_5=options.protocol == "5",
        )
        self._patience = _seconds(options.timeout, 5.0)
        self._connection: MqttConnection | None = None
        self._properties: Properties | None = None

    def destination(self, partition: str | None) -> str:
        return ", ".join(broker.text for broker in self._brokers)

    def queue_format(self) -> QueueFormat:
        return RawMetrics()

    async def connect(self) -> None:
        self._close_connection()
        self._layout.forget()
        failures = []
        for broker in self._brokers:
            connection = MqttConnection(broker, self._settings, lambda message: None)
            try:
                await connection.open()
            except PyagentError as error:
                failures.append(str(error))
                continue
            self._connection = connection
            if self._settings.version_5:
                self._properties = self._made_properties()
            return
        raise PyagentError("; ".join(failures))

    async def write(self, batch: Batch) -> None:
        connection = self._connection
        assert connection is not None
        refused: dict[int, str] = {}
        messages = self._layout.messages(batch.metrics(), refused)
        try:
            for start in range(0, len(messages), _AT_ONCE):
                await self._publish(connection, messages, range(start, min(start + _AT_ONCE, len(messages))))
        except ConnectionError as error:
            connection.close()
            raise NotConnected(f"cannot publish to {connection.broker.text}: the connection is lost: {error}") from None
        self._layout.published()
        for key, text in connection.refused.items():
            if not text.startswith(_OF_THE_MESSAGE):
                connection.refused.clear()
                reason = f"cannot publish to {connection.broker.text}: the broker refuses: {text}; correct its rights or limits"
                raise Retry(reason, needs_operator=True)
            refused.update(dict.fromkeys(messages[key].indices, text))
        connection.refused.clear()
        if refused:
            reason = f"cannot publish a metric: {next(iter(refused.values()))}"
            indices = tuple(sorted(refused))
            raise (
                Reject(reason, indices) if len(refused) == batch.count else PartialWrite(reason, len(indices), indices)
            )

    async def close(self) -> None:
        connection = self._connection
        if connection is not None and not connection.lost.done():
            try:
                farewell = self._layout.farewell()
                await self._publish(connection, farewell, range(len(farewell)))
            except ConnectionError:
                pass  # those who listen will find out
        self._close_connection()

    async def _publish(self, connection: MqttConnection, messages: list[Message], keys: range) -> None:
        qos, retain = self.options.qos, self.options.retain
        for key in keys:
            message = messages[key]
            connection.publish(key, message.topic, message.payload, qos, retain, self._properties)
        await connection.delivered(self._patience)

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _made_properties(self) -> "Properties":
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        given = self.options.v5
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if given.content_type:
            properties.ContentType = given.content_type
        if given.response_topic:
            properties.ResponseTopic = given.response_topic
        if seconds := int(given.message_expiry.seconds):
            properties.MessageExpiryInterval = seconds
        if given.topic_alias:
            properties.TopicAlias = given.topic_alias
        if given.user_properties:
            properties.UserProperty = list(given.user_properties.items())
        return properties


def _seconds(duration: Duration, default: float) -> float:
    return duration.seconds if duration.seconds >= 1 else default
