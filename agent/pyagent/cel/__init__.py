"""Expressions that say which metrics pass (`metricpass`), in the Common Expression Language (reference: telegraf 2.3).

What Telegraf gives them: the variables `name`, `tags`, `fields` and `time`, the language's standard definitions and macros,
`now()`, and cel-go's extensions Strings, Math and Encoders. The language is defined in cel-spec's langdef.md; where that
leaves a choice, or Telegraf's behaviour depends on it (what is refused at load, what fails later), cel-go is followed.

    text -> lexer -> parser -> check -> compile -> a function of a metric

`functions` says how functions are declared; `operators`, `conversions`, `strings`, `formatting`, `times` and `mathematics`
declare them. Imported by configurations that use it, and by no others.
"""

from typing import Any

from pyagent.api import Metric
from pyagent.cel.check import VARIABLES, check
from pyagent.cel.compile import compile_node
from pyagent.cel.cost import MOST_STEPS, CostLimit, allow
from pyagent.cel.parser import parse
from pyagent.cel.syntax import ExpressionError
from pyagent.cel.values import ERRORS, Failure, explain_failure, shown

__all__ = ["ERRORS", "CostLimit", "Expression", "ExpressionError", "explain_failure"]


_LONGEST = 100_000


class Expression:
    """A test of metrics. Raises ExpressionError for text that is no expression, or one that does not give a bool."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise ExpressionError(f"it is longer than {_LONGEST} characters", text[:100], 0)
        node = parse(text)
        size = check(node, text)
        if node.type.name != "bool":
            raise ExpressionError(f"it gives {node.type}, and must give a bool; compare it with something", text, 0)
        allow(MOST_STEPS)  # what is fixed is computed here
        self._run = compile_node(node, text)
        self._spare = [None] * (size - len(VARIABLES))

    def __call__(self, metric: Metric) -> bool:
        """Whether it is true for a metric. Raises one of ERRORS where that cannot be computed, CostLimit where it takes too
        long."""
        allow(MOST_STEPS)
        frame: list[Any] = [metric.name, metric.tags, metric.fields, metric.time, *self._spare]
        result = self._run(frame)
        if result is True or result is False:
            return result
        raise Failure(f"the result, {shown(result)}, is no bool")
