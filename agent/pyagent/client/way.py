"""How points go out: the output influxdb_v2, as a configuration would have it, with a queue and one sender."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pyagent.api import Duration, Output, Secret
from pyagent.api.errors import ConfigError, PyagentError
from pyagent.buffer import OutputQueue, QueueBatch
from pyagent.client.settings import Settings
from pyagent.config import OutputPlan
from pyagent.config.registry import Registry
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.pipeline.outputs.sender import Sender

__all__ = ["Way", "make_way", "output_plan"]

_delivery_log = logging.getLogger("pyagent.client.delivery")
# It speaks of lines that are sent again with another type, too; Refused tells what is left.
_delivery_log.addFilter(lambda record: not str(record.msg).startswith("%s refused for good"))

_WORDS = {
    "`urls`": "`url`",
    "`organization`": "`org`",
    "`metric_batch_size`": "`batch_size`",
    " or `http_headers`": "",
    "insecure_skip_verify": "verify",
    "http_proxy": "proxy",
}
"""Options of the output, and the writer's arguments."""
_NEVER = Duration(10**9 * 86_400 * 365)
"""The interval of flushes: they are asked for when there is something to flush."""


@dataclass(frozen=True, slots=True)
class Way:
    """An output's runner and its one sender, which other threads may ask for its sums."""

    runner: RunningOutput
    sender: Sender

    @property
    def queue(self) -> OutputQueue:
        return self.sender.queue

    async def close(self) -> None:
        """Give back its connections."""
        closing = self.runner.plugin.close()
        if closing is not None:
            await closing


def make_way(
    plan: OutputPlan,
    buffer_resources: BufferResources,
    directory: Path | None,
    tried: Callable[[Exception | None], None],
) -> Way:
    """`directory`: where the queue is kept on disk; None: it is not. `tried` hears of each attempt: why it failed, or
    None. Raises ConfigError."""
    if directory is not None:
        plan = replace(plan, on_disk=True, buffer_directory=str(directory))
    try:
        plugin = plan.plugin(plan.options, _delivery_log)
    except ConfigError as error:
        raise ConfigError(_in_our_words(str(error))) from None
    plugin.strict = True  # type: ignore[attr-defined]  # it is influxdb_v2
    runner = RunningOutput(plan, plugin, log=_delivery_log, buffer_resources=buffer_resources)
    write = plugin.write

    async def watched(batch: QueueBatch) -> None:
        try:
            await cast("Awaitable[None]", write(batch))
        except Exception as error:
            if isinstance(error, PyagentError):
                error.args = (_in_our_words(str(error)),)
            tried(error)
            raise
        tried(None)

    plugin.write = watched  # type: ignore[method-assign,assignment]
    return Way(runner, runner.sender(None))


def _in_our_words(text: str) -> str:
    for word, ours in _WORDS.items():
        text = text.replace(word, ours)
    return text


def output_plan(settings: Settings) -> OutputPlan:
    """Raises ConfigError."""
    found = Registry().find("outputs", "influxdb_v2")
    make = cast("Callable[..., Any]", found.plugin.options_type)
    options = make(
        urls=[settings.url],
        token=Secret(settings.token),
        organization=settings.org,
        bucket=settings.bucket,
        timeout=Duration(int(settings.timeout * 1e9)),
        content_encoding="gzip" if settings.gzip else "identity",
        influx_uint_support=True,
        **settings.options,
    )
    return OutputPlan(
        kind="outputs",
        name="influxdb_v2",
        plugin=cast("type[Output[Any]]", found.plugin),
        options=options,
        location="Writer",
        identity="Writer",
        flush_interval=_NEVER,
        metric_batch_size=min(settings.batch_size, settings.max_points),
        metric_buffer_limit=settings.max_points,
        queue_id=settings.target,
    )
