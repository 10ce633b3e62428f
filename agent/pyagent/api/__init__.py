"""All that a plugin may import. Small, typed, documented; under semantic versioning.

A whole plugin is one file:

    from pyagent.api import Accumulator, Input

    class Spool(Input):
        def gather(self, acc: Accumulator) -> None:
            acc.add("spool", {"files": 3}, {"queue": "mail"})

Modules of their own, which only plugins that need them import: `pyagent.api.http` (an HTTP client and TLS options; it
brings aiohttp), `timestamps` (times by layouts), `files` (names of files by patterns), `glob` (patterns for names) and
`gjson` (paths into JSON documents).
"""

from pyagent.api.errors import ConfigError, Full, ParseError, PyagentError, Reject, Retry, TooLarge
from pyagent.api.host import host_path
from pyagent.api.measurements import Field, FieldType, Measurement, fields
from pyagent.api.metric import FieldValue, Kind, Metric, Uint, field_value, timestamp_ns
from pyagent.api.options import NoOptions, Options, option
from pyagent.api.parser import Parser, ParserOptions
from pyagent.api.plugin import Accumulator, Batch, Ingested, Input, Limits, LineOptions, Output, Partition, Plugin
from pyagent.api.secretstore import SecretFolder, SecretStore
from pyagent.api.stages import Aggregator, Processor
from pyagent.api.units import Duration, Secret, Size, redact

__all__ = [
    "Accumulator",
    "Aggregator",
    "Batch",
    "ConfigError",
    "Duration",
    "Field",
    "FieldType",
    "FieldValue",
    "Full",
    "Ingested",
    "Input",
    "Kind",
    "Limits",
    "LineOptions",
    "Measurement",
    "Metric",
    "NoOptions",
    "Options",
    "Output",
    "ParseError",
    "Parser",
    "ParserOptions",
    "Partition",
    "Plugin",
    "Processor",
    "PyagentError",
    "Reject",
    "Retry",
    "Secret",
    "SecretFolder",
    "SecretStore",
    "Size",
    "TooLarge",
    "Uint",
    "field_value",
    "fields",
    "host_path",
    "option",
    "redact",
    "timestamp_ns",
]
