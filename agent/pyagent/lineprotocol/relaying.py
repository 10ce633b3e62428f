"""Line protocol in, line protocol out: the reference. The native core does it without making Python objects."""

from array import array
from collections.abc import Mapping

from pyagent.api.line_options import LineOptions
from pyagent.lineprotocol.encoder import encode
from pyagent.lineprotocol.parser import parse_parts
from pyagent.lineprotocol.results import (
    EPOCH,
    LINE_BYTES,
    METRIC_BYTES,
    TIME_MAX,
    TIME_MIN,
    Encoded,
    Precision,
    Relayed,
    too_much,
)

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
    apart: bool = False,
    most: int = 0,
) -> Relayed:
    """Check lines and write them anew: what `encode` gives for the metrics that `parse` gives.

    In between each metric gets those of `tags` whose keys it does not have, and its time is rounded to a multiple of
    `round_to` nanoseconds, counted from year 1, half up. Raises ValueError for an unknown precision, and TooMuch where what
    is written takes more than `most` bytes, with LINE_BYTES for each metric (0: any).
    """
    parts: list[bytes] = []
    ends = array("Q")
    whole = Relayed(Encoded(b"", ends, 0, 0, []), [], 0)
    size = 0
    spans: list[tuple[int, int]] = []
    for parsed in parse_parts(data, default_time, precision, apart=apart):
        for metric in parsed.metrics:
            if tags:
                metric.tags = {**tags, **metric.tags}
            if round_to > 1:
                metric.time = _rounded(metric.time, round_to)
        encoded = encode(parsed.metrics, options)
        parts.append(encoded.data)
        ends.extend([size + end for end in encoded.ends])
        size += len(encoded.data)
        if encoded.count:
            spans.append((encoded.oldest, encoded.newest))
        whole.encoded.rejected += encoded.rejected
        whole.errors += parsed.errors
        whole.bad += parsed.bad
        if most and size + LINE_BYTES * len(ends) + METRIC_BYTES * len(whole.encoded.rejected) > most:
            raise too_much(most)
    oldest, newest = min((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
    whole.encoded = Encoded(b"".join(parts), ends, oldest, newest, whole.encoded.rejected)
    return whole


def _rounded(time: int, to: int) -> int:
    rest = (time + EPOCH) % to
    rounded = time - rest if rest * 2 < to else time - rest + to
    return min(max(rounded, TIME_MIN), TIME_MAX)
