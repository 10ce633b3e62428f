"""The input libvirt with a daemon that answers as it is told: statistics, logins, errors and damaged messages."""

import asyncio
import re
import struct
from pathlib import Path
from typing import Any

import libvirt_daemon as daemon
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libvirt_daemon import ScriptedDaemon, guest, parameter, statistics

from pyagent.api import ConfigError, Input, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input
from pyagent_plugins.inputs.libvirt import Libvirt
from pyagent_plugins.inputs.libvirt.address import Address

WEB, DB = guest("web"), guest("db", -1)
STATE = [parameter("state.state", 1, 1), parameter("state.reason", 5, 1)]
TWO = {
    daemon.ALL_DOMAINS: daemon.domains(WEB, DB),
    daemon.ALL_STATISTICS: statistics((WEB, STATE), (DB, [parameter("state.state", 5, 1)])),
}
MAPPED = {
    **TWO,
    daemon.NODE_INFO: daemon.node_info(1, 2, 5, 1),
    daemon.INFO: daemon.info(2),
    daemon.VCPUS: lambda asked: (
        (55, "domain is not running") if b"db" in asked else daemon.vcpus([3, -1], b"\x0f\x00\x01\x02")
    ),
    daemon.PINS: daemon.pins(b"\xff\x03\x00\x00", 2),
}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedDaemon]:
    """The daemons that the input comes to, one after the other."""
    daemons: list[ScriptedDaemon] = []
    monkeypatch.setattr(Address, "connect", lambda *_: daemons.pop(0))
    return daemons


def gathered(plugin: Input[Any]) -> list[str]:
    acc = InputAccumulator(plugin.measurements)
    try:
        plugin.gather(acc)
    finally:
        metrics = acc.drain()
        if metrics:
            assert_declared(plugin, metrics)
    return lines(metrics)


def read(answers: dict[int, Any], **options: Any) -> list[str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Address, "connect", lambda *_: ScriptedDaemon(answers))
        return gathered(make_input(Libvirt, options))


def one(*values: bytes) -> list[str]:
    return read({daemon.ALL_DOMAINS: daemon.domains(WEB), daemon.ALL_STATISTICS: statistics((WEB, values))})


GIVEN = {
    "cpu.time": 1, "cpu.user": 2, "cpu.system": 3, "cpu.haltpoll.success.time": 4, "cpu.haltpoll.fail.time": 5,
    "cpu.cache.monitor.count": 1, "cpu.cache.monitor.0.name": "vcpus_0-3", "cpu.cache.monitor.0.vcpus": "0-3",
    "cpu.cache.monitor.0.bank.count": 1, "cpu.cache.monitor.0.bank.1.id": 7, "cpu.cache.monitor.0.bank.1.bytes": 8,
    "balloon.current": 9, "balloon.last-update": 10, "balloon.hugetlb_pgalloc": 11, "balloon.unheard_of": 12,
    "net.count": 1, "net.0.name": "vnet0", "net.0.rx.bytes": 13, "net.0.tx.drop": 14,
    "block.count": 1, "block.0.name": "vda", "block.0.backingIndex": 2, "block.0.path": "/a b", "block.0.rd.reqs": 15,
    "block.0.fl.times": 16, "block.0.threshold": 17, "block.0.timed_group.0.rd": 18,
    "perf.cmt": 19, "perf.emulation_faults": 20,
    "iothread.count": 1, "iothread.3.poll-max-ns": 21, "iothread.3.poll-grow": 22,
    "memory.bandwidth.monitor.count": 1, "memory.bandwidth.monitor.0.name": "m", "memory.bandwidth.monitor.0.vcpus": "7",
    "memory.bandwidth.monitor.0.node.count": 1, "memory.bandwidth.monitor.0.node.1.id": 23,
    "memory.bandwidth.monitor.0.node.1.bytes.local": 24, "memory.bandwidth.monitor.0.node.1.bytes.total": 25,
    "dirtyrate.calc_mode": "dirty-ring", "dirtyrate.vcpu.1.megabytes_per_second": 26,
    "vcpu.current": 1, "vcpu.maximum": 2, "vcpu.0.time": 27, "vcpu.0.exits.sum": 28, "vcpu.x.time": 29, "nonsense": 30,
}  # fmt: skip


