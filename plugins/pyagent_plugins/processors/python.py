"""Changes metrics by a function of yours in Python."""

import inspect
import itertools
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Annotated, Any

from pyagent.api import (
    ConfigError,
    Metric,
    MetricType,
    Options,
    Processor,
    PyagentError,
    Secret,
    Uint,
    field_value,
    option,
    timestamp_ns,
)
from pyagent.api.files import read_file
from pyagent.api.foreign import describe
from pyagent.kit.once import Once

__all__ = ["Python", "PythonOptions"]

MOST_MADE = 10_000
"""Metrics that may become of one."""
_NUMBERS = re.compile(r"\d+")
_serial = itertools.count(1)


class PythonOptions(Options, frozen=True):
    source: Annotated[str, option("the text, which defines `apply(metric)`", executes=True)] = ""
    script: Annotated[str, option("else: the file that has it", executes=True, reads_path=True)] = ""
    constants: Annotated[dict[str, Any], option("names that the text finds defined, with their values")] = {}
    secrets: Annotated[dict[str, Secret], option("the same for texts that no log may show")] = {}


class Python(Processor[PythonOptions]):
    runs_foreign_code = True

    def setup(self) -> None:
        self._once = Once()
        source, self._file = self._text()
        self._module = ModuleType(f"pyagent_script_{next(_serial)}")
        names = self._module.__dict__
        names |= {"__file__": self._file, "Metric": Metric, "MetricType": MetricType, "Uint": Uint, "log": self.log}
        names |= self.options.constants
        names |= {name: secret.reveal() for name, secret in self.options.secrets.items()}
        # Where dataclasses and their like look for it.
        sys.modules[self._module.__name__] = self._module
        try:
            self._run(source)
            self._apply = self._function(names.get("apply"))
        except BaseException:
            self._forget()
            raise

    def process(self, metrics: list[Metric]) -> list[Metric]:
        made: list[Metric] = []
        for metric in metrics:
            before = Metric(metric.name, dict(metric.tags), dict(metric.fields), metric.time, metric.kind)
            try:
                made += _metrics_of(self._apply(metric))
            except BaseException as error:  # KeyboardInterrupt, too: the text is anybody's, and signals go elsewhere
                made.append(before)
                self._failed(error)
        return made

    async def stop(self) -> None:
        self._forget()

    def _forget(self) -> None:
        sys.modules.pop(self._module.__name__, None)

    def _text(self) -> tuple[str | bytes, str]:
        """The text, and what messages call it."""
        options = self.options
        if not options.source and not options.script:
            raise ConfigError("cannot find the function: one of source or script must be set")
        if options.source and options.script:
            raise ConfigError("cannot choose the function: source and script are set; leave one out", option="script")
        if options.source:
            return options.source, "source"
        try:
            return read_file(options.script), str(options.script)
        except OSError as error:
            raise ConfigError(f"cannot read {options.script}: {error.strerror or error}", option="script") from None

    def _run(self, source: str | bytes) -> None:
        at = "script" if self.options.script else "source"
        try:
            code = compile(source, self._file, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise ConfigError(f"cannot read {self._file}:{error.lineno or 1}: {error.msg}", option=at) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"cannot read {self._file}: {error or 'it is nested too deeply'}", option=at) from None
        try:
            exec(code, self._module.__dict__)  # noqa: S102  # what the plugin is for
        except BaseException as error:
            raise ConfigError(f"cannot run {self._file}: {describe(error, (self._file,))}", option=at) from None

    def _function(self, found: Any) -> Callable[[Metric], object]:
        at = "script" if self.options.script else "source"
        if not callable(found):
            raise ConfigError(f"cannot use {self._file}: it defines no function `apply(metric)`", option=at)
        if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
            raise ConfigError(
                f"cannot use {self._file}: `apply` is `async def`; write a plain `def`, or a plugin of your own",
                option=at,
            )
        if isinstance(found, FunctionType):
            try:
                inspect.signature(found).bind(None)
            except TypeError:
                raise ConfigError(f"cannot use {self._file}: `apply` must take one metric", option=at) from None
        apply: Callable[[Metric], object] = found
        return apply

    def _failed(self, error: BaseException) -> None:
        text = describe(error, (self._file,))
        words, _, place = text.rpartition(" (")  # numbers of lines tell causes apart
        new = self._once(f"{_NUMBERS.sub('#', words)} {place}")
        self.log.log(logging.ERROR if new else logging.DEBUG, "cannot change a metric: %s; it goes on as it was", text)


def _metrics_of(returned: object) -> list[Metric]:
    """What `apply` returned for one metric: none, one, or several."""
    if returned is None:
        return []
    if isinstance(returned, Metric):
        return [_checked(returned)]
    if not isinstance(returned, Iterable):
        raise PyagentError(f"apply returned a {type(returned).__name__}, and no metric")
    found = list(itertools.islice(_each(returned), MOST_MADE + 1))
    if len(found) > MOST_MADE:
        raise PyagentError(f"apply made more than {MOST_MADE:,} metrics of one")
    return found


def _each(returned: Iterable[object]) -> Iterator[Metric]:
    for item in returned:
        if not isinstance(item, Metric):
            raise PyagentError(f"apply returned a {type(item).__name__} in place of a metric")
        yield _checked(item)


def _checked(metric: Metric) -> Metric:
    """A copy, which what the function does later to the metric does not change. Raises for what no metric can have: the engine
    would refuse the whole batch."""
    name: Any = metric.name
    tags: Any = metric.tags
    fields: Any = metric.fields
    if not isinstance(name, str) or not name:
        raise PyagentError("apply returned a metric without a name")
    if not isinstance(tags, Mapping) or not isinstance(fields, Mapping):
        raise PyagentError(f"apply returned a metric {name!r:.80} whose tags or fields are no dict")
    texts: dict[Any, Any] = dict(tags)
    values = {}
    for key, text in texts.items():
        if not isinstance(key, str) or not isinstance(text, str):
            given = "None" if text is None else f"a {type(text if isinstance(key, str) else key).__name__}"
            raise PyagentError(f"apply returned the tag {key!r:.80} of {name!r:.80}: a tag is text, not {given}")
    for key, value in fields.items():
        if not isinstance(key, str):
            raise PyagentError(f"apply returned the field {key!r:.80} of {name!r:.80}: the name of a field is text")
        try:
            if (plain := field_value(value)) is not None:
                values[key] = plain
        except (TypeError, OverflowError) as error:
            raise PyagentError(f"apply returned the field {key!r:.80} of {name!r:.80}: {error}") from None
    try:
        when = timestamp_ns(metric.time)
        if not -(2**63) <= when < 2**63:
            raise OverflowError("it does not fit 64 bits of nanoseconds")
    except (TypeError, ValueError, OverflowError) as error:
        raise PyagentError(f"apply returned the time {metric.time!r:.80} of {name!r:.80}: {error}") from None
    try:
        kind = MetricType(metric.kind)
    except ValueError:
        raise PyagentError(
            f"apply returned the kind {metric.kind!r:.80} of {name!r:.80}: it is no MetricType"
        ) from None
    return Metric(name, texts, values, when, kind)
