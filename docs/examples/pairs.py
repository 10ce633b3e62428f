"""Numbers by name, `name=1.5` a line: each line is a field of one metric."""

from typing import Annotated

from pyagent.api import FieldValue, Metric, Options, ParseError, Parser, option


class PairsOptions(Options, frozen=True):
    pairs_separator: Annotated[str, option("what stands between name and number")] = "="


class Pairs(Parser[PairsOptions]):
    def parse(self, data: bytes) -> list[Metric]:
        fields: dict[str, FieldValue] = {}
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            name, _, value = line.partition(self.options.pairs_separator)
            try:
                fields[name.strip()] = float(value)
            except ValueError:
                raise ParseError(f"{line[:80]!r} is not a name and a number", number) from None
        return [Metric(self.measurement, dict(self.default_tags), fields, self.now())]
