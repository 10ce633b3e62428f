"""All that a plugin may import. Small, typed, documented; under semantic versioning.

A whole plugin is one file:

    from pyagent.api import Accumulator, Input

    class Spool(Input):
        def gather(self, acc: Accumulator) -> None:
            acc.add("spool", {"files": 3}, {"queue": "mail"})

`pyagent.api.files`, imported only by plugins that need it, reads files within a configuration's bounds. What several plugins
share besides is in `pyagent.kit`.
"""

from pyagent import __version__ as VERSION
from pyagent.api.about import About
from pyagent.api.accumulator import Accumulator, Ingested
from pyagent.api.errors import (
    ConfigError,
    NotConnected,
    ParseError,
    PartialWrite,
    PyagentError,
    QueueFull,
    Reject,
    Retry,
    TooLarge,
)
from pyagent.api.input import Input
from pyagent.api.line_options import CompressionName, LineOptions, PrecisionName
from pyagent.api.measurements import Chart, Field, FieldType, Measurement, counters, fields
from pyagent.api.metric import FieldValue, Metric, MetricType, Uint, field_value, timestamp_ns
from pyagent.api.moved import moved
from pyagent.api.options import NoOptions, Options, option
from pyagent.api.output import Batch, Limits, Output, Partition, QueueFormat, RawMetrics, Serialized
from pyagent.api.parser import Parser, ParserOptions
from pyagent.api.plugin import Plugin
from pyagent.api.secretstore import SecretFolder, SecretStore
from pyagent.api.serializer import Serializer, SerializerOptions
from pyagent.api.stages import Aggregator, Processor
from pyagent.api.units import Duration, Secret, Size, redact

__all__ = [
    "VERSION",
    "About",
    "Accumulator",
    "Aggregator",
    "Batch",
    "Chart",
    "CompressionName",
    "ConfigError",
    "Duration",
    "Field",
    "FieldType",
    "FieldValue",
    "Ingested",
    "Input",
    "Limits",
    "LineOptions",
    "Measurement",
    "Metric",
    "MetricType",
    "NoOptions",
    "NotConnected",
    "Options",
    "Output",
    "ParseError",
    "Parser",
    "ParserOptions",
    "PartialWrite",
    "Partition",
    "Plugin",
    "PrecisionName",
    "Processor",
    "PyagentError",
    "QueueFormat",
    "QueueFull",
    "RawMetrics",
    "Reject",
    "Retry",
    "Secret",
    "SecretFolder",
    "SecretStore",
    "Serialized",
    "Serializer",
    "SerializerOptions",
    "Size",
    "TooLarge",
    "Uint",
    "counters",
    "field_value",
    "fields",
    "option",
    "redact",
    "timestamp_ns",
]

__getattr__ = moved(
    __name__, {"host_path": "pyagent.kit.procfs", "Kind": "pyagent.api:MetricType", "Full": "pyagent.api:QueueFull"}
)
