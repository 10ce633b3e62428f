"""Questions to the kernel by netlink, against bytes laid out as <linux/netlink.h> and <linux/genetlink.h> have them."""

import errno
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import PyagentError
from pyagent.kit import netlink
from pyagent.kit.netlink import (
    Link,
    UnknownFamily,
    attribute,
    attribute_list,
    attributes,
    generic_netlink,
    network_links,
    number,
    text,
)
from support.netlink_kernel import (
    DONE,
    INTERRUPTED,
    MULTI,
    WITH_TEXT,
    FakeKernel,
    Message,
    done,
    flipped,
    generic,
    refusal,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

FAMILY = 33


def _kernel(monkeypatch: pytest.MonkeyPatch, *datagrams: Iterable[Message]) -> FakeKernel:
    kernel = FakeKernel({"thing": FAMILY}, lambda kind, body: datagrams)
    kernel.install(monkeypatch)
    return kernel


def _ask(dump: bool = True) -> list[dict[int, bytes]]:
    with generic_netlink("things", "thing", module="things") as kernel:
        return kernel.ask(7, attribute(9, b"abc"), dump=dump)


def _text(value: str) -> bytes:
    return attribute(1, value.encode() + b"\0")


def test_a_list_over_several_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(
        monkeypatch, [generic(FAMILY, _text("a")), generic(FAMILY, _text("bcd"))], [generic(FAMILY, _text("e")), done()]
    )
    assert [text(one[1]) for one in _ask()] == ["a", "bcd", "e"]
    assert kernel.asked == [(FAMILY, 0x301, bytes.fromhex("07010000") + struct.pack("=HH", 7, 9) + b"abc\0")]
    assert kernel.open == 0


def test_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(monkeypatch, [generic(FAMILY, _text("a"), flags=0)])
    assert [text(one[1]) for one in _ask(dump=False)] == ["a"]
    assert kernel.asked[0][1] == 0x1


def test_what_others_send_and_late_answers_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Message(FAMILY, struct.pack("=BBH", 1, 1, 0) + _text("old"), MULTI, sequence=0)
    nothing = Message(1, b"")
    _kernel(monkeypatch, [late, nothing, generic(FAMILY, _text("a"))], [done()])
    assert [text(one[1]) for one in _ask()] == ["a"]
    kernel = _kernel(monkeypatch, [generic(FAMILY, _text("a")), done()])
    kernel.sender = 4711
    with pytest.raises(PyagentError, match="cannot read things: the kernel did not answer in time"):
        _ask()


def test_a_list_that_changed_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = [[generic(FAMILY, _text("a")), generic(FAMILY, _text("b"), flags=MULTI | INTERRUPTED), done()]]
    kernel = FakeKernel({"thing": FAMILY}, lambda kind, body: [rounds.pop()] if rounds else [[done()]])
    kernel.install(monkeypatch)
    assert _ask() == []
    assert len(kernel.asked) == 2
    kernel = _kernel(monkeypatch, [Message(DONE, bytes(4), MULTI | INTERRUPTED)])
    with pytest.raises(PyagentError, match="cannot read things: its list changed while it was read, 5 times in a row"):
        _ask()
    assert len(kernel.asked) == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            refusal(errno.EPERM),
            "Operation not permitted; give the agent the capability CAP_NET_ADMIN: the drop-in `network.conf` of its unit,"
            " which has `AmbientCapabilities=CAP_NET_ADMIN`",
        ),
        (refusal(errno.EINVAL, "unknown command"), "Invalid argument (unknown command)"),
        (done(-errno.ENODEV), "No such device"),
        (
            Message(DONE, struct.pack("=i", -errno.EBUSY) + attribute(1, b"later\0"), MULTI | WITH_TEXT),
            "Device or resource busy (later)",
        ),
        # Without CAPPED the whole question stands before the text.
        (
            Message(
                2,
                struct.pack("=i", -errno.EINVAL)
                + struct.pack("=IHHII", 23, 33, 1, 1, 0)
                + bytes(8)
                + attribute(1, b"so\0"),
                WITH_TEXT,
            ),
            "Invalid argument (so)",
        ),
        (Message(4, b""), "a part of the answer was lost"),
    ],
)
def test_what_the_kernel_refuses(answer: Message, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(monkeypatch, [answer])
    with pytest.raises(PyagentError) as raised:
        _ask()
    assert str(raised.value) == f"cannot read things: {message}"


def test_an_error_of_zero_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(monkeypatch, [Message(2, bytes(20))])
    assert _ask() == []


def test_a_family_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKernel({}, lambda kind, body: []).install(monkeypatch)
    with pytest.raises(UnknownFamily) as raised:
        _ask()
    assert str(raised.value) == (
        "cannot read things: the kernel does not have it; load the module things (`modprobe things`)"
    )


def test_a_unit_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(protocol: int) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(netlink, "_opened", refused)
    with pytest.raises(PyagentError, match="things: Address family not supported by protocol; allow the agent netlink"):
        _ask()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Message(FAMILY, b"\1"), "an answer without a header"),
        (Message(FAMILY + 1, bytes(4)), "a message of the kind 34 in place of 33"),
        (Message(FAMILY, bytes(8), length=15), "a message of 15 bytes in 44"),
        (Message(FAMILY, bytes(8), length=45), "a message of 45 bytes in 44"),
        (Message(2, b"\1"), "an error of 1 bytes"),
        (generic(FAMILY, struct.pack("=HH", 3, 1)), "an attribute of 3 bytes in 4"),
        (generic(FAMILY, struct.pack("=HH", 9, 1) + bytes(4)), "an attribute of 9 bytes in 8"),
    ],
)
def test_answers_that_are_none(answer: Message, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(monkeypatch, [answer, done()])
    with pytest.raises(PyagentError) as raised:
        _ask()
    assert str(raised.value) == f"cannot read things: the kernel's answer cannot be understood: {message}"


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_MOST", 1 << 20)
    big = [generic(FAMILY, attribute(1, bytes(60_000)))]
    _kernel(monkeypatch, *[big] * 20)
    with pytest.raises(PyagentError, match="understood: it is longer than 1 MiB"):
        _ask()
    kernel = _kernel(monkeypatch, big)
    kernel.state = socket.MSG_TRUNC
    with pytest.raises(PyagentError, match="understood: a message of more than 262144 bytes"):
        _ask()


def test_the_deadline_holds_for_all_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(monkeypatch, *[[generic(FAMILY, b"")]] * 1000)
    now = iter(range(1000))
    monkeypatch.setattr(netlink.time, "monotonic", lambda: float(next(now)))
    with pytest.raises(PyagentError, match="the kernel did not answer in time"):
        _ask()


def test_what_the_block_cannot_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(monkeypatch, [done()])
    block = generic_netlink("things", "thing", module="things")
    with pytest.raises(PyagentError, match="cannot read things: the kernel's answer has no attribute 3"), block:
        attributes(b"")[3]
    block = generic_netlink("things", "thing", module="things")
    with pytest.raises(PyagentError, match="understood: a number of 3 bytes"), block:
        number(b"abc")


def test_numbers_and_texts() -> None:
    assert [number(struct.pack(f"={size}", 200)) for size in "BHIQ"] == [200] * 4
    assert [text(b"wg0\0\0"), text(b"wg0"), text(b"\xff\0")] == ["wg0", "wg0", "\udcff"]
    assert attribute(3, b"") == struct.pack("=HH", 4, 3)
    assert attribute(3, b"x", nested=True) == struct.pack("=HH", 5, 0x8003) + b"x\0\0\0"


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40), st.booleans())))
def test_attributes_come_back(made: list[tuple[int, bytes, bool]]) -> None:
    data = b"".join(attribute(kind, value, nested=nested) for kind, value, nested in made)
    assert attribute_list(data) == [(kind, value) for kind, value, _ in made]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_an_answer_or_one_error(data: bytes, dump: bool) -> None:
    kernel = FakeKernel({"thing": FAMILY}, lambda kind, body: [[generic(FAMILY, b"")], [done()]])
    kernel.damage = lambda answer: data
    with pytest.MonkeyPatch.context() as monkeypatch:
        kernel.install(monkeypatch)
        with suppress(PyagentError):
            _ask(dump)


