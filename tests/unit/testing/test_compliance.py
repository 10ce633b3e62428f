"""The compliance checks: a plugin that does one thing wrong fails the check that is about it, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest

from pyagent.testing.compliance import CHECKS, Plugin, plugins

HEAD = '''"""Something to check."""
import asyncio, os
from typing import Annotated
from pyagent.api import Accumulator, Field, Input, Measurement, Options, option

class POptions(Options, frozen=True):
    number: Annotated[int, option("a number")] = 5

class P(Input[POptions]):
    measurements = (Measurement("p", "it", {"t": "a tag"}, {"n": Field("int", "1", "its number")}),)
    kept = None
'''
GATHER = """
    def gather(self, acc: Accumulator) -> None:
        acc.add("p", {"n": self.options.number}, {"t": "a"})
"""
ASYNC = """
    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(0)
        acc.add("p", {"n": self.options.number})
"""
SERVICE = """
    async def start(self, acc: Accumulator) -> None:
        self.kept = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)

    async def stop(self) -> None:
        if self.kept:
            self.kept.close()
"""
FAULTS = [
    ("says what it is", "", "neither gathers nor starts"),
    (
        "imports its own",
        """
    def gather(self, acc: Accumulator) -> None:
        import pyagent.pipeline
        from pyagent import config
        from pyagent.api.plugin import get_args
        from pyagent_plugins.inputs import mem
""",
        "p.py imports pyagent.pipeline; p.py imports pyagent.config; p.py imports get_args, which pyagent.api.plugin does not "
        "offer; p.py imports pyagent_plugins.inputs.mem",
    ),
    ("stops without start", SERVICE.replace("self.kept.close()", "pass"), "descriptor socket"),
    ("stops without start", SERVICE.replace("if self.kept", "if True"), "'NoneType' object has no attribute 'close'"),
    (
        "is cancelled",
        """
    async def gather(self, acc: Accumulator) -> None:
        self.kept = asyncio.create_task(asyncio.sleep(1000), name="forgotten")
        try:
            await asyncio.shield(self.kept)
        except TimeoutError:
            self.kept.cancel()
""",
        "task forgotten",
    ),
    (
        "leaves nothing",
        """
    def gather(self, acc: Accumulator) -> None:
        self.kept = [*(self.kept or []), bytes(10_000)]
""",
        "bytes",
    ),
    (
        "leaves nothing",
        """
    def gather(self, acc: Accumulator) -> None:
        self.kept = [*(self.kept or []), open("/dev/null")]

    async def stop(self) -> None:
        for file in self.kept or ():
            file.close()
""",
        "descriptor /dev/null",
    ),
    (
        "leaves nothing",
        """
    def gather(self, acc: Accumulator) -> None:
        ring = [self.kept, bytes(200)]
        ring.append(ring)
        self.kept = ring
""",
        "bytes",
    ),
    ("emits what it declares", GATHER.replace('"n"', '"m"'), "'p' has an unknown field 'm'"),
    ("emits what it declares", GATHER.replace('"t"', '"u"'), "'p' has an unknown tag 'u'"),
    ("emits what it declares", GATHER.replace('"p"', '"q"'), "the measurement 'q' is unknown"),
    ("emits what it declares", GATHER.replace("self.options.number", "object()"), "object"),
]


def plugin_of(folder: Path, body: str) -> Plugin:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "p.py").write_text(HEAD + body)
    [plugin] = plugins([folder / "plugins"])
    return replace(plugin, patience=0.0)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("body", [GATHER, ASYNC, SERVICE], ids=["plain", "async", "service"])
def test_a_good_plugin_from_outside_passes(body: str, check: str, tmp_path: Path) -> None:
    plugin_of(tmp_path, body).check(check, tmp_path)


@pytest.mark.parametrize(("check", "body", "message"), FAULTS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_each_fault_is_found(check: str, body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, AttributeError)) as caught:
        plugin_of(tmp_path, body).check(check, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("kept", ["ring", "self.kept"])
def test_garbage_that_refers_to_itself_is_not_left(kept: str, tmp_path: Path) -> None:
    body = f"""
    def gather(self, acc: Accumulator) -> None:
        ring = [bytes(10_000)]
        ring.append(ring)
        {kept} = ring
"""
    plugin_of(tmp_path, body).check("leaves nothing", tmp_path)


def test_a_sample_that_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    text = HEAD.replace('option("a number")] = 5', 'option("a number", ge=1)]')
    (tmp_path / "plugins" / "p.py").write_text(text + GATHER)
    [plugin] = plugins([tmp_path / "plugins"])
    with pytest.raises(AssertionError, match=r"its sample cannot be loaded: .*must be 1 or more"):
        plugin.check("sample loads", tmp_path)
