"""Wavefront's data format: a line `"NAME" VALUE TIME source="..." "TAG"="..."` for each field.

Text fields are left out; booleans are 1 and 0.
"""

from math import isfinite, isnan
from typing import Annotated

from pyagent.api import Metric, Options, Serializer, option
from pyagent.kit.field_texts import SeriesMemo

__all__ = ["Wavefront", "WavefrontOptions"]


class WavefrontOptions(Options, frozen=True):
    prefix: Annotated[str, option("text before each name")] = ""
    wavefront_use_strict: Annotated[bool, option("let `/` and `,` stand in names and keys of tags")] = False
    wavefront_source_override: Annotated[
        list[str], option("tags of which the first that there is names the source; the tag host is telegraf_host then")
    ] = []
    wavefront_disable_prefix_conversion: Annotated[bool, option("keep `_` in names, which becomes a dot else")] = False


_REPLACED = "!@#$%^&*()+`'\"[]{}:;<>?\\| ="
_VALUES = str.maketrans({'"': r"\"", "*": "-"})


class Wavefront(Serializer[WavefrontOptions]):
    def setup(self) -> None:
        strict = self.options.wavefront_use_strict
        self._keys = str.maketrans(dict.fromkeys(_REPLACED if strict else _REPLACED + ",/", "-"))
        dots = {} if self.options.wavefront_disable_prefix_conversion else {ord("_"): "."}
        self._names = self._keys | dots
        self._tails = SeriesMemo(self._tail)

    def serialize(self, metric: Metric) -> bytes:
        tail = f" {metric.time // 1_000_000_000 % 2**64}{self._tails.of(metric)}"
        start = self.options.prefix + metric.name
        lines = []
        for key, value in metric.fields.items():
            if not isinstance(value, str):
                name = start if key == "value" else f"{start}.{key}"
                lines.append(f'"{name.translate(self._names)}" {_number(float(value))}{tail}')
        return "".join(lines).encode("utf-8", "surrogateescape")

    def _tail(self, metric: Metric) -> str:
        """Source and tags."""
        tags = {key: value for key, value in metric.tags.items() if value}
        if "source" in tags:
            source = tags.pop("source")
        elif found := next((key for key in self.options.wavefront_source_override if key in tags), None):
            source = tags.pop(found)
            tags["telegraf_host"] = tags.get("host", "")
        else:
            source = tags.get("host", "")
        tags.pop("host", None)
        written = [f' "{key.translate(self._keys)}"="{tags[key].translate(_VALUES)}"' for key in sorted(tags)]
        return f' source="{source.translate(_VALUES)}"{"".join(written)}\n'


def _number(value: float) -> str:
    if isfinite(value):
        return f"{value:.6f}"
    return "NaN" if isnan(value) else f"{value:+}".title()
