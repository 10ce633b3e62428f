"""A script from text to named results."""

from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.aggregates import AGGREGATES
from pyagent.sandbox.flux.along import ALONG
from pyagent.sandbox.flux.averages import AVERAGES
from pyagent.sandbox.flux.convert import CONVERT
from pyagent.sandbox.flux.evaluate import Scope, run
from pyagent.sandbox.flux.histograms import HISTOGRAMS
from pyagent.sandbox.flux.influx import INFLUX
from pyagent.sandbox.flux.joins import JOINS
from pyagent.sandbox.flux.library import Context, place_of
from pyagent.sandbox.flux.mapping import MAPPING
from pyagent.sandbox.flux.names import check_names
from pyagent.sandbox.flux.packages import defined, package
from pyagent.sandbox.flux.profiler import OPTION, RESULT, Profile
from pyagent.sandbox.flux.ranking import RANKING
from pyagent.sandbox.flux.reshape import RESHAPE
from pyagent.sandbox.flux.statistics import STATISTICS
from pyagent.sandbox.flux.syntax import Node, parse
from pyagent.sandbox.flux.tables import Table
from pyagent.sandbox.flux.tracking import TRACKING
from pyagent.sandbox.flux.universe import UNIVERSE
from pyagent.sandbox.flux.values import Callee, Duration
from pyagent.sandbox.flux.windows import WINDOWS

_ALL = (
    UNIVERSE, RESHAPE, MAPPING, AGGREGATES, STATISTICS, ALONG, AVERAGES, RANKING, WINDOWS, CONVERT, TRACKING, HISTOGRAMS, JOINS,
    {name: INFLUX[name] for name in ("to", "wideTo", "buckets")},
)  # fmt: skip

Results = list[tuple[str, list[Table]]]

_NO_DATA = (
    "error in query specification while starting program: this Flux script returns no streaming data. "
    'Consider adding a "yield" or invoking streaming functions directly, without performing an assignment'
)


def execute(text: str, context: Context, extern: list[Node] | None = None) -> Results:
    """Run a script; the tables of its results. `extern`: statements that come before it.

    Raises:
        InfluxError: it cannot be understood or run; `partial` has the tables of the results (name, tables) before.
    """
    results: Results = []
    profile = Profile()
    universe = Scope(None, {}, context.calls)
    own = Scope(universe, {})
    try:
        _plan([*(extern or []), *parse(text)], context, universe, own)
        profile.compiled()
        for name, stream in context.results:
            try:
                results.append((name, stream.tables))
                profile.made(name)
            except InfluxError as error:
                if error.partial:
                    results.append((name, error.partial))
                error.partial = results
                raise
    except RecursionError:
        raise invalid("compilation failed: the script is nested too deeply") from None
    except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
        # The type checker that InfluxDB has in front of a run is not here: a value of a wrong type is met where it is used.
        raise InfluxError("invalid", "type conflict: a value has a type that its use does not take") from error
    finally:
        # Functions and the names around them know each other: what these hold would stay until a collection of garbage.
        for plan in context.plans:
            plan.forget()
        for held in (context.plans, context.results, universe.values, own.values):
            held.clear()
    profiled = profile.tables(context.profilers)
    return [*results, (RESULT, profiled)] if profiled else results


def _plan(statements: list[Node], context: Context, universe: Scope, scope: Scope) -> None:
    values = universe.values
    values |= {name: bind(context) for registry in _ALL for name, bind in registry.items()}
    values |= {"inf": Duration(0, 2**63 - 1), "true": True, "false": False}
    values["location"] = {"zone": "UTC", "offset": Duration(0, 0)}

    def option(name: str, value: Any) -> None:
        if name == "now" and isinstance(value, Callee):
            context.now = int(value())
        elif name == "location":
            context.location = place_of(context, value)
        elif name == OPTION:
            context.profilers = value

    defined("universe", values, context, universe)
    check_names(statements, set(values))
    run(statements, scope, lambda node: package(node, context, universe), context.keep, option)
    if not context.results:
        raise InfluxError("invalid", _NO_DATA, final=True)
