"""A Starlark script that is loaded once and whose functions are called for each metric."""

import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from types import CodeType, FunctionType
from typing import Any

from pyagent.api import ConfigError, PyagentError
from pyagent.kit.starlark.builtins import universe
from pyagent.kit.starlark.compiler import ScriptSyntaxError, compile_script
from pyagent.kit.starlark.failures import FAULTS, words_of
from pyagent.kit.starlark.metrics import METRIC_FUNCTIONS, MetricValue, direct_access
from pyagent.kit.starlark.modules import load_module
from pyagent.kit.starlark.operators import Operators
from pyagent.kit.starlark.values import Budget, Dict, List, OutOfTime, StarlarkError, freeze, type_of

__all__ = ["Script", "ScriptFailure"]

_HELPERS = """
add sub mul div floordiv mod bitor bitand bitxor lshift rshift iadd ior neg pos invert eq lt le gt ge contains index setindex
slice augindex loop loop_of unpack display attribute setattribute augattribute arguments named
""".split()  # noqa: SIM905


MOST_KEPT = 256 << 20
"""Bytes that `state` may keep, about."""
_LOOK_AFTER, _LOOK_AFTER_MADE = 1000, 64 << 20
"""Calls after which it is looked at how much that is, or bytes that were made in them."""


class ScriptFailure(PyagentError):
    """A script failed: its words, with file and line."""


class Script:
    """Raises ConfigError for a script that cannot be used. `seconds`: what one call may take."""

    def __init__(
        self, source: str, filename: str, constants: Mapping[str, Any], log: logging.Logger, *, seconds: float
    ) -> None:
        self.filename = filename
        self.keeps = "state" in source
        """It may keep what it is given: all else is frozen."""
        self._log = log
        self._calls, self._look_after = 0, _LOOK_AFTER
        self._budget = Budget(seconds)
        operators = Operators(self._budget)
        self._globals: dict[str, Any] = {
            **universe(operators, self._budget, lambda text: log.debug("%s", text)),
            **METRIC_FUNCTIONS,
            "None": None,
            "True": True,
            "False": False,
        }
        for name, value in constants.items():
            if name == "state":
                raise ConfigError("cannot use the constants: the name 'state' is reserved", option="constants")
            self._globals[name] = starlark_value(value)
        predeclared = {*self._globals, "state"}
        try:
            compiled = compile_script(source, filename, predeclared)
        except ScriptSyntaxError as error:
            at = f"{filename}:{error.line}" + (f":{error.column}" if error.column else "")
            raise ConfigError(f"cannot read the script: {at}: {error}") from None
        if "state" not in compiled.names:
            self._globals["state"] = Dict()
        for file, there, here, line in compiled.loads:
            module = load_module(file, operators, self._budget, log)
            if module is None:
                raise ConfigError(f"cannot load {file!r}: module {file} is not available ({filename}:{line})")
            if there != module.name:
                raise ConfigError(f"cannot load {file!r}: load: name {there} not found in module ({filename}:{line})")
            self._globals[here] = module
        self._globals |= {f"${name}": getattr(operators, name) for name in _HELPERS}
        self._globals |= direct_access(operators)
        self._globals |= {
            "$tick": self._budget.tick,
            "$list": self._listed,
            "$dict": Dict,
            "$call": _not_callable,
            "__builtins__": {},
        }
        self._run(compiled.code)
        self._first_state = deepcopy(self.state) if self.keeps and isinstance(self.state, Dict) else Dict()
        for name in compiled.names:
            if name != "state":
                freeze(self._globals.get(name))

    @property
    def state(self) -> Any:
        return self._globals.get("state")

    def function(self, name: str, parameters: int) -> Callable[..., Any]:
        """A function that the script must define. Raises ConfigError."""
        if name not in self._globals:
            raise ConfigError(f"cannot use the script {self.filename}: {name} is not defined")
        found = self._globals[name]
        if type(found) is not FunctionType:
            raise ConfigError(f"cannot use the script {self.filename}: {name} is not a function")
        code = found.__code__
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
        if count != parameters:
            raise ConfigError(
                f"cannot use the script {self.filename}: {name} function must take {parameters} parameter(s)"
            )
        return found

    def begin(self) -> None:
        """Before calls from outside: the time that they may take together begins anew. A `state` that keeps too much begins
        anew, as a script that only adds to it would take all the memory there is."""
        if self.keeps and (self._calls >= self._look_after or self._budget.made > _LOOK_AFTER_MADE):
            self._look_at_state()
        self._budget.start()

    def refill(self) -> None:
        """Before each call: so does the memory that it may take."""
        self._calls += 1
        self._budget.refill()

    def _look_at_state(self) -> None:
        """It takes as long as there are values in it, so that it is done the more seldom the more there are."""
        state = self.state
        size, count = _kept(state)
        if size > MOST_KEPT and isinstance(state, Dict):
            # As the script was loaded with: it counts on what is there.
            state.clear()
            state.update(deepcopy(self._first_state))
            self._log.error(
                "%s: its state kept more than %d MiB, and begins anew; let the script remove from it what is old",
                self.filename,
                MOST_KEPT >> 20,
            )
        self._calls, self._look_after = 0, max(_LOOK_AFTER, count // 4)
        self._budget.made = 0

    def failure(self, error: BaseException) -> ScriptFailure:
        """What a call ended with, with the lines of the script that led there."""
        words = str(error) if isinstance(error, OutOfTime) else words_of(error)
        return ScriptFailure(f"{words} ({self._place(error)})")

    def _place(self, error: BaseException) -> str:
        lines: list[str] = []
        traceback = error.__traceback__
        while traceback is not None:
            code = traceback.tb_frame.f_code
            if code.co_filename == self.filename and not code.co_name.startswith("<listcomp"):
                lines.append(f"{self.filename}:{traceback.tb_lineno}")
            traceback = traceback.tb_next
        if not lines:
            return self.filename
        calls = [line.rpartition(":")[2] for line in lines[-4:-1]]
        return lines[-1] + (f", called from line {', '.join(reversed(calls))}" if calls else "")

    def _run(self, code: CodeType) -> None:
        self.begin()
        try:
            exec(code, self._globals)  # noqa: S102  # of `compile_script`, which reaches nothing of Python
        except (*FAULTS, OutOfTime) as error:
            raise ConfigError(f"cannot run the script: {self.failure(error)}") from None

    def _listed(self, items: Any) -> List:
        made = List(items)
        if len(made) > 1000:
            self._budget.charge(8 * len(made))
        return made


def _kept(value: Any) -> tuple[int, int]:
    """Bytes that a value takes, about, and how many values there are in it; no further than MOST_KEPT."""
    size = count = 0
    seen: set[int] = set()
    waiting = [value]
    while waiting and size <= MOST_KEPT:
        one = waiting.pop()
        count += 1
        size += 64
        if isinstance(one, str | bytes):
            size += len(one)
        elif isinstance(one, dict | list | tuple | MetricValue) and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, MetricValue):
                waiting += [one.metric.tags, one.metric.fields]
                continue
            waiting.extend(one)
            if isinstance(one, dict):
                waiting.extend(one.values())
    return size, count


def starlark_value(value: Any) -> Any:
    """A value of the configuration."""
    if isinstance(value, dict):
        return Dict({starlark_value(key): starlark_value(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return List(map(starlark_value, value))
    if isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"cannot use the constants: converting type {type(value).__name__} failed", option="constants")


def _not_callable(value: Any, *arguments: Any) -> None:
    raise StarlarkError(f"invalid call of non-function ({type_of(value)})")
