"""What every plugin has to do, whatever it measures: checks that know nothing of it but its kind.

    import pytest
    from pyagent.testing.compliance import CHECKS, Plugin, plugins

    @pytest.mark.parametrize("check", CHECKS)
    @pytest.mark.parametrize("plugin", plugins(["plugins"], cases="tests/plugins"), ids=str)
    def test_compliance(plugin: Plugin, check: str, tmp_path) -> None:
        plugin.check(check, tmp_path)

A plugin runs with the configuration of its first case that has no error, or else with its sample.
"""

import ast
import asyncio
import contextlib
import gc
import importlib
import importlib.util
import inspect
import logging
import re
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pyagent.api import Aggregator, ConfigError, Input, Metric, Output, Parser, Processor, SecretStore
from pyagent.api import Plugin as AnyPlugin
from pyagent.config import Plan, PluginPlan, create_plugin
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.config.data_format import create_parser
from pyagent.config.sample import plugin_sample
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.plugin_kinds import PLUGIN_KINDS
from pyagent.testing.case_run import prepared_case
from pyagent.testing.cases import Case, find_cases
from pyagent.testing.inputs import undeclared
from pyagent.testing.leaks import Holdings, held, left_over
from pyagent.testing.outputs import MemoryBatch
from pyagent.testing.server_process import free_port

__all__ = ["CHECKS", "Plugin", "plugins"]

GATHERS = (20, 100, 100, 100)
"""So many in a round: what loses something in each gather is seen in few; more are for what fills up once."""
MOST_BYTES = 80
"""Memory that a gather may leave: less than a small object."""
HANG = 60.0
_ADDRESS = re.compile(r"(127\.0\.0\.1|localhost):\d+")
_OWN_PORT = re.compile(r'"([^"/]*//)?(127\.0\.0\.1|localhost)?:\d+(/[^"]*)?"')


@dataclass(frozen=True)
class Plugin:
    """A plugin to check."""

    catalog: Catalog
    entry: CatalogEntry
    cases: tuple[Case, ...]
    """Its own."""
    directories: tuple[Path, ...] = ()
    patience: float = 10.0
    """Seconds for a thread that ends, or a child that is collected, to be gone: a hang, not a measure."""

    def __str__(self) -> str:
        return self.entry.label

    def check(self, name: str, folder: Path) -> None:
        """Run one of CHECKS in `folder`, which is empty. Raises AssertionError; skips where a library is missing."""
        try:
            self.catalog.load(self.entry)
        except ConfigError as error:
            pytest.skip(str(error))
        _CHECKS[name](self, folder)

    @property
    def sample(self) -> str:
        text = plugin_sample(self.catalog, self.entry)
        if self.entry.kind != "parsers":
            return text
        options = "".join(f"  {line}\n" for line in text.splitlines() if not line.startswith("#"))
        return f'[[inputs.file]]\n  files = ["in"]\n  data_format = "{self.entry.name}"\n{options}'


def plugins(directories: Sequence[Path | str] = (), *, cases: Path | str | None = None) -> list[Plugin]:
    """The plugins to check: with `directories`, those of these drop-in folders; else all that come with the agent."""
    folders = tuple(Path(one).resolve() for one in directories)
    catalog = Catalog(folders)
    found = find_cases(cases, plugin_directories=folders) if cases is not None else []
    return [
        Plugin(catalog, entry, tuple(case for case in found if case.label.startswith(_path(entry))), folders)
        for entry in catalog.entries()
        if bool(folders) == any(entry.origin.startswith(f"{folder}/") for folder in folders)
        and (folders or entry.origin == "pyagent")
    ]


def _path(entry: CatalogEntry) -> str:
    return f"{entry.kind}/{entry.name}/"


# One plugin, ready to be made ---------------------------------------------------------------------------------------


