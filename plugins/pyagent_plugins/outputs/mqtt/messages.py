"""From metrics to messages, in each of the layouts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyagent.api import ConfigError, FieldValue, Metric, Serializer
from pyagent.kit.metric_template import MetricTemplate, value_text
from pyagent.kit.shown import quoted

__all__ = ["Layout", "Message", "Topic"]

_LONGEST_TOPIC = 65535
_BEFORE_TEMPLATES = "{{ .TopicPrefix }}/{{ .Hostname }}/{{ .PluginName }}"


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    indices: tuple[int, ...] = ()
    """Of the metrics that it is about."""


class Topic:
    """Raises ConfigError."""

    def __init__(self, text: str, prefix: str) -> None:
        if not text and prefix:
            text = _BEFORE_TEMPLATES
        self._template = MetricTemplate(text, "topic", {"TopicPrefix": prefix})
        if wildcard := re.search("[#+]", self._template.constants + prefix):
            message = f"cannot publish to the topic {text!r}: {wildcard[0]!r} stands for any topics; remove it"
            raise ConfigError(message, option="topic")

    def of(self, metric: Metric) -> str:
        """Without empty parts. Raises ValueError for what is no topic."""
        text = self._template.of(metric)
        parts = [part for part in text.split("/") if part]
        topic = ("/" if text.startswith("/") else "") + "/".join(parts) if parts else metric.name
        return _checked(topic)


def _checked(topic: str) -> str:
    """Raises ValueError for what is no topic."""
    if re.search("[\ud800-\udfff]", topic):
        wrong = "it is not UTF-8"
    elif found := re.search("[#+\0]", topic):
        wrong = f"it has the wildcard {found[0]}" if found[0] != "\0" else "it has a NUL"
    elif len(topic.encode()) > _LONGEST_TOPIC:
        wrong = f"it has more than {_LONGEST_TOPIC} bytes"
    else:
        return topic
    raise ValueError(f"{quoted(topic[:100])} is no topic: {wrong}")


class Layout:
    def __init__(self, name: str, topic: Topic, serializer: Serializer[Any], device: str, node: str) -> None:
        """`device`, `node`: templates, for Homie. Raises ConfigError."""
        self._topic = topic
        self._serializer = serializer
        self._make: Callable[[Sequence[tuple[int, str, Metric]], dict[int, str]], list[Message]]
        self._homie = _Homie(device, node) if name == "homie-v4" else None
        if self._homie is not None:
            self._make = self._homie.messages
        else:
            self._make = {"batch": self._of_topics, "field": _of_fields}.get(name, self._of_metrics)

    def messages(self, metrics: Sequence[Metric], refused: dict[int, str]) -> list[Message]:
        """What cannot be in any goes into `refused`, by its index."""
        found: list[tuple[int, str, Metric]] = []
        for index, metric in enumerate(metrics):
            try:
                found.append((index, self._topic.of(metric), metric))
            except ValueError as error:
                refused[index] = str(error)
        return self._make(found, refused)

    def published(self) -> None:
        """The messages that were made last are with the broker."""
        if self._homie is not None:
            self._homie.published()

    def forget(self) -> None:
        """Another connection: the broker may know nothing."""
        if self._homie is not None:
            self._homie.forget()

    def farewell(self) -> list[Message]:
        return self._homie.farewell() if self._homie is not None else []

    def _of_metrics(self, found: Sequence[tuple[int, str, Metric]], refused: dict[int, str]) -> list[Message]:
        messages = []
        for index, topic, metric in found:
            try:
                if payload := self._serializer.serialize(metric):
                    messages.append(Message(topic, payload, (index,)))
            except Exception as error:  # it may be anybody's code
                refused[index] = _words(error)
        return messages

    def _of_topics(self, found: Sequence[tuple[int, str, Metric]], refused: dict[int, str]) -> list[Message]:
        topics: dict[str, list[tuple[int, Metric]]] = {}
        for index, topic, metric in found:
            topics.setdefault(topic, []).append((index, metric))
        messages = []
        for topic, group in topics.items():
            try:
                payload = self._serializer.serialize_batch([metric for _, metric in group])
            except Exception:
                group = [one for one in group if self._is_serializable(one, refused)]
                payload = self._serializer.serialize_batch([metric for _, metric in group]) if group else b""
            if payload:
                messages.append(Message(topic, payload, tuple(index for index, _ in group)))
        return messages

    def _is_serializable(self, one: tuple[int, Metric], refused: dict[int, str]) -> bool:
        try:
            self._serializer.serialize_batch([one[1]])
        except Exception as error:
            refused[one[0]] = _words(error)
            return False
        return True


def _of_fields(found: Sequence[tuple[int, str, Metric]], refused: dict[int, str]) -> list[Message]:
    messages = []
    for index, topic, metric in found:
        try:
            messages += [
                Message(_checked(f"{topic}/{key}"), _bytes(value_text(it)), (index,))
                for key, it in metric.fields.items()
            ]
        except ValueError as error:
            refused[index] = str(error)
    return messages


class _Homie:
    """Devices, their nodes, and of each node what it measures: https://homieiot.github.io/specification/."""

    def __init__(self, device: str, node: str) -> None:
        for name, text in (("homie_device_name", device), ("homie_node_id", node)):
            if not text:
                raise ConfigError(f"cannot publish as Homie has it: {name} is missing; set it", option=name)
        self._device = MetricTemplate(device, "homie_device_name")
        self._node = MetricTemplate(node, "homie_node_id")
        self._known: dict[str, set[str]] = {}
        self._new: dict[str, set[str]] = {}

    def messages(self, found: Sequence[tuple[int, str, Metric]], refused: dict[int, str]) -> list[Message]:
        self._new = {topic: set(nodes) for topic, nodes in self._known.items()}
        messages: list[Message] = []
        for index, topic, metric in found:
            try:
                pairs = self._of_metric(topic, metric)
            except ValueError as error:
                refused[index] = str(error)
                continue
            messages += [Message(where, _bytes(text), (index,)) for where, text in pairs]
        return messages

    def _of_metric(self, topic: str, metric: Metric) -> list[tuple[str, str]]:
        device, node = self._device.of(metric), self._node.of(metric)
        if "/" in device or "/" in node:
            raise ValueError(
                f"{quoted((device + node)[:100])}: the name of a device or the ID of a node cannot have a /"
            )
        longest = max((*metric.tags, *metric.fields), key=len, default="")
        _checked(f"{topic}/{_identity(node)}/{_identity(longest)}/$properties")
        pairs = []
        if topic not in self._new:
            self._new[topic] = set()
            pairs += [(f"{topic}/$homie", "4.0"), (f"{topic}/$name", device), (f"{topic}/$state", "ready")]
        path = f"{topic}/{_identity(node)}"
        if (identity := _identity(node)) not in self._new[topic]:
            self._new[topic].add(identity)
            pairs += [(f"{topic}/$nodes", ",".join(sorted(self._new[topic]))), (f"{path}/$name", node)]
        tags = sorted(metric.tags.items())
        properties = sorted(_identity(key) for key in (*metric.tags, *metric.fields))
        pairs.append((f"{path}/$properties", ",".join(properties)))
        values: list[tuple[str, FieldValue]] = [*tags, *metric.fields.items()]
        for key, value in values:
            where = f"{path}/{_identity(key)}"
            pairs += [(where, value_text(value)), (f"{where}/$name", key), (f"{where}/$datatype", _datatype(value))]
        return pairs

    def published(self) -> None:
        self._known = self._new

    def forget(self) -> None:
        self._known = {}

    def farewell(self) -> list[Message]:
        return [Message(f"{topic}/$state", b"lost") for topic in self._known]


def _identity(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _datatype(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "float" if isinstance(value, float) else "integer"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
