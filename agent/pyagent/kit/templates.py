"""Templates that make a measurement, tags and a field of a name with dots, as Graphite's: `cpu.* measurement.host.field`.

    templates = Templates(["cpu.* measurement.host.field"], joiner="_")
    templates.apply("cpu.web1.load")  # ("cpu", {"host": "web1"}, "load")

A text is `[SEPARATOR] [FILTER] TEMPLATE [TAG=VALUE,...]`. Of several filters that fit the one with the most words that are
no `*` is taken, from the left; a text without a filter is for the names that none fits; of several of these
the one with the most words counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyagent.api.errors import ConfigError

__all__ = ["Templates"]

_SEPARATOR = "."


@dataclass(frozen=True)
class _Template:
    separator: str
    parts: list[str]
    tags: dict[str, str]

    def apply(self, name: str, joiner: str) -> tuple[str, dict[str, str], str]:
        words = name.split(self.separator)
        measurement: list[str] = []
        fields: list[str] = []
        tags = {key: [value] for key, value in self.tags.items()}
        for index, part in enumerate(self.parts[: len(words)]):
            match part:
                case "":
                    pass
                case "measurement":
                    measurement.append(words[index])
                case "measurement*":
                    measurement += words[index:]
                case "field":
                    fields.append(words[index])
                case "field*":
                    fields += words[index:]
                case _:
                    tags.setdefault(part, []).append(words[index])
        return joiner.join(measurement), {key: joiner.join(found) for key, found in tags.items()}, joiner.join(fields)


@dataclass
class _Node:
    template: _Template | None = None
    children: "dict[str, _Node]" = field(default_factory=dict)

    def insert(self, words: list[str], template: _Template) -> None:
        node = self
        for word in words:
            node = node.children.setdefault(word, _Node())
        node.template = template

    def search(self, words: list[str]) -> _Template | None:
        if not words or not self.children:
            return self.template
        exact = self.children.get(words[0]) if words[0] != "*" else None
        found = exact.search(words[1:]) if exact is not None else None
        if found is not None:
            return found
        every = self.children.get("*")
        return every.search(words[1:]) if every is not None else self.template


class Templates:
    """Raises ConfigError for a text that is no template. `joiner`: between words that come together."""

    def __init__(self, texts: Iterable[str], joiner: str, *, option: str = "templates") -> None:
        self._joiner = joiner
        self._default = _Template(_SEPARATOR, ["measurement*"], {})
        self._root = _Node()
        self._separator = _SEPARATOR
        specs = [_spec(text, option) for text in texts if text.split()]
        for pattern, template in sorted(specs, key=lambda spec: (bool(spec[0]), len(spec[1].parts))):
            self._separator = template.separator
            if pattern:
                self._root.insert(pattern.split(template.separator), template)
            else:
                self._default = template

    def apply(self, name: str) -> tuple[str, dict[str, str], str]:
        """Measurement, tags and field; the first is empty where the template finds none, the last where it names none."""
        found = self._root.search(name.split(self._separator))
        return (found or self._default).apply(name, self._joiner)


def _spec(text: str, option: str) -> tuple[str, _Template]:
    """The filter and the template."""
    words = text.split()
    tagged = len(words) > 1 and "=" in words[-1]
    tags: dict[str, str] = {}
    if tagged or len(words) == 4:
        for item in words.pop().split(","):
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise ConfigError(f"cannot use the template {text!r}: {item!r} is no TAG=VALUE", option=option)
            tags[key] = value.partition("=")[0]
    if not 1 <= len(words) <= 3:
        cause = "it has too many words; give [SEPARATOR] [FILTER] TEMPLATE [TAG=VALUE,...]"
        raise ConfigError(f"cannot use the template {text!r}: {cause}", option=option)
    separator = words[0] if len(words) == 3 else _SEPARATOR
    parts = words[-1].split(separator)
    if not any(part.startswith("measurement") for part in parts):
        raise ConfigError(f"cannot use the template {text!r}: it has no word `measurement`", option=option)
    if "measurement*" in parts and "field*" in parts:
        raise ConfigError(
            f"cannot use the template {text!r}: it may have one of `measurement*` and `field*`", option=option
        )
    return words[-2] if len(words) > 1 else "", _Template(separator, parts, tags)