def test_every_kind_of_statistics() -> None:
    assert one(*(parameter(name, value) for name, value in GIVEN.items())) == [
        "libvirt_balloon,domain_name=web current=9u,hugetlb_pgalloc=11u,last_update=10u",
        'libvirt_block,block_id=0,domain_name=web backingIndex=2u,fl_times=16u,name="vda",path="/a b",rd_reqs=15u,threshold=17u',
        "libvirt_block_total,domain_name=web count=1u",
        "libvirt_cpu,domain_name=web haltpoll_fail_time=5u,haltpoll_success_time=4u,system=3u,time=1u,user=2u",
        'libvirt_cpu_cache_monitor,cache_monitor_id=0,domain_name=web bank_count=1u,name="vcpus_0-3",vcpus="0-3"',
        "libvirt_cpu_cache_monitor_bank,bank_index=1,cache_monitor_id=0,domain_name=web bytes=8u,id=7u",
        "libvirt_cpu_cache_monitor_total,domain_name=web count=1u",
        'libvirt_dirtyrate,domain_name=web calc_mode="dirty-ring"',
        "libvirt_dirtyrate_vcpu,domain_name=web,vcpu_id=1 megabytes_per_second=26u",
        "libvirt_iothread,domain_name=web,iothread_id=3 poll_grow=22u,poll_max_ns=21u",
        "libvirt_iothread_total,domain_name=web count=1u",
        'libvirt_memory_bandwidth_monitor,domain_name=web,memory_bandwidth_monitor_id=0 name="m",node_count=1u,vcpus="7"',
        "libvirt_memory_bandwidth_monitor_node,controller_index=1,domain_name=web,memory_bandwidth_monitor_id=0"
        " bytes_local=24u,bytes_total=25u,id=23u",
        "libvirt_memory_bandwidth_monitor_total,domain_name=web count=1u",
        'libvirt_net,domain_name=web,interface_id=0 name="vnet0",rx_bytes=13u,tx_drop=14u',
        "libvirt_net_total,domain_name=web count=1u",
        "libvirt_perf,domain_name=web cmt=19u,emulation_faults=20u",
        "libvirt_vcpu,domain_name=web,vcpu_id=0 time=27u",
        "libvirt_vcpu_total,domain_name=web current=1u,maximum=2u",
    ]


@pytest.mark.parametrize(("value", "number"), [(True, 1), (False, 0), ("yes", 1), ("no", 0)])
def test_whether_a_processor_is_halted_is_a_number(value: bool | str, number: int) -> None:
    assert one(parameter("vcpu.0.halted", value)) == [
        f"libvirt_vcpu,domain_name=web,vcpu_id=0 halted={number}i,halted_i={number}i"
    ]


def test_the_domains_that_are_wanted_are_asked_for(connect: list[ScriptedDaemon]) -> None:
    connect.append(asked := ScriptedDaemon({**TWO, daemon.ALL_STATISTICS: statistics((DB, STATE))}))
    groups = ["state", "dirtyrate"]
    assert gathered(make_input(Libvirt, {"domains": ["db", "absent"], "statistics_groups": groups})) == [
        "libvirt_state,domain_name=db reason=5i,state=1i"
    ]
    (arguments,) = asked.asked_for(daemon.ALL_STATISTICS)
    assert arguments == struct.pack(">I", 1) + DB.encoded() + struct.pack(">II", 1 + 512, 240)
    assert asked.asked_for(daemon.OPEN) == [struct.pack(">II", 1, 14) + b"qemu:///system\0\0" + struct.pack(">I", 1)]


def test_nothing_is_asked_of_domains_that_are_not_there(connect: list[ScriptedDaemon]) -> None:
    connect.append(asked := ScriptedDaemon(TWO))
    assert gathered(make_input(Libvirt, {"domains": ["absent"]})) == []
    assert not asked.asked_for(daemon.ALL_STATISTICS)


