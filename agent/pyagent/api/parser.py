"""Parsers: from data in some format to metrics.

A plugin that parses lets its users choose the format. Its options inherit from `ParserOptions`, and the engine gives it
a parser of the `data_format` that the configuration names, with that parser's options from the same table:

    class SpoolOptions(ParserOptions, frozen=True):
        path: str = "/var/spool/report"

    class Spool(Input[SpoolOptions]):
        def gather(self, acc: Accumulator) -> None:
            acc.add_metrics(self.parser.parse(Path(self.options.path).read_bytes()))
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Protocol

from pyagent.api.line_options import PrecisionName
from pyagent.api.metric import Metric
from pyagent.api.options import Options, option
from pyagent.api.plugin import O_co, Plugin

__all__ = ["Parser", "ParserOptions"]


class ParserOptions(Options, frozen=True):
    """Base of the options of a plugin that parses. One that has another default format declares `data_format` anew."""

    parses: ClassVar[bool] = True
    data_format: Annotated[str, option("format of the data; it has options of its own")] = "influx"


class LineError(Protocol):
    @property
    def text(self) -> str:
        """The line."""


class ParsedLines(Protocol):
    """What `Parser.parse_lines` gives: the metrics of all good lines, and for each bad one what is wrong with it, as its
    text tells ("line 2, column 5: ...")."""

    @property
    def metrics(self) -> list[Metric]: ...

    @property
    def errors(self) -> Sequence["LineError"]: ...

    @property
    def bad(self) -> int:
        """The number of bad lines, of which `errors` are the first."""


class LineParser(Protocol):
    def __call__(self, data: bytes, default_time: int, precision: PrecisionName = "ns") -> ParsedLines: ...


class Parser(Plugin[O_co]):
    """Makes metrics of data in one format. The module's name is what `data_format` says.

    It may keep what it learned from one piece of data for the next (a table's header, say), where its options ask for
    that; so whoever parses things that have nothing to do with each other makes a parser for each.
    """

    line_precision: PrecisionName | None = None
    """Of a parser of plain line protocol the unit of its times: the engine reads such data itself, where it need make no
    metrics of them."""

    may_wait: ClassVar[bool] = False
    """Whether `parse` may wait, a few seconds at the most, for a server that it asks. The engine calls it in a thread then."""

    def __init__(
        self, options: O_co, log: logging.Logger, *, measurement: str = "", parse_lines: LineParser | None = None
    ) -> None:
        self.measurement = measurement
        """Name of metrics for which the data give none: the name of the plugin that parses."""
        self.default_tags: Mapping[str, str] = {}
        """Given to every metric that has no tag of that key."""
        self.now: Callable[[], int] = time.time_ns
        """Time of metrics for which the data give none, ns since the epoch. To be asked for each record that has none."""
        self.stamps_received = False
        """Whether `acc.ingest` gives metrics the time at which they were received, whatever the data say."""
        self._parse_lines = parse_lines
        super().__init__(options, log)

    def parse(self, data: bytes) -> list[Metric]:
        """The metrics in `data`, which may be none; one may be without fields, and is dropped later.

        Raises ParseError where the data are not of the format; then none of it counts: one bad record costs its neighbours,
        as in Telegraf. Where Telegraf skips bad records of a format, by itself or by an option, the parser leaves them out and
        says so in the debug log. Of line protocol that a listener receives, the engine keeps all good lines (`parse_lines`).
        """
        raise NotImplementedError("the plugin defines no parse(self, data)")

    def parse_lines(self, data: bytes, precision: PrecisionName = "ns") -> ParsedLines:
        """Line protocol, by the engine's own parser. Lines without a time get the present, each a nanosecond more than the
        one before."""
        if self._parse_lines is None:
            raise RuntimeError("this parser was made without the engine")
        return self._parse_lines(data, self.now(), precision)
