"""Carbon 2: a line of the metric, the field, the tags, the value and the time for each field.

Text fields are left out; booleans are 1 and 0.
"""

from typing import Annotated, Literal

from pyagent.api import ConfigError, Metric, Options, Serializer, option
from pyagent.kit.field_texts import FieldTexts, SeriesMemo

__all__ = ["Carbon2", "Carbon2Options"]


class Carbon2Options(Options, frozen=True):
    carbon2_format: Annotated[
        Literal["", "field_separate", "metric_includes_field"],
        option("metric=NAME field=KEY, or metric=NAME_KEY (empty: field_separate)"),
    ] = "field_separate"
    carbon2_sanitize_replace_char: Annotated[
        str, option("what takes the place of characters that may not stand in the name (empty: `:`)")
    ] = ":"


_REPLACED = "!@#$%^&*()+`'\"[]{};<>,?/\\|="


class Carbon2(Serializer[Carbon2Options]):
    def setup(self) -> None:
        other = self.options.carbon2_sanitize_replace_char or ":"
        if len(other.encode()) != 1:
            raise ConfigError(
                f"cannot put {other!r} in place of other characters: give one ASCII character",
                option="carbon2_sanitize_replace_char",
            )
        self._names = str.maketrans(dict.fromkeys(_REPLACED, other) | {" ": "_"})
        self._between = "_" if self.options.carbon2_format == "metric_includes_field" else " field="
        self._texts = FieldTexts(text=lambda text: "", boolean="01".__getitem__)
        self._series = SeriesMemo(self._parts)

    def serialize(self, metric: Metric) -> bytes:
        start, tags = self._series.of(metric)
        time = metric.time // 1_000_000_000
        lines = [
            f"{start}{key.replace(' ', '_')} {tags} {text} {time}\n"
            for key, value in metric.fields.items()
            if (text := self._texts[type(value)](value))
        ]
        return "".join(lines).encode("utf-8", "surrogateescape")

    def _parts(self, metric: Metric) -> tuple[str, str]:
        tags = [(key, metric.tags[key] or "null") for key in sorted(metric.tags)]
        written = "".join([f"{key.replace(' ', '_')}={value.replace(' ', '_')} " for key, value in tags])
        return f"metric={metric.name.translate(self._names)}{self._between}", written