def test_where_processors_run(connect: list[ScriptedDaemon]) -> None:
    values = {daemon.ALL_STATISTICS: statistics((WEB, [parameter(f"vcpu.{n}.time", n) for n in range(2)]))}
    connect.append(asked := ScriptedDaemon({**MAPPED, **values}))
    assert gathered(make_input(Libvirt, {"additional_statistics": ["vcpu_mapping"]})) == [
        'libvirt_cpu_affinity,domain_name=db,vcpu_id=0 cpu_id="0,1,2,3,4,5,6,7,8,9"',
        'libvirt_cpu_affinity,domain_name=web,vcpu_id=0 cpu_id="0,1,2,3"',
        'libvirt_cpu_affinity,domain_name=web,vcpu_id=1 cpu_id="0,9"',
        "libvirt_vcpu,domain_name=web,vcpu_id=0 cpu_id=3i,time=0u",
        "libvirt_vcpu,domain_name=web,vcpu_id=1 time=1u",
    ]
    assert asked.asked_for(daemon.VCPUS) == [each.encoded() + struct.pack(">ii", 2, 2) for each in (WEB, DB)]


def test_no_statistics_but_the_mapping(connect: list[ScriptedDaemon]) -> None:
    connect.append(asked := ScriptedDaemon(MAPPED))
    options = {"statistics_groups": [], "additional_statistics": ["vcpu_mapping"]}
    assert len(gathered(make_input(Libvirt, options))) == 3
    assert not asked.asked_for(daemon.ALL_STATISTICS)


def test_many_guests_are_asked_at_once_and_each_answer_is_its_own() -> None:
    guests = [guest(f"g{n}") for n in range(20)]
    answers = {
        **MAPPED,
        daemon.ALL_DOMAINS: daemon.domains(*guests),
        daemon.VCPUS: lambda asked: daemon.vcpus(
            [0], (1 << int(asked[5:8].split(b"\0")[0]) % 10).to_bytes(2, "little")
        ),
    }
    got = read(answers, statistics_groups=[], additional_statistics=["vcpu_mapping"])
    assert got == sorted(f'libvirt_cpu_affinity,domain_name=g{n},vcpu_id=0 cpu_id="{n % 10}"' for n in range(20))


def test_a_guest_that_goes_meanwhile_is_left_out_and_one_that_fails_is_told() -> None:
    gone = {**MAPPED, daemon.INFO: lambda asked: (42, "Domain not found") if b"db" in asked else daemon.info(2)}
    assert len(read(gone, statistics_groups=[], additional_statistics=["vcpu_mapping"])) == 2
    failing = {**MAPPED, daemon.PINS: (1, "internal error: it fails")}
    with pytest.raises(PyagentError, match="cannot read the processors of the guest 'db': internal error: it fails"):
        read(failing, additional_statistics=["vcpu_mapping"])


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ({daemon.AUTH_LIST: daemon.numbers(1)}, r"it wants a login by SASL.*; use qemu\+ssh or qemu\+tls"),
        (
            {daemon.AUTH_LIST: daemon.numbers(2), daemon.POLKIT: (45, "authentication failed: no agent")},
            "authentication failed: no agent; add the agent's account to the group libvirt",
        ),
        ({daemon.OPEN: (5, "no connection driver available")}, "no connection driver available; is libvirt's driver"),
        ({daemon.OPEN: (38, "")}, "error 38 without a message"),
        ({daemon.ALL_DOMAINS: (88, "access denied")}, "access denied; allow the agent's account libvirt's actions"),
        ({daemon.ALL_STATISTICS: (3, "this function is not supported")}, "not supported; libvirt's driver for these"),
        ({daemon.AUTH_LIST: b""}, "a message of libvirt ends too early"),
        ({daemon.ALL_DOMAINS: struct.pack(">I", 0xFFFFFFFF)}, "a message of libvirt ends too early"),
        (
            {daemon.ALL_STATISTICS: statistics((WEB, [parameter("a", 1, 2).replace(b"\0\0\0\2", b"\0\0\0\x63")]))},
            "libvirt has a value of type 99, which is unknown",
        ),
    ],
)
def test_why_there_is_nothing(answers: dict[int, Any], cause: str) -> None:
    with pytest.raises(PyagentError, match=f"(cannot (connect to|read) libvirt at qemu:///system: )?{cause}"):
        read({**TWO, **answers})


