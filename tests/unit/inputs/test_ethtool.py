"""The input ethtool, against a kernel that writes into memory what <linux/ethtool.h> lays out, and against the real one."""

import ctypes
import errno
import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, PyagentError
from pyagent.kit.netlink import Link
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, make_input, run_input
from pyagent_plugins.inputs import ethtool as ethtool_module
from pyagent_plugins.inputs.ethtool import Ethtool, namespaces
from pyagent_plugins.inputs.ethtool import driver as driver_module
from support.netlink_kernel import gathered_here

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

SETTINGS, DRIVER, LINK, STRINGS, STATISTICS = 0x1, 0x3, 0xA, 0x1B, 0x1D


@dataclass
class Card:
    """An interface, and what its driver says."""

    name: str = "eth0"
    counters: dict[bytes, int] = field(default_factory=lambda: {b"rx_packets": 7, b"tx_packets": 1 << 63})
    driver: bytes = b"igb"
    up: bool = True
    loopback: bool = False
    speed: int = 100_000
    failures: dict[int, int] = field(default_factory=dict)
    """By the command: the number of the error."""
    counts: dict[int, list[int]] = field(default_factory=dict)
    """By the command: how many statistics it says there are, one time after the other."""

    def answer(self, command: int, asked: bytes) -> bytes:
        if (failure := self.failures.get(command)) is not None:
            raise OSError(failure, os.strerror(failure))
        planned = self.counts.get(command)
        count = planned.pop(0) if planned else len(self.counters)
        if command == DRIVER:
            return struct.pack("=I32s140xI I12x", command, self.driver, 3, count)
        if command == STRINGS:
            assert asked[4:8] == struct.pack("=I", 1)
            names = b"".join(name.ljust(32, b"\0") for name in self.counters)
            return struct.pack("=III", command, 1, count) + names
        if command == STATISTICS:
            return struct.pack("=II", command, count) + struct.pack(f"={len(self.counters)}Q", *self.counters.values())
        if command == SETTINGS:
            speed = (self.speed & 0xFFFF, self.speed >> 16)
            return struct.pack("=I8xHBBBBBBIIHBBI8x", command, speed[0], 1, 3, 9, 9, 1, 9, 9, 9, speed[1], 9, 9, 9)
        assert command == LINK
        return struct.pack("=II", command, int(self.up))


Ask = Callable[[Card, int, bytes], bytes]


def _install(monkeypatch: pytest.MonkeyPatch, *cards: Card, answer: Ask = Card.answer) -> None:
    known = {card.name.encode(): card for card in cards}

    def ioctl(opened: socket.socket, request: int, data: bytes) -> bytes:
        assert request == 0x8946
        name, address = struct.unpack("16sP16x", data)
        card = known.get(name.rstrip(b"\0"))
        if card is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        asked = ctypes.string_at(address, 12)
        told = answer(card, struct.unpack_from("=I", asked)[0], asked)
        ctypes.memmove(address, told, len(told))
        return data

    monkeypatch.setattr(driver_module.fcntl, "ioctl", ioctl)
    links = [Link(place, card.name, "", card.up, card.loopback) for place, card in enumerate(cards, start=1)]
    monkeypatch.setattr(ethtool_module, "network_links", lambda: links)


def _gathered(monkeypatch: pytest.MonkeyPatch, *cards: Card, **options: Any) -> list[Metric]:
    _install(monkeypatch, *cards)
    metrics = run_input(Ethtool, options)
    if metrics:
        assert_declared(Ethtool, metrics)
    return metrics


def test_statistics_and_link(monkeypatch: pytest.MonkeyPatch) -> None:
    [metric] = _gathered(monkeypatch, Card())
    assert metric.tags == {"interface": "eth0", "driver": "igb", "namespace": ""}
    assert metric.fields == {
        "interface_up": True,
        "rx_packets": 7,
        "tx_packets": 1 << 63,
        "speed": 100_000,
        "duplex": 1,
        "autoneg": 1,
        "link": 1,
    }


