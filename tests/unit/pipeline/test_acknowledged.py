"""When a listener may acknowledge, by what the outputs can keep: in memory alone, for speed."""

import pytest
from partitioned import Single, gathered
from plans import LOG, output_plan

from pyagent.api import NoOptions, QueueFull
from pyagent.pipeline.fanout import Acknowledge, Fanout
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing.virtual import run_virtual


def outputs(*, on_disk: bool) -> tuple[RunningOutput, RunningOutput]:
    """One with room, and one that holds three metrics."""
    roomy, small = (
        RunningOutput(
            output_plan(Single, metric_buffer_limit=limit, on_disk=on_disk), Single(NoOptions(), LOG), log=LOG
        )
        for limit in (100, 3)
    )
    return roomy, small


@pytest.mark.parametrize(
    ("acknowledge", "on_disk", "taken"),
    [(None, True, False), (None, False, True), ("all", False, False), ("any", True, True)],
)
def test_a_full_output_refuses_where_all_have_to_keep_it(
    acknowledge: Acknowledge | None, on_disk: bool, taken: bool
) -> None:
    async def main() -> None:
        roomy, small = outputs(on_disk=on_disk)
        fanout = Fanout((roomy, small), acknowledge=acknowledge)
        await fanout.deliver_pinned(gathered(3))
        if taken:
            await fanout.deliver_pinned(gathered(2))
        else:
            with pytest.raises(QueueFull, match="an output's queue is full"):
                await fanout.deliver_pinned(gathered(2))
        # Nothing is taken by one alone of what was refused.
        assert (roomy.queued, small.queued) == ((5, 3) if taken else (3, 3))

    run_virtual(main())


@pytest.mark.parametrize("acknowledge", ["all", "any"])
def test_where_no_output_can_keep_it_it_is_refused(acknowledge: Acknowledge) -> None:
    async def main() -> None:
        _, small = outputs(on_disk=True)
        fanout = Fanout((small,), acknowledge=acknowledge)
        await fanout.deliver_pinned(gathered(3))
        with pytest.raises(QueueFull, match="the output's queue is full"):
            await fanout.deliver_pinned(gathered(1))

    run_virtual(main())
