"""A body of nothing but bad lines: told in part, counted in full, and no load on the memory."""

import pytest

from pyagent.lineprotocol import parse, relay
from pyagent.lineprotocol.parser import parse as reference_parse
from pyagent.lineprotocol.relaying import relay as reference_relay
from pyagent.lineprotocol.results import MAX_ERRORS

BODY = b"m v=1 1\n" + b"bad\n" * (MAX_ERRORS + 500) + b"m v=2 2\n"


@pytest.mark.parametrize("function", [parse, reference_parse])
def test_parse(function):  # type: ignore[no-untyped-def]  # one of two with the same signature
    parsed = function(BODY, 0)
    assert [metric.fields["v"] for metric in parsed.metrics] == [1.0, 2.0]
    assert (len(parsed.errors), parsed.bad) == (MAX_ERRORS, MAX_ERRORS + 500)
    assert parsed.errors[-1].line == MAX_ERRORS + 1


@pytest.mark.parametrize("function", [relay, reference_relay])
def test_relay(function):  # type: ignore[no-untyped-def]
    relayed = function(BODY, 0)
    assert relayed.encoded.count == 2
    assert (len(relayed.errors), relayed.bad) == (MAX_ERRORS, MAX_ERRORS + 500)
