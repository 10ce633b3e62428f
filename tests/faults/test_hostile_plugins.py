"""Plugins of somebody whose objects end the program by whatever is asked of them, and print in the middle of lines: metrics
are gathered and written on time, standard output holds nothing else, and SIGTERM works."""

import asyncio
import re
import signal
from pathlib import Path

from agent_process import DEADLINE, AgentProcess

HEAD = """
import sys
from pyagent.api import Aggregator, Input, Metric, Output, Parser, Processor, Reject, Retry

def leave(*_): raise SystemExit("on purpose")

class Text(str):
    __hash__ = __eq__ = __lt__ = __iter__ = __getitem__ = encode = split = lower = startswith = __del__ = leave
    def __str__(self): return self

class Whole(int):
    __lt__ = __hash__ = __repr__ = __str__ = __format__ = __add__ = __mul__ = leave

class Unspeakable(Exception):
    __str__ = __repr__ = __del__ = leave

def metric():
    return Metric(Text("hostile"), {"t": Text("x")}, {"v": Whole(1), "s": Text("y")}, Whole(1795942320000000000))
"""
PLUGINS = {
    "adds": "class It(Input):\n    def gather(self, acc):\n        acc.add(Text('hostile'), {'v': Whole(1)}, {'t': Text('x')})",
    "hands": "class It(Input):\n    def gather(self, acc): acc.add_metrics([metric()])",
    "later": "class It(Input):\n    async def gather(self, acc): acc.add_metrics([metric()]); raise Unspeakable",
    "delivers": "class It(Input):\n    async def start(self, acc): await acc.deliver([metric()])",
    "property": "class It(Input):\n    gather = property(leave)",
    "class_property": "class Of(type(Input)):\n    __name__ = property(leave)\n"
    "class It(Input, metaclass=Of):\n    def gather(self, acc): raise Unspeakable",
    "measurements": "class It(Input):\n    measurements = property(leave)\n    def gather(self, acc): pass",
    "stops": "class It(Input):\n    def gather(self, acc): acc.add('m', {'v': 1})\n    stop = property(leave)",
    "prints": "class It(Input):\n    def gather(self, acc):\n        print('x' * 100_000, end='')\n"
    "        sys.stdout.write('half a line')\n        sys.stdout.flush()\n        acc.add('prints', {'v': 1})",
    "child": "class It(Input):\n    def gather(self, acc):\n        import os\n        os.system('printf half')",
    "parses": "class It(Parser):\n    def parse(self, data): return [metric()]",
    "processes": "class It(Processor):\n    def process(self, metrics): return [metric(), *metrics]",
    "iterates": "class It(Processor):\n    def process(self, metrics):\n        yield metric()\n        leave()",
    "sums": "class It(Aggregator):\n    def add(self, metrics): raise Unspeakable\n"
    "    def push(self, acc): acc.add_metrics([metric()])\n    def reset(self): leave()",
    "writes": "class It(Output):\n    def write(self, batch): raise Retry(Text('x'), after=Whole(5))",
    "rejects": "class It(Output):\n    def write(self, batch): raise Reject(Text('x'), lines=(Whole(0),), dropped=Whole(1))",
    "partitions": "class It(Output):\n    partition = property(leave)\n    def write(self, batch): pass",
    "connects": "class It(Output):\n    connect = property(leave)\n    close = property(leave)\n    def write(self, batch): pass",
}


async def test_objects_that_end_the_program_end_nothing_and_standard_output_holds_metrics_alone(tmp_path: Path) -> None:
    tables = []
    for name, code in PLUGINS.items():
        (tmp_path / f"{name}.py").write_text(f"{HEAD}\n{code}\n")
        kind = next(kind for kind in ("Input", "Output", "Processor", "Aggregator", "Parser") if f"It({kind}" in code)
        if kind != "Parser":
            tables.append(f"[[{kind.lower()}s.{name}]]\n")
    data = tmp_path / "data"
    data.write_text("anything")
    config = tmp_path / "agent.conf"
    config.write_text(
        "[agent]\ninterval = '100ms'\nflush_interval = '100ms'\n[[outputs.file]]\nfiles = ['stdout']\n[[inputs.mem]]\n"
        f"[[inputs.file]]\nfiles = ['{data}']\ndata_format = 'parses'\n" + "".join(tables)
    )
    agent = AgentProcess(
        *("--config", str(config), "--plugin-directory", str(tmp_path), "--state-directory", str(tmp_path / "state"))
    )
    await agent.start()
    async with asyncio.timeout(DEADLINE):
        while agent.out.count("\nmem,") < 20 or not all(f"\n{name}," in agent.out for name in ("hostile", "prints")):
            assert agent.process.returncode is None, agent.log[-3000:]
            await asyncio.sleep(0.01)
    assert await agent.terminate() == 0, agent.log[-3000:]
    lines = agent.out.removesuffix("\n").split("\n")
    assert [line for line in lines if not re.fullmatch(r"(mem|hostile|prints|m),\S* [a-z_]+=.* \d{19}", line)] == []
    for name in ("property", "measurements", "partitions"):
        assert re.search(rf"s\.{name}: cannot be made: SystemExit: on purpose .*; it is left out", agent.log), name
    assert "Unspeakable: (it cannot be shown) (later.py:" in agent.log
    assert "BUG" not in agent.log


