"""`pyagent sandbox`: the bounds of queries, by flags and by environment."""

import argparse
import re

import pytest

from pyagent.cli.arguments import CommandParser
from pyagent.cli.sandbox import configure, limits_of
from pyagent.sandbox.limits import DEFAULT_LIMITS, QueryLimits


def given(*words: str) -> argparse.Namespace:
    parser = CommandParser(prog="pyagent sandbox")
    configure(parser)
    found: argparse.Namespace = parser.parse_args(words)
    return found


def test_without_flags_there_are_bounds() -> None:
    assert limits_of(given(), {}) == DEFAULT_LIMITS
    assert DEFAULT_LIMITS.timeout > 0
    assert DEFAULT_LIMITS.memory_bytes > 0


def test_flags_come_before_the_environment() -> None:
    flags = (
        "--query-timeout",
        "30s",
        "--query-memory-bytes",
        "500MB",
        "--query-concurrency",
        "2",
        "--query-queue-size",
        "0",
    )
    environ = {
        "PYAGENT_QUERY_TIMEOUT": "1m30s",
        "PYAGENT_QUERY_MEMORY_BYTES": "1048576",
        "PYAGENT_QUERY_CONCURRENCY": "3",
        "PYAGENT_QUERY_QUEUE_SIZE": "4",
    }
    assert limits_of(given(*flags), environ) == QueryLimits(30.0, 500_000_000, 2, 0)
    assert limits_of(given(), environ) == QueryLimits(90.0, 1_048_576, 3, 4)
    assert limits_of(given("--query-timeout", "0", "--query-memory-bytes=0"), {}).timeout == 0


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        (("--query-timeout=-1s",), {}, "--query-timeout: '-1s' is not 0 or more"),
        (("--query-timeout=",), {}, "--query-timeout: '' is not 0 or more"),
        (("--query-timeout=soon",), {}, "--query-timeout: cannot read the duration 'soon'"),
        (("--query-memory-bytes=5q",), {}, "--query-memory-bytes: cannot read the size '5q'"),
        (("--query-memory-bytes=-1",), {}, "--query-memory-bytes: '-1' is not 0 or more"),
        (("--query-concurrency=0",), {}, "--query-concurrency: '0' is no whole number from 1 to 1000"),
        (("--query-queue-size=x",), {}, "--query-queue-size: 'x' is no whole number from 0 to 1000000"),
        ((), {"PYAGENT_QUERY_CONCURRENCY": "many"}, "PYAGENT_QUERY_CONCURRENCY: 'many' is no whole number"),
        ((), {"PYAGENT_QUERY_TIMEOUT": "-5s"}, "PYAGENT_QUERY_TIMEOUT: '-5s' is not 0 or more"),
    ],
)
def test_a_bound_that_is_none_is_named(flags: tuple[str, ...], environ: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(words)):
        limits_of(given(*flags), environ)
