"""The contract of an input."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pyagent.api.accumulator import Accumulator
from pyagent.api.measurements import Measurement, Measurements
from pyagent.api.options import Options
from pyagent.api.parser import Parser
from pyagent.api.plugin import O_co, Plugin

__all__ = ["Input"]


class Input(Plugin[O_co]):
    """Measures something, each time it is asked.

    `gather` is `async def` or a plain `def` (that runs in a thread of its own). It raises for a failure: the engine logs
    it once per cause, counts it and calls again at the next tick; what was added before is kept. It never sleeps,
    retries, rounds times or adds the tag `host`, and does not know its interval.

    A service input, one that listens or subscribes, defines `start` as well; it hands over what it receives by
    `acc.deliver` or `acc.ingest`. It needs no `gather`.
    """

    measurements: ClassVar[Measurements] = ()
    compares: ClassVar[bool] = False
    """What a gather gives is a difference to the one before: --test and --once gather twice, half a second apart, and show what
    the second gives."""
    keeps_times: ClassVar[Sequence[str]] = ()
    """Measurements of events, each with a time of its own: it is not rounded to `precision`, which would make several one."""

    def __init__(self, options: O_co, log: logging.Logger, new_parser: Callable[[], Parser[Any]] | None = None) -> None:
        self._new_parser = new_parser
        super().__init__(options, log)
        if new_parser is not None:
            self.parser  # noqa: B018  # wrong options of the format are told at the start

    def new_parser(self) -> Parser[Any]:
        """A parser of the `data_format`, for inputs whose options are `ParserOptions`. Raises ConfigError for options that
        it cannot work with."""
        if self._new_parser is None:
            raise RuntimeError("there is no parser: the options must inherit from ParserOptions")
        return self._new_parser()

    @cached_property
    def parser(self) -> Parser[Any]:
        """One parser for all that the input reads. It is made at the start, so that wrong options are told there."""
        return self.new_parser()

    def gather(self, acc: Accumulator) -> Awaitable[None] | None:
        """Measure once."""
        raise NotImplementedError("the plugin defines no gather(self, acc)")

    def cut_short(self) -> None:
        """The agent stops, or the input does, and a gather runs: end soon what it waits for, and return at once. Without it the
        gather has a few seconds more, and is left to itself then. Called in the main loop; a plugin from outside is not."""

    async def start(self, acc: Accumulator) -> None:
        """Begin to listen, and return; work goes on in tasks of its own. Raise for a failure, such as a port in use."""

    def ask_measurements(self) -> Sequence[Measurement]:
        """What it writes, of those who know: programs and files that say what they measure. In place of `measurements`, for
        `pyagent dashboards --ask`.

        Called once, in a thread, before any gather. What cannot be asked is a warning in the log; raise only where nothing can.
        """
        return ()

    @classmethod
    def read_at_start(cls, options: Options) -> Sequence[str]:
        """The files that an input with these options reads in `setup` alone: at a reload it begins anew where one has changed,
        though its table has not. A file that is not there is none. A plugin from outside is not asked."""
        return ()

    def origins(self) -> Sequence[str]:
        """The code of others that it runs, a text for each: what it is and where, `memory: /usr/share/munin/plugins/memory`.

        `pyagent status` and `pyagent doctor` show them. It is asked at any time, from any thread, and only says what it knows:
        it reads, imports and runs nothing. A plugin from outside is not asked, as its own file is named. No arguments of
        programs are in it, as these may be secret: see `pyagent.kit.origins`.
        """
        return ()

    def obstacles(self) -> Sequence[str]:
        """What is in the way of its `start` on this host, a text for each: `cannot run 'x': there is no such program; ...`.

        For `pyagent doctor`, which does not start an input that has a `start` of its own. It is asked after `setup`, in a
        thread, and only looks: it runs, opens and changes nothing. A text that does not begin with `cannot ` is no failure, and
        shown as a warning. A plugin from outside is not asked.
        """
        return ()

    async def stop(self) -> None:
        """End what `start` began and give back connections. Called once, after the last gather; must be safe without any."""
