"""For tests of plugins: run one as the engine would, and look at what it gave.

    from pyagent.testing import assert_declared, lines, run_input

    def test_queue_lengths():
        metrics = run_input(Spool, {"directory": "/var/spool/mail"})
        assert lines(metrics) == ["spool,queue=mail files=3i"]
        assert_declared(Spool, metrics)

`pyagent.testing.servers` starts real servers on loopback.
"""

from pyagent.testing.inputs import assert_declared, gather, lines, make_input, make_parser, run_input
from pyagent.testing.outputs import (
    Answer,
    MemoryBatch,
    Raw,
    Request,
    ScriptedServer,
    make_batch,
    make_output,
    make_serializer,
    run_output,
    write,
)
from pyagent.testing.stages import (
    make_aggregator,
    make_processor,
    process,
    process_async,
    run_aggregator,
    run_processor,
    summed_up,
)

__all__ = [
    "Answer",
    "MemoryBatch",
    "Raw",
    "Request",
    "ScriptedServer",
    "assert_declared",
    "gather",
    "lines",
    "make_aggregator",
    "make_batch",
    "make_input",
    "make_output",
    "make_parser",
    "make_processor",
    "make_serializer",
    "process",
    "process_async",
    "run_aggregator",
    "run_input",
    "run_output",
    "run_processor",
    "summed_up",
    "write",
]
