"""A writer for programs: `from pyagent.client import Writer`.

    with Writer("http://localhost:8086", token, "org", "bucket") as writer:
        writer.write("weather", {"temperature": 21.5}, {"room": "kitchen"})

What is imported here is small; what delivers is imported at the first point.
"""

from pyagent.api.errors import ConfigError
from pyagent.api.metric import Uint
from pyagent.client.outcome import BufferFull, NotDelivered, Rejected, Statistics, WriterClosed
from pyagent.client.points import Int, PointError
from pyagent.client.times import microseconds, milliseconds, nanoseconds, seconds
from pyagent.client.writer import Writer

__all__ = [
    "BufferFull",
    "ConfigError",
    "Int",
    "NotDelivered",
    "PointError",
    "Rejected",
    "Statistics",
    "Uint",
    "Writer",
    "WriterClosed",
    "microseconds",
    "milliseconds",
    "nanoseconds",
    "seconds",
]
