"""Numbers by name, `name.field=1.5` a line: one for each field that is a number."""

from typing import Annotated

from pyagent.api import Metric, Options, Serializer, option


class ExampleOptions(Options, frozen=True):
    example_separator: Annotated[str, option("what stands between name and number")] = "="


class Example(Serializer[ExampleOptions]):
    def serialize(self, metric: Metric) -> bytes:
        lines = [
            f"{metric.name}.{name}{self.options.example_separator}{value}\n"
            for name, value in metric.fields.items()
            if not isinstance(value, str | bool)
        ]
        if not lines:
            raise ValueError("there is no number in it")
        return "".join(lines).encode("utf-8", "replace")
