"""The input ipvs, against answers laid out as <linux/ip_vs.h> has them."""

import errno
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, PyagentError
from pyagent.kit.netlink import attribute
from pyagent.testing import assert_declared, make_input, run_input
from pyagent_plugins.inputs.ipvs import Ipvs
from support.netlink_kernel import FakeKernel, Message, done, flipped, gathered_here, generic, refusal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

FAMILY = 33


def _statistics(factor: int, size: str) -> bytes:
    return b"".join(attribute(kind, struct.pack(f"={size}", kind * factor)) for kind in range(1, 11))


def _service(mark: int = 0, family: int = 2, wide: bool = True) -> bytes:
    address = bytes([192, 0, 2, 1]) if family == 2 else bytes.fromhex("20010db8000000000000000000000001")
    parts = [
        attribute(1, struct.pack("=H", family)),
        *(
            [attribute(5, struct.pack("=I", mark))]
            if mark
            else [
                attribute(2, struct.pack("=H", 6)),
                attribute(3, address.ljust(16, b"\0")),
                attribute(4, struct.pack(">H", 80)),
            ]
        ),
        attribute(6, b"wlc\0"),
        attribute(9, struct.pack("=I", 0xFFFFFFFF if family == 2 else 128)),
        attribute(10, _statistics(1, "I"), nested=True),
        *([attribute(12, _statistics(1 << 33, "Q"), nested=True)] if wide else []),
    ]
    return attribute(1, b"".join(parts), nested=True)


_REAL = attribute(
    2,
    b"".join(
        [
            attribute(1, bytes([198, 51, 100, 7]).ljust(16, b"\0")),
            attribute(2, struct.pack(">H", 8080)),
            attribute(7, struct.pack("=I", 4)),
            attribute(8, struct.pack("=I", 5)),
            attribute(10, _statistics(2, "I"), nested=True),
            attribute(11, struct.pack("=H", 2)),
        ]
    ),
    nested=True,
)


def _kernel(*services: bytes) -> FakeKernel:
    def answer(kind: int, body: bytes) -> Iterable[Iterable[Message]]:
        assert kind == FAMILY
        found = services if body[0] == 4 else [_REAL]
        return [[generic(FAMILY, one) for one in found], [done()]]

    return FakeKernel({"IPVS": FAMILY}, answer)


def _ipvs(kernel: FakeKernel) -> list[Metric]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        kernel.install(monkeypatch)
        metrics = run_input(Ipvs)
    assert_declared(Ipvs, metrics)
    return metrics


def test_servers() -> None:
    kernel = _kernel(_service())
    virtual, real = _ipvs(kernel)
    assert virtual.name == "ipvs_virtual_server"
    assert virtual.tags == {
        "sched": "wlc",
        "netmask": "32",
        "address_family": "inet",
        "protocol": "tcp",
        "address": "192.0.2.1",
        "port": "80",
    }
    assert virtual.fields["connections"] == 1 << 33  # more than 32 bits hold
    assert virtual.fields["pps_out"] == 8 << 33
    assert real.name == "ipvs_real_server"
    assert real.tags == {
        "address": "198.51.100.7",
        "port": "8080",
        "address_family": "inet",
        "virtual_protocol": "tcp",
        "virtual_address": "192.0.2.1",
        "virtual_port": "80",
    }
    assert (real.fields["active_connections"], real.fields["inactive_connections"], real.fields["cps"]) == (4, 5, 12)
    [services, servers] = [body for _, _, body in kernel.asked]
    assert services == bytes.fromhex("04010000")
    # Which virtual server is meant: family, protocol, address and port, nested.
    named = attribute(1, b"\2\0" if sys.byteorder == "little" else b"\0\2") + attribute(2, struct.pack("=H", 6))
    named += attribute(3, bytes([192, 0, 2, 1]).ljust(16, b"\0")) + attribute(4, struct.pack(">H", 80))
    assert servers == bytes.fromhex("08010000") + struct.pack("=HH", 4 + len(named), 0x8001) + named


def test_a_virtual_server_by_its_mark_and_one_of_ipv6() -> None:
    marked, behind, sixth, _ = _ipvs(_kernel(_service(mark=9, wide=False), _service(family=10)))
    assert marked.tags == {"sched": "wlc", "netmask": "32", "address_family": "inet", "fwmark": "9"}
    assert marked.fields["bytes_in"] == 4
    assert behind.tags["virtual_fwmark"] == "9"
    assert (sixth.tags["address"], sixth.tags["netmask"]) == ("2001:db8::1", "128")


def test_what_the_kernel_refuses() -> None:
    refused = FakeKernel({"IPVS": FAMILY}, lambda kind, body: [[refusal(errno.EPERM)]])
    with pytest.raises(PyagentError, match=r"cannot read IPVS: Operation not permitted; give the agent the capability"):
        _ipvs(refused)
    with pytest.raises(PyagentError, match=r"cannot read IPVS: the kernel does not have it; load the module ip_vs"):
        _ipvs(FakeKernel({}, lambda kind, body: []))


def test_an_answer_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = make_input(Ipvs)
    for size in range(1, len(_service()) + 20):
        kernel = _kernel(_service())
        kernel.damage = lambda data, size=size: data[:size]
        kernel.install(monkeypatch)
        with pytest.raises(PyagentError, match=r"cannot read IPVS: the kernel's answer cannot be understood"):
            gathered_here(plugin)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_answer_gives_metrics_or_one_error(place: int, bits: int) -> None:
    kernel = _kernel(_service(), _service(mark=3))
    kernel.damage = lambda data: flipped(data, place, bits)
    with pytest.MonkeyPatch.context() as monkeypatch, suppress(PyagentError):
        kernel.install(monkeypatch)
        gathered_here(make_input(Ipvs))
