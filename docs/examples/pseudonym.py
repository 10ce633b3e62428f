"""Tags that name people, as pseudonyms: the same name gives the same pseudonym, and none can be turned back without the key."""

from hashlib import blake2b
from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Processor, Secret, option


class PseudonymOptions(Options, frozen=True):
    tags: Annotated[list[str], option("keys of the tags to replace")]
    key: Annotated[Secret, option("what the pseudonyms are made with, up to 64 bytes; keep it")]


class Pseudonym(Processor[PseudonymOptions]):
    def setup(self) -> None:
        self._key = self.options.key.reveal().encode()
        if not 0 < len(self._key) <= 64:
            raise ConfigError("cannot use the key: it is empty or longer than 64 bytes", option="key")

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for metric in metrics:
            for tag in self.options.tags:
                if (name := metric.tags.get(tag)) is not None:
                    metric.tags[tag] = blake2b(
                        name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=6
                    ).hexdigest()
        return metrics
