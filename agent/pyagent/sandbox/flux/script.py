"""A script from text to named results."""

from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.aggregates import AGGREGATES
from pyagent.sandbox.flux.along import ALONG
from pyagent.sandbox.flux.convert import CONVERT
from pyagent.sandbox.flux.evaluate import Package, Scope, check_names, run
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.packages import PACKAGES, TO
from pyagent.sandbox.flux.ranking import RANKING
from pyagent.sandbox.flux.reshape import RESHAPE
from pyagent.sandbox.flux.syntax import Node, parse
from pyagent.sandbox.flux.tables import Table
from pyagent.sandbox.flux.universe import UNIVERSE
from pyagent.sandbox.flux.values import Duration
from pyagent.sandbox.flux.windows import WINDOWS

_ALL = (UNIVERSE, RESHAPE, AGGREGATES, ALONG, RANKING, WINDOWS, CONVERT, TO)


def execute(text: str, context: Context, extern: list[Node] | None = None) -> list[tuple[str, list[Table]]]:
    """Run a script; the tables of its results. `extern`: statements that come before it.

    Raises:
        InfluxError: it cannot be understood or run.
    """
    try:
        statements = [*(extern or []), *parse(text)]
        values: dict[str, Any] = {name: bind(context) for registry in _ALL for name, bind in registry.items()}
        values |= {"inf": Duration(0, 2**63 - 1), "true": True, "false": False}
        check_names(statements, set(values))
        run(statements, Scope(None, values), lambda path: _package(path, context), context.keep)
        return [(name, stream.tables) for name, stream in context.results]
    except RecursionError:
        raise invalid("compilation failed: the script is nested too deeply") from None
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
        # The type checker that InfluxDB has in front of a run is not here: a value of a wrong type is met where it is used.
        raise InfluxError("invalid", f"type conflict: {error}") from error


def _package(path: str, context: Context) -> Package:
    if path not in PACKAGES:
        raise invalid(
            f"compilation failed: error: invalid import path {path}: this server knows {', '.join(sorted(PACKAGES))}"
        )
    return Package(path, {name: bind(context) for name, bind in PACKAGES[path].items()})