@pytest.mark.parametrize("speed", [0xFFFF, 0xFFFFFFFF])
def test_a_speed_that_is_not_known(speed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    [metric] = _gathered(monkeypatch, Card(speed=speed))
    assert metric.fields["speed"] == (1 << 64) - 1


def test_interfaces_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [Card("lo", loopback=True), Card("eth0"), Card("eth1", up=False), Card("ib0")]

    def names(**options: Any) -> list[str]:
        return [metric.tags["interface"] for metric in _gathered(monkeypatch, *cards, **options)]

    assert names() == ["eth0", "eth1", "ib0"]
    assert names(down_interfaces="skip") == ["eth0", "ib0"]
    assert names(interface_include=["eth*"]) == ["eth0", "eth1"]
    assert names(interface_exclude=["eth0"]) == ["eth1", "ib0"]
    assert names(interface_include=["eth*"], interface_exclude=["*1"]) == ["eth0"]
    assert names(namespace_include=["blue"]) == []


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        (" fooBarBaz", "foo_bar_baz"),
        ("\t [0] rxDMA  unmapped", "[0]_rx_dma__unmapped"),
        ("RxOctets", "rx_octets"),
        ("interface_up", "interface_up_counter"),
        ("InterfaceUp ", "interface_up_counter"),
        ("a" * 32, "a" * 32),
    ],
)
def test_names_of_statistics(name: str, normalized: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(counters={name.encode(): 5, b"": 6})
    plain = "interface_up_counter" if name == "interface_up" else name
    [metric] = _gathered(monkeypatch, card)
    assert set(metric.fields) == {plain, "interface_up", "speed", "duplex", "autoneg", "link"}
    [metric] = _gathered(monkeypatch, card, normalize_keys=["underscore", "lower", "trim", "snakecase"])
    assert metric.fields[normalized] == 5
    assert metric.fields["interface_up"] is True


def test_each_normalization_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(*wanted: str) -> str:
        [metric] = _gathered(monkeypatch, Card(counters={b" fooBar Baz": 5}), normalize_keys=list(wanted))
        [found] = set(metric.fields) - {"interface_up", "speed", "duplex", "autoneg", "link"}
        return found

    assert name("snakecase") == "foo_bar _baz"
    assert name("trim") == "fooBar Baz"
    assert name("lower") == " foobar baz"
    assert name("underscore") == "_fooBar_Baz"
    assert name("upper") == " fooBar Baz"


def test_options_that_there_are_not() -> None:
    assert [text for _, text in make_input(Ethtool, {"normalize_keys": ["upper", "trim"]}).options.remarks()] == [
        "has 'upper', which there is not; there are snakecase, trim, lower, underscore"
    ]
    with pytest.raises(ConfigError, match="down_interfaces"):
        make_input(Ethtool, {"down_interfaces": "hide"})


@pytest.mark.parametrize("command", [DRIVER, STRINGS, STATISTICS])
def test_drivers_without_statistics(
    command: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _install(monkeypatch, Card("br0", failures={command: errno.EOPNOTSUPP}), Card("eth0"))
    plugin = make_input(Ethtool)
    for _ in range(2):
        assert [metric.tags["interface"] for metric in gathered_here(plugin)] == ["eth0"]
    assert [record.getMessage() for record in caplog.records] == [
        "the driver of br0 has no statistics; the interface is left out"
    ]


@pytest.mark.parametrize("command", [SETTINGS, LINK])
def test_drivers_without_a_link(command: int, monkeypatch: pytest.MonkeyPatch) -> None:
    [metric] = _gathered(monkeypatch, Card(failures={command: errno.EOPNOTSUPP}))
    assert metric.fields == {"interface_up": True, "rx_packets": 7, "tx_packets": 1 << 63}


def test_what_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails costs itself: the other interface is measured, and so are the statistics where the link is not known."""
    cards = [
        Card("eth0", failures={STATISTICS: errno.EIO}),
        Card("eth1", failures={SETTINGS: errno.EBUSY}),
        Card("eth2"),
    ]
    _install(monkeypatch, *cards)
    acc = InputAccumulator(Ethtool.measurements)
    with pytest.raises(PyagentError) as raised:
        make_input(Ethtool).gather(acc)
    assert str(raised.value) == (
        "cannot read the statistics of eth0: Input/output error; cannot read the statistics of eth1: Device or resource busy"
    )
    assert [(metric.tags["interface"], "link" in metric.fields) for metric in acc.drain()] == [
        ("eth1", False),
        ("eth2", True),
    ]


def test_an_interface_that_goes_away_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Card())
    monkeypatch.setattr(ethtool_module, "network_links", lambda: [Link(9, "veth9", "veth", True, False)])
    assert run_input(Ethtool) == []


def test_statistics_whose_number_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the channels of a card are set while it is read."""
    [metric] = _gathered(monkeypatch, Card(counts={DRIVER: [1, 2], STRINGS: [2, 2], STATISTICS: [2, 2]}))
    assert metric.fields["tx_packets"] == 1 << 63
    with pytest.raises(
        PyagentError, match="eth0: the number of statistics changed while they were read, 3 times in a row"
    ):
        _gathered(monkeypatch, Card(counts={STATISTICS: [1, 1, 1]}))
    with pytest.raises(PyagentError, match="eth0: the driver igb has 32769 statistics; 32768 are read at the most"):
        _gathered(monkeypatch, Card(counts={DRIVER: [32769]}))


def test_there_is_room_for_what_the_kernel_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(counters={f"queue {number} drops".encode(): number for number in range(32768)})
    [metric] = _gathered(monkeypatch, card)
    assert len(metric.fields) == 32768 + 5
    assert metric.fields["queue 32767 drops"] == 32767


@given(
    st.sampled_from([DRIVER, STRINGS, STATISTICS, SETTINGS, LINK]),
    st.integers(0, 300).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
)
def test_any_answer_gives_a_metric_or_one_error(command: int, data: bytes) -> None:
    def answer(card: Card, asked: int, question: bytes) -> bytes:
        return data if asked == command else card.answer(asked, question)

    with pytest.MonkeyPatch.context() as monkeypatch:
        _install(monkeypatch, Card(), answer=answer)
        with suppress(PyagentError):
            gathered_here(make_input(Ethtool))


# Network namespaces -------------------------------------------------------------------------------------------------------


@pytest.fixture
def netns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of namespaces that a thread may enter: `blue` and `red`."""
    monkeypatch.setenv("HOST_RUN", str(tmp_path))
    folder = tmp_path / "netns"
    folder.mkdir()
    for name in ("blue", "red"):
        (folder / name).touch()
    return folder


def _entered(monkeypatch: pytest.MonkeyPatch, **failures: int) -> dict[str, int]:
    """What was entered, and by which thread."""
    entered: dict[str, int] = {}

    def enter(path: str) -> None:
        name = os.path.basename(path)
        if name in failures:
            raise OSError(failures[name], os.strerror(failures[name]))
        entered[name] = threading.get_ident()

    monkeypatch.setattr(namespaces, "_enter", enter)
    return entered


def _by_namespace(metrics: list[Metric]) -> list[str]:
    return sorted(metric.tags.get("namespace", "") for metric in metrics)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, [""]),
        ({"namespace_include": ["*"]}, ["", "blue", "red"]),
        ({"namespace_include": ["b*"]}, ["blue"]),
        ({"namespace_include": ["", "red"]}, ["", "red"]),
        ({"namespace_exclude": ["red"]}, ["", "blue"]),
        ({"namespace_include": ["*"], "namespace_exclude": [""]}, ["blue", "red"]),
    ],
)
def test_namespaces_that_are_wanted(
    options: dict[str, list[str]], found: list[str], netns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = _entered(monkeypatch)
    assert _by_namespace(_gathered(monkeypatch, Card(), **options)) == found
    assert sorted(entered) == [name for name in found if name]


def test_others_are_entered_by_a_thread_of_its_own(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = _entered(monkeypatch)
    _install(monkeypatch, Card())
    before = threading.active_count()
    gathered_here(make_input(Ethtool, {"namespace_include": ["*"]}))
    assert threading.get_ident() not in entered.values()
    assert threading.active_count() == before


def test_the_agents_own_namespace_may_have_a_name(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (netns / "home").symlink_to("/proc/self/ns/net")
    entered = _entered(monkeypatch)
    assert _by_namespace(_gathered(monkeypatch, Card(), namespace_include=["*"])) == ["blue", "home", "red"]
    assert sorted(entered) == ["blue", "red"]
    assert _gathered(monkeypatch, Card(), namespace_include=[""]) == []


def test_without_rights_one_error_says_what_to_do(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _entered(monkeypatch, blue=errno.EPERM, red=errno.EPERM)
    with pytest.raises(PyagentError) as raised:
        _gathered(monkeypatch, Card(), namespace_include=["*"])
    assert str(raised.value) == (
        "cannot enter the network namespace blue: Operation not permitted; give the agent the capability CAP_SYS_ADMIN: the"
        " drop-in `namespaces.conf` of its unit, which has `AmbientCapabilities=CAP_SYS_ADMIN` and `RestrictNamespaces=net`"
    )


def test_one_namespace_that_cannot_be_read_costs_itself(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = _entered(monkeypatch)
    _install(monkeypatch, Card())
    links = ethtool_module.network_links

    def refused() -> list[Link]:
        if "red" in entered or not entered:
            raise PyagentError("cannot read the network interfaces: no")
        return links()

    monkeypatch.setattr(ethtool_module, "network_links", refused)
    acc = InputAccumulator(Ethtool.measurements)
    with pytest.raises(PyagentError, match=r"^cannot read the network interfaces: no$"):
        make_input(Ethtool, {"namespace_include": ["*"]}).gather(acc)
    assert _by_namespace(acc.drain()) == ["blue"]


def test_a_file_that_is_no_namespace(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = _entered(monkeypatch, blue=errno.EINVAL)
    with pytest.raises(
        PyagentError, match="namespace blue: Invalid argument; the file is none; `ip netns delete blue`"
    ):
        _gathered(monkeypatch, Card(), namespace_include=["*"])
    assert list(entered) == ["red"]


def test_the_kernel_refuses_a_file_that_is_none(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real setns; some containers forbid the call itself."""
    with pytest.raises(PyagentError, match=r"namespace blue: (Invalid argument|Operation not permitted); "):
        _gathered(monkeypatch, Card(), namespace_include=["blue"])


def test_a_namespace_that_goes_away_is_passed_over(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _entered(monkeypatch, blue=errno.ENOENT)
    assert _by_namespace(_gathered(monkeypatch, Card(), namespace_include=["*"])) == ["", "red"]


def test_a_fault_in_the_thread_is_raised(netns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _entered(monkeypatch)
    failures: list[Exception] = []
    namespaces.within(["blue"], lambda name: [][1], failures)
    assert [type(failure) for failure in failures] == [IndexError]


def test_a_host_without_named_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOST_RUN", str(tmp_path))
    _install(monkeypatch, Card())
    plugin = make_input(Ethtool, {"namespace_include": ["*"]})
    for _ in range(2):
        assert _by_namespace(gathered_here(plugin)) == [""]
    assert [record.getMessage() for record in caplog.records] == [
        f"there are no network namespaces with a name: there is no folder {tmp_path}/netns"
    ]


def test_the_interfaces_of_this_host() -> None:
    """Whatever they are: no error, and what is declared."""
    if metrics := run_input(Ethtool):
        assert_declared(Ethtool, metrics)
    assert "lo" not in {metric.tags["interface"] for metric in metrics}
