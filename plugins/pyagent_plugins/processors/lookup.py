"""Adds tags from tables in files, by a key made of each metric.

A table is JSON or CSV. One that changes is read again.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec

from pyagent.api import ConfigError, Metric, Options, Processor, option
from pyagent.api.files import read_file
from pyagent.kit.csv_rows import BadRow, csv_rows
from pyagent.kit.gotemplate import GO_FUNCTIONS, METRIC_MEMBERS, GoTemplate, TemplateError
from pyagent.kit.problems import Problems
from pyagent.kit.shown import quoted

__all__ = ["Lookup", "LookupOptions"]

_LOOK = 10.0
"""Seconds between two looks whether a file has changed."""
_Json = dict[str, dict[str, str | None] | None] | None


class LookupOptions(Options, frozen=True):
    files: Annotated[list[str], option("the tables; later ones win over earlier ones", reads_path=True)] = []
    format: Annotated[
        str,
        option(
            "json: {KEY: {TAG: VALUE}}; csv_key_name_value: rows KEY,TAG,VALUE,...; csv_key_values: a header has the tags"
        ),
    ] = "json"
    key: Annotated[str, option('template of the key, such as {{.Name}}-{{.Tag "host"}}')] = ""


class Lookup(Processor[LookupOptions]):
    def setup(self) -> None:
        options = self.options
        if not options.files:
            raise ConfigError("the option 'files' is missing; name the tables", option="files")
        if not options.key:
            raise ConfigError("the option 'key' is missing; write a template", option="key")
        reader = _READERS.get(options.format.lower())
        if reader is None:
            choices = ", ".join(name for name in _READERS if name)
            raise ConfigError(
                f"the option 'format' cannot be {options.format!r}; use one of {choices}", option="format"
            )
        self._read = reader
        self._key = GoTemplate(options.key, "key", METRIC_MEMBERS, functions=GO_FUNCTIONS)
        for doubt in self._key.doubts:
            self.log.warning("%s", doubt)
        self._problems = Problems(self.log)
        self._stamps = self._look()
        try:
            self._table = self._load()
        except ValueError as error:
            raise ConfigError(str(error), option="files") from None
        self._due = time.monotonic() + _LOOK

    def process(self, metrics: list[Metric]) -> list[Metric]:
        if time.monotonic() >= self._due:
            self._reload()
        render, table = self._key.render, self._table
        for metric in metrics:
            try:
                tags = table.get(render(metric))
            except TemplateError as error:
                self._problems.add("key", f"cannot make the key of a metric of {quoted(metric.name)}: {error}")
                continue
            if tags:
                metric.tags = {**metric.tags, **tags}
        return metrics

    def _reload(self) -> None:
        self._due = time.monotonic() + _LOOK
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._table = self._load()
        except ValueError as error:
            self.log.error("%s; the tables from before go on", error)
        else:
            self.log.info("the tables have changed, and are read again")

    def _look(self) -> list[tuple[int, ...]]:
        """What is another one when a file has changed."""
        stamps: list[tuple[int, ...]] = []
        for path in self.options.files:
            try:
                found = os.stat(path)
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                stamps.append(())
        return stamps

    def _load(self) -> dict[str, dict[str, str]]:
        """Raises ValueError with a whole message."""
        table: dict[str, dict[str, str]] = {}
        for path in self.options.files:
            try:
                text = read_file(path).decode("utf-8", "surrogateescape")
                for key, tags in self._read(text):
                    table.setdefault(key, {}).update(tags)
            except OSError as error:
                raise ValueError(f"cannot read {quoted(path)}: {error.strerror}") from None
            except BadRow as error:
                raise ValueError(f"cannot read {quoted(path)}: line {error.line + 1}: {error.reason}") from None
            except ValueError as error:
                raise ValueError(f"cannot read {quoted(path)}: {error}") from None
        return table


_Rows = Iterator[tuple[str, dict[str, str]]]


def _read_json(text: str) -> _Rows:
    for key, tags in (msgspec.json.decode(text.encode("utf-8", "replace"), type=_Json) or {}).items():
        yield key, {name: value or "" for name, value in (tags or {}).items()}


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    return csv_rows(text.replace("\r\n", "\n"), ",", "#", trim=True)


def _read_names_and_values(text: str) -> _Rows:
    for line, row in _rows(text):
        if len(row) < 3:
            raise BadRow(line, "a row needs a key, a tag and a value")
        if len(row) % 2 == 0:
            raise BadRow(line, "the last tag has no value")
        yield row[0], dict(zip(row[1::2], row[2::2], strict=True))


def _read_values(text: str) -> _Rows:
    rows = _rows(text)
    _, header = next(rows, (0, None))
    if header is None:
        raise BadRow(0, "there is no header")
    if len(header) < 2:
        raise BadRow(0, "the header needs a key and a tag")
    for line, row in rows:
        if len(row) != len(header):
            raise BadRow(line, f"the row has {len(row)} values, and the header {len(header)}")
        yield row[0], {tag: value for tag, cell in zip(header[1:], row[1:], strict=True) if (value := cell.strip())}


_READERS: dict[str, Callable[[str], _Rows]] = {
    "": _read_json,
    "json": _read_json,
    "csv_key_name_value": _read_names_and_values,
    "csv_key_values": _read_values,
}