def test_polkit_that_agrees() -> None:
    assert len(read({**TWO, daemon.AUTH_LIST: daemon.numbers(2), daemon.POLKIT: daemon.numbers()})) == 2


def test_a_host_with_too_many_processors() -> None:
    with pytest.raises(PyagentError, match="its host has 4294967296 processors, which cannot be"):
        read({**MAPPED, daemon.NODE_INFO: daemon.node_info(1, 65536, 65536, 1)}, additional_statistics=["vcpu_mapping"])
    with pytest.raises(PyagentError, match="has 2000000 bytes about the processors of a guest, which cannot be"):
        read({**MAPPED, daemon.VCPUS: daemon.vcpus([], bytes(2_000_000))}, additional_statistics=["vcpu_mapping"])


def test_a_connection_is_kept_and_made_anew_where_the_daemon_was(connect: list[ScriptedDaemon]) -> None:
    connect += [first := ScriptedDaemon(TWO), second := ScriptedDaemon(TWO)]
    plugin = make_input(Libvirt)
    assert len(gathered(plugin)) == 2
    assert len(gathered(plugin)) == 2
    assert len(connect) == 1
    first.changed = lambda _: b""  # type: ignore[method-assign]  # it has ended
    assert len(gathered(plugin)) == 2
    assert first.closed
    second.answers[daemon.ALL_STATISTICS] = b""
    with pytest.raises(
        PyagentError, match="cannot read libvirt at qemu:///system: a message of libvirt ends too early"
    ):
        gathered(plugin)
    assert second.closed
    asyncio.run(plugin.stop())


def _recorded() -> bytes:
    """All that the daemon says in one gather."""
    said = bytearray()

    class Recorded(ScriptedDaemon):
        def changed(self, message: bytes) -> bytes:
            said.extend(message)
            return message

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Address, "connect", lambda *_: Recorded(MAPPED))
        gathered(make_input(Libvirt, {"additional_statistics": ["vcpu_mapping"]}))
    return bytes(said)


SAID = _recorded()
WHOLE = set(read(MAPPED, additional_statistics=["vcpu_mapping"]))


class Player(ScriptedDaemon):
    """Says the same whatever it is asked."""

    def __init__(self, said: bytes) -> None:
        super().__init__({})
        self._out = said

    def changed(self, message: bytes) -> bytes:
        return b""


def played(said: bytes) -> tuple[set[str], str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Address, "connect", lambda *_: Player(said))
        plugin = make_input(Libvirt, {"additional_statistics": ["vcpu_mapping"]})
        acc, problem = InputAccumulator(plugin.measurements), ""
        try:
            plugin.gather(acc)
        except PyagentError as error:
            problem = str(error)
        return set(lines(acc.drain())), problem


def test_all_of_it_is_as_asked() -> None:
    assert played(SAID) == (WHOLE, "")


@given(cut=st.integers(0, len(SAID) - 1))
def test_an_answer_that_is_cut(cut: int) -> None:
    got, problem = played(SAID[:cut])
    assert got <= WHOLE
    assert re.search("libvirt closed the connection$", problem)


@given(place=st.integers(0, len(SAID) - 1), instead=st.binary(min_size=1, max_size=8))
def test_damaged_answers_give_metrics_or_one_error(place: int, instead: bytes) -> None:
    got, problem = played(SAID[:place] + instead + SAID[place + len(instead) :])
    assert {one.partition(",")[0] for one in got} <= {"libvirt_state", "libvirt_cpu_affinity"}
    assert "\n" not in problem


@given(data=st.binary(max_size=200))
def test_any_bytes_are_bearable(data: bytes) -> None:
    assert played(data)[1]
    header = struct.pack(">IIIiIII", 28 + len(data), 0x20008086, 1, daemon.AUTH_LIST, 1, 0, 0)
    played(header + data)


