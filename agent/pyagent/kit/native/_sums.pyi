from collections.abc import Callable, Iterable

from pyagent.api.metric import Metric

class Sums:
    count: int
    min: float
    max: float
    sum: float
    mean: float
    squares: float
    first: float
    last: float

def add_sums(
    metrics: Iterable[Metric],
    found: dict[tuple[str, ...], dict[str, Sums]],
    sums_of: Callable[[Metric], dict[str, Sums]],
) -> None: ...
