from collections.abc import Mapping

from pyagent.api.metric import Metric

def read_exposition(
    data: bytes, version: int, now: int, ignore_timestamp: bool, tags: Mapping[str, str]
) -> list[Metric] | None: ...
