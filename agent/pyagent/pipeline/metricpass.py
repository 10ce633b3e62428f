"""Which metrics pass by an expression, `metricpass` (reference: telegraf 2.3)."""

import logging
from collections.abc import Callable, Sequence

from pyagent.api import Metric
from pyagent.pipeline.failures import FailureLog

__all__ = ["passing"]

_MOST_COSTLY = 10
"""Metrics of one call that take an expression too long; those behind them pass without it, as the loop must go on."""


def passing(expression: str, log: logging.Logger) -> Callable[[Sequence[Metric]], list[Metric]]:
    """The metrics for which it is true, and those for which it cannot be told, or not in time: they pass, and the log says
    why, once for each cause. Raises ValueError for text that is no expression."""
    from pyagent.cel import CostLimit, Expression, explain_failure  # for configurations that use it

    test = Expression(expression)
    failures = FailureLog(log, once_each=True)

    def failed(metric: Metric, error: Exception) -> bool:
        advice = ""
        if isinstance(error, KeyError):
            key = error.args[0]
            advice = f"; to leave out metrics without it, ask for it first, as in: {key!r} in fields && ..."
        reason = f"cannot tell by metricpass whether {metric.name} is to pass: {explain_failure(error)}"
        failures.failed(f"{reason}; it passes{advice}")
        return True

    too_costly = 0

    def passes(metric: Metric) -> bool:
        nonlocal too_costly
        if too_costly >= _MOST_COSTLY:
            return True
        try:
            return test(metric)
        except CostLimit as error:
            too_costly += 1
            return failed(metric, error)
        except Exception as error:  # whatever it is, no metric may be lost by it
            return failed(metric, error)

    def chosen(metrics: Sequence[Metric]) -> list[Metric]:
        nonlocal too_costly
        too_costly = 0
        return [metric for metric in metrics if passes(metric)]

    return chosen