class _Bench:
    """Makes instances of the plugin that is checked, as its configuration has it."""

    def __init__(self, plugin: Plugin, plan: Plan) -> None:
        self._plugin = plugin
        self.patience = plugin.patience
        self._connected: list[Output[Any]] = []
        entry = plugin.entry
        plans: Sequence[PluginPlan] = ()
        if PLUGIN_KINDS[entry.kind].runs:
            plans = [one for one in getattr(plan, entry.kind) if one.name == entry.name]
        elif entry.kind == "parsers":
            plans = [one for one in plan.inputs if one.parser is not None and one.parser.data_format == entry.name]
        self.plans = plans

    def make(self) -> AnyPlugin[Any]:
        """Raises ConfigError where its setup does."""
        log = logging.getLogger(f"compliance.{self._plugin.entry.label}")
        [plan, *_] = self.plans
        if self._plugin.entry.kind == "parsers":
            return create_parser(plan.parser, plan.name, log)  # type: ignore[attr-defined]  # found by it
        return create_plugin(plan, log)

    async def use(self, plugin: AnyPlugin[Any], acc: InputAccumulator) -> None:
        """Once, as the engine does; what it raises is its own affair."""
        if isinstance(plugin, Input):
            if type(plugin).gather is not Input.gather:
                with contextlib.suppress(Exception):
                    await _called(plugin.gather, acc)
        elif isinstance(plugin, Output):
            with contextlib.suppress(Exception):
                if plugin not in self._connected:
                    await plugin.connect()
                    self._connected.append(plugin)
                await _called(plugin.write, MemoryBatch(["m v=1i 1"], 1, 1))
        elif isinstance(plugin, Processor) and inspect.iscoroutinefunction(plugin.process):
            with contextlib.suppress(Exception):
                await plugin.process([Metric("m", {"t": "a"}, {"v": 1, "w": 2.5, "s": "x"}, 1)])
        else:
            await asyncio.to_thread(self._use_plain, plugin, acc)

    def _use_plain(self, plugin: AnyPlugin[Any], acc: InputAccumulator) -> None:
        metrics = [Metric("m", {"t": "a"}, {"v": 1, "w": 2.5, "s": "x"}, 1)]
        with contextlib.suppress(Exception):
            if isinstance(plugin, Processor):
                list(cast("list[Metric]", plugin.process(metrics)))
            elif isinstance(plugin, Aggregator):
                plugin.add(metrics)
                plugin.push(acc)
                plugin.reset()
            elif isinstance(plugin, Parser):
                for text in (b"", b"\xff", b"m v=1i 1\n", b'{"a": 1}'):
                    with contextlib.suppress(Exception):
                        plugin.parse(text)
            elif isinstance(plugin, SecretStore):
                plugin.get("none")

    def accumulator(self, plugin: AnyPlugin[Any], problems: list[str]) -> InputAccumulator:
        measurements = plugin.measurements if isinstance(plugin, Input) else ()
        return InputAccumulator(measurements, report=problems.append)


async def _called(work: Callable[[Any], Awaitable[None] | None], argument: object) -> None:
    if inspect.iscoroutinefunction(work):
        await work(argument)
    else:
        await asyncio.to_thread(work, argument)


async def _stop(plugin: AnyPlugin[Any]) -> None:
    if isinstance(plugin, Input):
        await plugin.stop()
    elif isinstance(plugin, Output):
        await plugin.close()
    elif isinstance(plugin, Processor):
        await plugin.stop()


@contextlib.asynccontextmanager
async def _bench(plugin: Plugin, folder: Path) -> AsyncIterator[_Bench]:
    """Its first case that can be run here and has no error, else its sample, with addresses that nobody listens on."""
    for case in plugin.cases:
        if not (case.server or case.errors or case.setup):
            break
    else:
        place = folder / "sample"
        place.mkdir()
        # A listener's own address, and that of a server that had better not be asked.
        text = _OWN_PORT.sub(lambda found: f'"{found[1] or ""}127.0.0.1:{free_port()}{found[3] or ""}"', plugin.sample)
        text = _ADDRESS.sub(lambda _: f"127.0.0.1:{free_port()}", text)
        case = Case(label=f"{_path(plugin.entry)}sample", folder=place, config=text)
    case = replace(case, plugin_directories=plugin.directories)
    async with prepared_case(case, folder) as (plan, outcome):
        if plan is None:
            raise AssertionError(f"{case} cannot be loaded: {outcome.log}")
        bench = _Bench(plugin, plan)
        try:
            if bench.plans:
                bench.make()
        except ConfigError as error:
            raise AssertionError(
                f"{plugin} cannot be made from its sample ({error}); give it a case, tests/plugins/{case.label}"
            ) from None
        yield bench


