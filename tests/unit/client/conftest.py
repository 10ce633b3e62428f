"""A receiver, and writers to it that are closed with the test."""

from collections.abc import Iterator
from typing import Any

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.client import Writer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def make_writer(receiver: Receiver) -> Iterator[MakeWriter]:
    """Writers to the receiver, which send at flush() alone unless the test says otherwise."""
    made: list[Writer] = []

    def make(**options: Any) -> Writer:
        given = {
            "url": receiver.url,
            "token": "t",
            "org": "o",
            "bucket": "b",
            "flush_interval": 600.0,
            "sigterm": False,
        }
        made.append(Writer(**(given | options)))
        return made[-1]

    yield make
    for writer in made:
        writer.close(0)
