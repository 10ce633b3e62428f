"""What the reference remembers is bounded in bytes, whatever a stranger's lines are like."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from pyagent.lineprotocol import encoder, parser

LIMIT = 6 << 20
"""Bytes for all that one module remembers."""


def remembered(module: ModuleType) -> int:
    """Bytes that the module's dicts hold in memory, all that hangs on them included."""
    seen: set[int] = set()

    def objects(value: Any) -> Iterator[Any]:
        if id(value) not in seen:
            seen.add(id(value))
            yield value
            for part in [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, tuple) else ():  # fmt: skip
                yield from objects(part)

    dicts = [value for name, value in vars(module).items() if isinstance(value, dict) and not name.startswith("__")]
    return sum(sys.getsizeof(one) for value in dicts for one in objects(value))


@pytest.mark.parametrize(
    ("count", "tags", "width", "key"),
    [
        pytest.param(1500, 90, 2, "t", id="many tags"),
        pytest.param(8000, 1, 900, "t", id="long values"),
        pytest.param(12000, 0, 0, "", id="names"),
        pytest.param(8000, 0, 0, "k" * 900, id="field keys"),
    ],
)
def test_lines_that_were_never_seen_before(count: int, tags: int, width: int, key: str) -> None:
    for number in range(count):
        pairs = "".join(f",t{tag:03d}={number:x}{'x' * width}" for tag in range(tags))
        line = f"m{number}{pairs} {key}{number}=1i 1\n"
        parsed = parser.parse(line, 0)
        assert encoder.encode(parsed.metrics).data == line.encode()
    for module in (encoder, parser):
        assert 0 < remembered(module) < LIMIT