def _in_loop(check: Callable[[_Bench], Awaitable[None]]) -> Callable[[Plugin, Path], None]:
    def run(plugin: Plugin, folder: Path) -> None:
        async def main() -> None:
            async with _bench(plugin, folder) as bench, asyncio.timeout(HANG):
                if bench.plans:  # a secret store has none
                    await check(bench)

        with _own_garbage():
            asyncio.run(main())

    return run


@contextlib.contextmanager
def _own_garbage() -> Iterator[None]:
    """Within it, `gc.collect(1)` finds the garbage of a check without a look at all objects of the process: what is made here
    stays in the two youngest generations until that call."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# The checks ---------------------------------------------------------------------------------------------------------


def _sample_loads(plugin: Plugin, folder: Path) -> None:
    """Its sample configuration is one."""

    async def main() -> None:
        place = folder / "sample"
        place.mkdir()
        text = plugin.sample
        if plugin.entry.kind == "secretstores":  # opened when it is loaded, and not everywhere is what it opens
            text = re.sub("(?m)^  # path = .*$", '  path = "DIR"', text)
        case = Case(label="sample", folder=place, config=text, plugin_directories=plugin.directories)
        async with prepared_case(case, folder) as (plan, outcome):
            if plan is None:
                raise AssertionError(f"its sample cannot be loaded: {outcome.log}")
            _none([line for line in outcome.log if line.startswith("E! ")], "in its sample")

    asyncio.run(main())


def _imports_its_own(plugin: Plugin, folder: Path) -> None:
    """It imports pyagent.api, pyagent.kit, the standard library, its own modules and its client's, nothing else of ours; and of
    these only what they offer."""
    del folder
    kind = plugin.catalog.load(plugin.entry)
    source = Path(inspect.getfile(kind))
    package = kind.__module__ if source.name == "__init__.py" else ""
    files = sorted(source.parent.rglob("*.py")) if package else [source]
    wrong = []
    for file in files:
        for module, names in _imported(file):
            top = module.split(".")[0]
            if top == "pyagent":
                allowed = module.split(".")[1:2] in (["api"], ["kit"])
            elif top == "pyagent_plugins":
                allowed = bool(package) and f"{module}.".startswith(f"{package}.")
            else:
                allowed = True
            if not allowed:
                wrong.append(f"{file.name} imports {module}")
            elif top == "pyagent":
                offered = getattr(importlib.import_module(module), "__all__", ())
                wrong += [
                    f"{file.name} imports {name}, which {module} does not offer"
                    for name in names
                    if name not in offered
                ]
    _none(wrong, "in its source")


def _imported(file: Path) -> Iterator[tuple[str, list[str]]]:
    """The modules that a file imports, also late and for types, with the names that it takes from each."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module, names = node.module or "", [alias.name for alias in node.names]
            modules = [name for name in names if _is_module(f"{module}.{name}")]
            yield from ((f"{module}.{name}", []) for name in modules)
            if rest := [name for name in names if name not in modules]:
                yield module, rest


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


@_in_loop
async def _stops_without_start(bench: _Bench) -> None:
    """It stops without a start, and twice, and after a start that failed or did not."""
    before = held()
    for starts in (False, True):
        plugin = bench.make()
        if starts and isinstance(plugin, Input):
            with contextlib.suppress(Exception):
                await plugin.start(bench.accumulator(plugin, []))
        for _ in range(2):
            await _stop(plugin)
    del plugin
    _none(await _left(before, bench), "after the stop")