FREED = """
import time
from pyagent.api import Aggregator, Input, Metric, Output, Parser, Processor

class Hanging:
    def __del__(self):
        with open(__file__ + ".freed", "a") as file:
            file.write(".")
        time.sleep(3600)
"""
HANGING = {
    "gathers": "class It(Hanging, Input):\n    def gather(self, acc): acc.add('gathers', {'v': 1})",
    "later": "class It(Hanging, Input):\n    async def gather(self, acc): acc.add('later', {'v': 1})",
    "itself": "class It(Hanging, Input):\n    def setup(self): self.me = self\n    def gather(self, acc): pass",
    "parses": "class It(Hanging, Parser):\n    def parse(self, data): return [Metric('parses', {}, {'v': 1}, 0)]",
    "processes": "class It(Hanging, Processor):\n    def process(self, metrics): return metrics",
    "sums": "class It(Hanging, Aggregator):\n    def add(self, metrics): pass\n    def push(self, acc): pass\n    def reset(self): pass",
    "writes": "class It(Hanging, Output):\n    def write(self, batch): pass",
}


async def test_plugins_that_hang_as_they_are_freed_stop_neither_a_reload_nor_the_agent(tmp_path: Path) -> None:
    """Also those of a configuration that is not taken, and those that refer to themselves."""
    tables = []
    for name, code in HANGING.items():
        (tmp_path / f"{name}.py").write_text(f"{FREED}\n{code}\n")
        kind = next(kind for kind in ("Input", "Output", "Processor", "Aggregator", "Parser") if f", {kind})" in code)
        if kind != "Parser":
            tables.append(f"[[{kind.lower()}s.{name}]]\n")
    data = tmp_path / "data"
    data.write_text("anything")
    plain = (
        "[agent]\ninterval = '100ms'\nflush_interval = '100ms'\n[[outputs.file]]\nfiles = ['stdout']\n[[inputs.mem]]\n"
    )
    hanging = f"{plain}[[inputs.file]]\nfiles = ['{data}']\ndata_format = 'parses'\n" + "".join(tables)
    config = tmp_path / "agent.conf"
    config.write_text(plain)
    agent = AgentProcess("--config", str(config), "--plugin-directory", str(tmp_path))
    await agent.start()

    async def gathers_on() -> None:
        seen = agent.out.count("\nmem ") + agent.out.count("\nmem,")
        async with asyncio.timeout(DEADLINE):
            while agent.out.count("\nmem,") < seen + 3:
                assert agent.process.returncode is None, agent.log[-3000:]
                await asyncio.sleep(0.01)

    async def reloaded(text: str, said: str, times: int) -> None:
        config.write_text(text)
        agent.signal(signal.SIGHUP)
        await agent.logged(said, times)
        await gathers_on()

    def freed_so_far() -> int:
        return sum(path.stat().st_size for path in tmp_path.glob("*.freed"))

    async def freed(count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while freed_so_far() < count:
                await gathers_on()

    await gathers_on()
    # One of the engine's own cannot be made, when the others have been.
    refused = hanging + "[[outputs.influxdb_v2]]\nurls = ['ftp://x']\n"
    await reloaded(refused, "the configuration before it goes on", 1)
    await freed(len(HANGING) - 2)  # there is no output yet, and nothing is parsed
    await reloaded(hanging, "the configuration is reloaded", 1)
    await reloaded(plain, "the configuration is reloaded", 2)
    # The collection that frees what refers to itself is under way already.
    await freed(2 * len(HANGING) - 2)
    assert await agent.terminate() == 0, agent.log[-3000:]
