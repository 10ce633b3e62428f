"""A receiver, and writers to it that are closed with the test."""

from collections.abc import Iterator

import pytest
from write_receiver import MakeWriter, Receiver, making_writers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def make_writer(receiver: Receiver) -> Iterator[MakeWriter]:
    with making_writers(receiver) as make:
        yield make