@pytest.mark.parametrize("size", [0, 27, (32 << 20) + 5, 0xFFFFFFFF])
def test_a_message_of_a_size_that_none_has(size: int) -> None:
    _, problem = played(struct.pack(">IIIiIII", size, 0x20008086, 1, daemon.AUTH_LIST, 1, 0, 0) + bytes(100))
    assert f"a message of libvirt has {size} bytes" in problem


def test_another_program() -> None:
    assert "what answers does not speak libvirt's protocol" in played(b"HTTP/1.1 400 Bad Request\r\n\r\nabc")[1]


@pytest.mark.parametrize(
    ("text", "transport", "user", "host", "port", "name"),
    [
        ("qemu:///system", "unix", "", "", 0, "qemu:///system"),
        ("qemu+unix:///session?socket=/run/a%20b", "unix", "", "", 0, "qemu:///session"),
        ("test:///default", "unix", "", "", 0, "test:///default"),
        ("qemu+ssh://mon@host.example:2222/system?keyfile=/k", "ssh", "mon", "host.example", 2222, "qemu:///system"),
        ("qemu+tcp://[::1]:16509/system", "tcp", "", "::1", 16509, "qemu:///system"),
        ("xen://host/", "tls", "", "host", 0, "xen:///"),
        ("qemu+tls://host/system?name=qemu:///embed&no_verify=1", "tls", "", "host", 0, "qemu:///embed"),
        ("remote+tcp://host/", "tcp", "", "host", 0, ""),
    ],
)
def test_addresses(text: str, transport: str, user: str, host: str, port: int, name: str) -> None:
    found = Address.of(text)
    assert (found.transport, found.user, found.host, found.port, found.name) == (transport, user, host, port, name)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("this/is/wrong/uri", "it is not like qemu:///system"),
        ("qemu:system", "it is not like qemu:///system"),
        ("qemu+smoke:///system", "there is no transport 'smoke'"),
        ("qemu+ssh:///system", "it names no host for ssh"),
        ("qemu+ssh://-oProxyCommand=x/system", "its user or host has characters"),
        ("qemu+ssh://-x@host/system", "its user or host has characters"),
        ("qemu+tcp://host:99999/system", "it is no URI with a port"),
        ("qemu:///system?socket", "it has the parameter 'socket'"),
        ("qemu:///system?sokcet=/a", "it has the parameter 'sokcet'"),
        ("qemu+tls://host/system?no_verify=yes", "no_verify is no number"),
    ],
)
def test_addresses_that_are_none(text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause) as caught:
        make_input(Libvirt, {"libvirt_uri": text})
    assert caught.value.option == "libvirt_uri"


def test_a_password_is_not_told() -> None:
    with pytest.raises(ConfigError, match="libvirt takes no password") as caught:
        make_input(Libvirt, {"libvirt_uri": "qemu+tcp://mon:hunter2@host/system"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"statistics_groups": ["state", "state"]}, "has 'state' twice"),
        ({"statistics_groups": ["statusQvo"]}, "has 'statusQvo'; there is state, cpu_total"),
        ({"additional_statistics": ["all"]}, "has 'all'; there is vcpu_mapping"),
        ({"statistics_groups": []}, "nothing is wanted"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        make_input(Libvirt, options)


def test_sockets_that_only_allow_to_look_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_RUN", "/hostfs/run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    names = ("virtqemud-sock-ro", "libvirt-sock-ro", "virtqemud-sock", "libvirt-sock")
    assert Address.of("qemu:///system").sockets() == [f"/hostfs/run/libvirt/{name}" for name in names]
    assert Address.of("xen:///session").sockets() == [f"/run/user/7/libvirt/{n}-sock" for n in ("virtxend", "libvirt")]
    assert Address.of("qemu:///system?socket=/a").sockets() == ["/a"]


def test_no_daemon_on_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_RUN", str(tmp_path))
    with pytest.raises(PyagentError, match=r"there is none of .*/virtqemud-sock-ro, .*; start libvirtd \(apt install"):
        make_input(Libvirt).gather(InputAccumulator(()))