@given(st.integers(0, 100), st.integers(1, 255))
def test_a_damaged_answer_is_an_answer_or_one_error(place: int, bits: int) -> None:
    whole = [generic(FAMILY, _text("abc") + attribute(2, bytes(9))), done()]
    kernel = FakeKernel({"thing": FAMILY}, lambda kind, body: [whole])
    kernel.damage = lambda answer: flipped(answer, place, bits)
    with pytest.MonkeyPatch.context() as monkeypatch, suppress(PyagentError):
        kernel.install(monkeypatch)
        _ask()


def _link(index: int, name: str, flags: int, kind: str = "") -> Message:
    info = attribute(18, attribute(1, kind.encode()), nested=True) if kind else b""
    body = struct.pack("=BxHiII", 0, 1, index, flags, 0xFFFFFFFF) + attribute(3, name.encode() + b"\0") + info
    return Message(16, body)


def test_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [[_link(1, "lo", 0x49), _link(2, "eth0", 0x1043)], [_link(7, "wg0", 0x90, "wireguard"), done()]]
    kernel = FakeKernel({}, lambda kind, body: answer)
    kernel.install(monkeypatch)
    assert network_links() == [
        Link(1, "lo", "", True, True),
        Link(2, "eth0", "", True, False),
        Link(7, "wg0", "wireguard", False, False),
    ]
    # ifinfomsg, then IFLA_EXT_MASK: no statistics, which are most of an answer.
    assert kernel.asked == [(18, 0x301, bytes(16) + struct.pack("=HHI", 8, 29, 8))]


@pytest.mark.parametrize("size", [0, 15, 17, 21])
def test_an_interface_that_is_cut(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Message(16, _link(1, "lo", 0x49).body[:size])
    FakeKernel({}, lambda kind, body: [[cut, done()]]).install(monkeypatch)
    with pytest.raises(
        PyagentError, match="cannot read the network interfaces: the kernel's answer cannot be understood"
    ):
        network_links()


def test_the_real_kernel() -> None:
    with generic_netlink("the controller", "nlctrl", module="none") as kernel:
        families = {text(one[2]): number(one[1]) for one in kernel.ask(3)}
        [itself] = kernel.ask(3, attribute(2, b"nlctrl\0"), dump=False)
        with pytest.raises(OSError, match="Operation not supported") as refused:
            kernel.ask(99)
    assert families["nlctrl"] == number(itself[1]) == 16
    assert refused.value.errno == errno.EOPNOTSUPP
    with pytest.raises(UnknownFamily), generic_netlink("none", "pyagent-none", module="none"):
        pass
    [loopback] = [link for link in network_links() if link.loopback]
    assert (loopback.index, loopback.kind) == (1, "")


def test_the_texts_of_the_real_kernel() -> None:
    """Kernels since 4.20 say what is wrong with a question: here, a name that is too long."""
    with (
        pytest.raises(
            PyagentError, match=r"cannot read none: (Numerical result out of range|Invalid argument)( \(.+\))?$"
        ),
        generic_netlink("none", "x" * 100, module="none"),
    ):
        pass
