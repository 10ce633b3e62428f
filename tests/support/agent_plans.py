"""Plans of agents, with an input that counts its gathers and an output that stores in its class."""

from typing import Any, ClassVar

from pyagent.api import (
    Accumulator,
    Batch,
    Duration,
    Input,
    NoOptions,
    Output,
    Processor,
    Retry,
)
from pyagent.config import AgentSettings, InputPlan, OutputPlan, Plan, ProcessorPlan
from pyagent.config.plan import Origin

START = 1_795_478_403 * 1_000_000_000


class Counting(Input):
    made: ClassVar[list["Counting"]] = []

    def setup(self) -> None:
        self.gathers = 0
        self.stopped = False
        self.made.append(self)

    async def gather(self, acc: Accumulator) -> None:
        self.gathers += 1
        acc.add("m", {"n": self.gathers})

    async def stop(self) -> None:
        self.stopped = True


class Storing(Output):
    """Stores in the class, as a server would; `down` makes every write fail."""

    lines: ClassVar[list[bytes]] = []
    down: ClassVar[bool] = False
    closed: ClassVar[int] = 0

    async def write(self, batch: Batch) -> None:
        if Storing.down:
            raise Retry("connection refused")
        self.lines.extend(batch.payload().splitlines())

    async def close(self) -> None:
        Storing.closed += 1


def an_input(plugin: type[Input[Any]] = Counting, **settings: Any) -> InputPlan:
    defaults: dict[str, Any] = {"identity": settings.get("alias", ""), "location": "a.conf:1"}
    defaults |= {"interval": Duration("10s"), "precision": Duration("1s")}
    return InputPlan(kind="inputs", name="counting", plugin=plugin, options=NoOptions(), **defaults | settings)


def an_output(**settings: Any) -> OutputPlan:
    defaults: dict[str, Any] = {"identity": "", "location": "a.conf:9", "queue_id": "storing"}
    defaults["flush_interval"] = Duration("10s")
    return OutputPlan(
        kind="outputs",
        name="storing",
        options=NoOptions(),
        **{"plugin": Storing} | defaults | settings,
    )


def a_plan(*plugins: InputPlan | OutputPlan, **tags: str) -> Plan:
    return Plan(
        agent=AgentSettings(),
        global_tags=tags,
        inputs=tuple(p for p in plugins if isinstance(p, InputPlan)),
        outputs=tuple(p for p in plugins if isinstance(p, OutputPlan)),
    )


def processors_plan(
    source: type[Input[Any]], store: type[Output[Any]], *processors: type[Processor[Any]], origin: Origin = "builtin"
) -> Plan:
    """An input that gathers once an hour, processors of that origin, and an output that writes when it is asked to."""
    common: dict[str, Any] = {"options": NoOptions(), "location": "a.conf:1"}
    hour = Duration("1h")
    return Plan(
        agent=AgentSettings(),
        global_tags={},
        inputs=(
            InputPlan(
                kind="inputs",
                name="source",
                plugin=source,
                identity=source.__name__,
                interval=hour,
                precision=Duration("1s"),
                round_interval=False,
                **common,
            ),
        ),
        outputs=(
            OutputPlan(
                kind="outputs",
                name="storing",
                plugin=store,
                identity="",
                queue_id="storing",
                flush_interval=hour,
                **common,
            ),
        ),
        processors=tuple(
            ProcessorPlan(
                kind="processors",
                name=plugin.__name__.lower(),
                plugin=plugin,
                identity=plugin.__name__,
                origin=origin,
                **common,
            )
            for plugin in processors
        ),
    )