@_in_loop
async def _leaves_nothing(bench: _Bench) -> None:
    """After many gathers (writes, calls) there is no thread, task, descriptor, child or memory more than after a few, and after
    the stop there is what there was before."""
    first = bench.make()
    await bench.use(first, bench.accumulator(first, []))  # what is imported and cached once
    await _stop(first)
    del first
    await _settled()
    before = held()
    plugin = bench.make()
    acc = bench.accumulator(plugin, [])

    async def some(count: int) -> None:
        for _ in range(count):
            await bench.use(plugin, acc)
            acc.drain()
        await _settled()

    try:
        await some(5)
        tracemalloc.start()
        disabled = logging.root.manager.disable
        logging.disable()  # what it logs is kept by tests that look at the log, and not by the plugin
        try:
            await some(10)
            few = held()
            for count in GATHERS:  # what fills up once is full in one of them
                start = tracemalloc.get_traced_memory()[0]
                await some(count)
                grown = tracemalloc.get_traced_memory()[0] - start
                if grown > MOST_BYTES * count:
                    gc.collect()
                    grown = tracemalloc.get_traced_memory()[0] - start
                if grown <= MOST_BYTES * count:
                    break
        finally:
            logging.disable(disabled)
            tracemalloc.stop()
        _none(await _left(few, bench), f"after {count} more gathers")
        _none([f"{grown} bytes"] if grown > MOST_BYTES * count else [], f"after {count} more gathers")
    finally:
        await _stop(plugin)
    _none(await _left(before, bench), "after the stop")


async def _settled() -> None:
    for _ in range(10):  # the server of a case, which runs in this loop, sees the end of a connection some rounds later
        await asyncio.sleep(0)
    gc.collect(1)


async def _left(before: Holdings, bench: _Bench) -> list[str]:
    """What is left over: of what is older than the last collection, only when it cannot be garbage."""
    await _settled()
    if left_over(before, patience=0.0):
        gc.collect()
    return left_over(before, patience=bench.patience)


@_in_loop
async def _is_cancelled(bench: _Bench) -> None:
    """A gather or a write that is cancelled ends, and leaves nothing behind the stop."""
    plugin = bench.make()
    work: Callable[[Any], Any]
    argument: Any
    if isinstance(plugin, Input):
        work, argument = plugin.gather, bench.accumulator(plugin, [])
    elif isinstance(plugin, Output):
        work, argument = plugin.write, MemoryBatch(["m v=1i 1"], 1, 1)
    else:
        return
    before = held()
    for rounds in (0, 1, 2, 5):
        if inspect.iscoroutinefunction(work):
            task = asyncio.ensure_future(work(argument))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        elif isinstance(argument, InputAccumulator):
            argument.close()  # as a gather in a thread is given up: what it adds raises
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await _called(work, argument)
    await _stop(plugin)
    _none(await _left(before, bench), "after the stop")


@_in_loop
async def _emits_what_it_declares(bench: _Bench) -> None:
    """What a gather adds is declared, with its types."""
    plugin = bench.make()
    if not isinstance(plugin, Input) or not plugin.measurements:
        return
    problems: list[str] = []
    acc = bench.accumulator(plugin, problems)
    await bench.use(plugin, acc)
    metrics = acc.drain()
    await _stop(plugin)
    _none(problems, "in a gather")
    if any(measurement.open for measurement in plugin.measurements):  # their names may come from the data or an option
        names = {measurement.name for measurement in plugin.measurements}
        metrics = [metric for metric in metrics if metric.name in names]
    _none(undeclared(plugin, metrics), "in a gather")


def _says_what_it_is(plugin: Plugin, folder: Path) -> None:
    """It has a first sentence, and does the work of its kind."""
    del folder
    kind = plugin.catalog.load(plugin.entry)
    found = []
    if not plugin.catalog.summary(plugin.entry):
        found.append("it has no docstring")
    if issubclass(kind, Input) and kind.gather is Input.gather and kind.start is Input.start:
        found.append("it neither gathers nor starts")
    if issubclass(kind, Output) and kind.write is Output.write:
        found.append("it does not write")
    _none(found, "in its source")


def _none(problems: Sequence[str], where: str) -> None:
    if problems:
        raise AssertionError(f"{where}: {'; '.join(problems)}")


_CHECKS: dict[str, Callable[[Plugin, Path], None]] = {
    "says what it is": _says_what_it_is,
    "sample loads": _sample_loads,
    "imports its own": _imports_its_own,
    "stops without start": _stops_without_start,
    "is cancelled": _is_cancelled,
    "leaves nothing": _leaves_nothing,
    "emits what it declares": _emits_what_it_declares,
}
CHECKS = tuple(_CHECKS)
"""Their names."""
