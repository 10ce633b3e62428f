"""Line protocol in, line protocol out: the reference. The native core does it without making Python objects."""

from collections.abc import Mapping

from pyagent.api.plugin import LineOptions
from pyagent.lineprotocol.encoder import encode
from pyagent.lineprotocol.parser import parse
from pyagent.lineprotocol.results import EPOCH, TIME_MAX, TIME_MIN, Precision, Relayed

__all__ = ["relay"]

_DEFAULT = LineOptions()


def relay(
    data: bytes | str,
    default_time: int,
    precision: Precision = "ns",
    options: LineOptions = _DEFAULT,
    *,
    tags: Mapping[str, str] | None = None,
    round_to: int = 1,
) -> Relayed:
    """Check lines and write them anew: what `encode` gives for the metrics that `parse` gives.

    In between each metric gets those of `tags` whose keys it does not have, and its time is rounded to a multiple of
    `round_to` nanoseconds, counted from year 1, half up. Raises ValueError for an unknown precision.
    """
    parsed = parse(data, default_time, precision)
    for metric in parsed.metrics:
        if tags:
            metric.tags = {**tags, **metric.tags}
        if round_to > 1:
            metric.time = _rounded(metric.time, round_to)
    return Relayed(encode(parsed.metrics, options), parsed.errors, parsed.bad)


def _rounded(time: int, to: int) -> int:
    rest = (time + EPOCH) % to
    rounded = time - rest if rest * 2 < to else time - rest + to
    return min(max(rounded, TIME_MIN), TIME_MAX)
