"""Inputs that read what a program prints: damaged output gives no traceback and no wrong number."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import Input, PyagentError
from pyagent.kit.command import Commands, Output
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs.ipset import Ipset
from pyagent_plugins.inputs.iptables import Iptables
from pyagent_plugins.inputs.nftables import Nftables
from pyagent_plugins.inputs.socketstat import Socketstat

CASES = Path(__file__).resolve().parents[2] / "plugins" / "inputs"
PRINTED: dict[str, tuple[type[Input[Any]], Mapping[str, Any], str]] = {
    "iptables": (
        Iptables,
        {"binary": "ip6tables", "table": "raw", "chains": ["PREROUTING"]},
        "iptables/locked/bin/ip6tables",
    ),
    "nftables": (Nftables, {"include": ["sets", "counters", "anonymous-counters"]}, "nftables/everything/bin/nft"),
    "ipset": (Ipset, {"count_per_ip_entries": True, "include_unmatched_sets": True}, "ipset/sizes/bin/ipset"),
    "socketstat": (Socketstat, {"protocols": ["tcp"]}, "socketstat/sockets/bin/ss"),
}
HUGE = b"9" * 40
DAMAGES: dict[str, Callable[[bytes], list[bytes]]] = {
    "cut": lambda data: [data[: len(data) * part // 37] for part in range(37)],
    "doubled": lambda data: [data + data],
    "emptied": lambda _: [b"", b"\n"],
    "binary": lambda data: [bytes(range(256)) * 4, data.replace(b" ", b"\0"), b"\xff\xfe" + data, b"[" * 100_000],
    "too large": lambda data: [
        data[: found.start()] + HUGE + data[found.end() :] for found in re.finditer(rb"(?<![\w.:])\d+(?![\w.:])", data)
    ],
}


def _printed(path: str) -> bytes:
    return (CASES / path).read_bytes().partition(b"<<'EOT'\n")[2].removesuffix(b"EOT\n")


def _numbers(got: list[str]) -> set[str]:
    return {field for line in got for field in re.split(r"(?<!\\)[ ,]", line) if re.search(r"=[-\d.]+[iu]?$", field)}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", PRINTED)
def test_damaged_output_gives_no_wrong_number(
    name: str, damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, options, path = PRINTED[name]
    monkeypatch.setenv("PATH", str((CASES / path).parent))

    def gathered(printed: bytes) -> tuple[list[str], str]:
        monkeypatch.setattr(Commands, "run", lambda *_, **__: Output(printed, b"", 0))
        acc, said = InputAccumulator(plugin.measurements), ""
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            try:
                make_input(plugin, options).gather(acc)
            except PyagentError as error:
                said = str(error)
        return lines(acc.drain()), said + caplog.text

    data = _printed(path)
    whole, said = gathered(data)
    assert whole
    assert not said
    for damaged in DAMAGES[damage](data):
        got, said = gathered(damaged)
        # How many things there are depends on how much there is; every other number stands in the output, as it is.
        wrong = {one for one in _numbers(got) - _numbers(whole) if not one.startswith(("entries=", "ips=", "count="))}
        assert not wrong, damaged[:300]
