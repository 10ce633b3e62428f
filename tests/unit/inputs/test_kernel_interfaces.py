"""Inputs that ask the kernel itself, or read a database: timex, ipvs and ras."""

import errno
import os
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import PyagentError
from pyagent.testing import assert_declared, run_input
from pyagent_plugins.inputs import ipvs as ipvs_module
from pyagent_plugins.inputs import timex as timex_module
from pyagent_plugins.inputs.ipvs import Ipvs
from pyagent_plugins.inputs.ras import Ras
from pyagent_plugins.inputs.timex import Timex

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


def test_the_clock_of_this_host_is_declared() -> None:
    metrics = run_input(Timex)
    assert_declared(Timex, metrics)
    [metric] = metrics
    assert 9_000_000 <= int(metric.fields["tick_ns"]) <= 11_000_000  # what adjtimex allows at 100 Hz
    assert metric.fields["synchronized"] is (metric.tags["status"] != "error")


@pytest.mark.parametrize(("status", "unit"), [(0x2000, 1), (0x0001, 1000)])
def test_offsets_are_in_nanoseconds(status: int, unit: int) -> None:
    found = timex_module._Timex(offset=-7, jitter=3, freq=-98304, maxerror=5, esterror=6, tick=10000, status=status)
    values = timex_module._values(found, 0)
    assert (values["offset_ns"], values["pps_jitter_ns"]) == (-7 * unit, 3 * unit)
    assert (values["maxerror_ns"], values["estimated_error_ns"], values["tick_ns"]) == (5000, 6000, 10_000_000)
    assert values["frequency_offset_ppm"] == -1.5
    assert (timex_module._state(4), timex_module._state(5), timex_module._state(9)) == ("wait", "error", "unknown-9")


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _statistics(factor: int, size: str) -> bytes:
    return b"".join(_attribute(kind, struct.pack(f"={size}", kind * factor)) for kind in range(1, 11))


def _service(mark: int = 0, family: int = 2, wide: bool = True) -> bytes:
    address = bytes([192, 0, 2, 1]) if family == 2 else bytes.fromhex("20010db8000000000000000000000001")
    parts = [
        _attribute(1, struct.pack("=H", family)),
        _attribute(2, struct.pack("=H", 6)),
        _attribute(3, address.ljust(16, b"\0")),
        _attribute(4, struct.pack(">H", 80)),
        *([_attribute(5, struct.pack("=I", mark))] if mark else []),
        _attribute(6, b"wlc\0"),
        _attribute(9, struct.pack("=I", 0xFFFFFFFF if family == 2 else 128)),
        _attribute(0x8000 | 10, _statistics(1, "I")),
        *([_attribute(0x8000 | 12, _statistics(1 << 33, "Q"))] if wide else []),
    ]
    return _attribute(0x8000 | 1, b"".join(parts))


_REAL = _attribute(
    0x8000 | 2,
    b"".join(
        [
            _attribute(1, bytes([198, 51, 100, 7]).ljust(16, b"\0")),
            _attribute(2, struct.pack(">H", 8080)),
            _attribute(7, struct.pack("=I", 4)),
            _attribute(8, struct.pack("=I", 5)),
            _attribute(10, _statistics(2, "I")),
            _attribute(11, struct.pack("=H", 2)),
        ]
    ),
)


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


class _Kernel:
    """Answers in the place of a netlink socket. `failure`: the error number of the list of services."""

    def __init__(self, services: list[bytes], failure: int = 0, damage: int = 0) -> None:
        self._services, self._failure, self._damage = services, failure, damage
        self._answers: list[bytes] = []

    def __call__(self, *_: Any) -> "_Kernel":
        return self

    def __enter__(self) -> "_Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        pass

    def bind(self, address: Any) -> None:
        pass

    def send(self, data: bytes) -> None:
        kind, command = struct.unpack_from("=H", data, 4)[0], data[16]
        if kind == 16:
            bodies = [_attribute(2, b"IPVS\0") + _attribute(1, struct.pack("=H", 33))]
        elif self._failure:
            self._answers = [_message(2, struct.pack("=i", -self._failure))]
            return
        else:
            bodies = self._services if command == 4 else [_REAL]
        answer = b"".join(_message(kind, struct.pack("=BBH", 1, 1, 0) + body) for body in bodies)
        if kind != 16 and self._damage:
            answer = answer[: self._damage]
        self._answers = [answer] if kind == 16 else [answer, _message(3, bytes(4))]

    def recv(self, most: int) -> bytes:
        return self._answers.pop(0)


def _ipvs(monkeypatch: pytest.MonkeyPatch, *services: bytes, **options: int) -> list[Any]:
    monkeypatch.setattr(ipvs_module, "_netlink", _Kernel(list(services), **options))
    metrics = run_input(Ipvs)
    assert_declared(Ipvs, metrics)
    return metrics


def test_servers_of_ipvs(monkeypatch: pytest.MonkeyPatch) -> None:
    virtual, real = _ipvs(monkeypatch, _service())
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


def test_a_virtual_server_by_its_mark_and_one_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    marked, behind, sixth, _ = _ipvs(monkeypatch, _service(mark=9, wide=False), _service(family=10))
    assert marked.tags == {"sched": "wlc", "netmask": "32", "address_family": "inet", "fwmark": "9"}
    assert marked.fields["bytes_in"] == 4
    assert behind.tags["virtual_fwmark"] == "9"
    assert (sixth.tags["address"], sixth.tags["netmask"]) == ("2001:db8::1", "128")


def test_what_ipvs_refuses_and_damaged_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PyagentError, match=r"cannot read IPVS: Operation not permitted; give the agent CAP_NET_ADMIN"):
        _ipvs(monkeypatch, failure=errno.EPERM)
    with pytest.raises(PyagentError, match=r"cannot read IPVS: No such file or directory; load the module ip_vs"):
        _ipvs(monkeypatch, failure=errno.ENOENT)
    for size in range(1, len(_service()) + 20):
        with pytest.raises(PyagentError, match=r"cannot read IPVS: the kernel's answer cannot be understood"):
            _ipvs(monkeypatch, _service(), damage=size)


def _database(path: Path, *rows: tuple[Any, ...]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS mce_record"
            " (id INTEGER PRIMARY KEY, timestamp TEXT, error_msg TEXT, mcistatus_msg TEXT, socketid INTEGER)"
        )
        values = "INSERT INTO mce_record (timestamp, error_msg, mcistatus_msg, socketid) VALUES (?, ?, ?, ?)"
        database.executemany(values, rows)


_TIME = "2026-05-20 07:34:53 +0200"


def test_errors_that_rasdaemon_recorded(tmp_path: Path) -> None:
    path = tmp_path / "ras #1.db"
    _database(
        path,
        (_TIME, "MEMORY CONTROLLER RD_CHANNEL0_ERR Memory read error", "Corrected_error", 0),
        (_TIME, "MEMORY CONTROLLER Memory write error", "Uncorrected_error", 1),
        (_TIME, "Instruction CACHE Level-0 Instruction-Fetch Error", "Corrected_error", 1),
        (_TIME, "Generic CACHE Level-2 Generic Error", "Corrected_error", 1),
        (_TIME, "Internal unclassified error: 1", "Corrected_error", 1),
        (_TIME, "UPI: COR LL Rx detected CRC error", "Corrected_error", 1),
        (_TIME, "No Error, Internal parity error", "", 5),
    )
    metrics = run_input(Ras, {"db_path": str(path)})
    assert_declared(Ras, metrics)
    counts = {metric.tags.get("socket_id", ""): {k: v for k, v in metric.fields.items() if v} for metric in metrics}
    assert counts == {
        "0": {"memory_read_corrected_errors": 1},
        "1": {
            "memory_write_uncorrectable_errors": 1,
            "cache_l0_l1_errors": 1,
            "unclassified_mce_errors": 1,
            "processor_base_errors": 1,
        },
        "": {"cache_l2_errors": 1, "upi_errors": 1},
    }


@pytest.mark.parametrize(
    "row",
    [
        (_TIME, None, "", 0),
        ("yesterday", "x", "", 0),
        (_TIME, "x", "", "one"),
        (_TIME, "x", "", None),
        (None, "x", "", 0),
    ],
)
def test_a_damaged_record_is_named(row: tuple[Any, ...], tmp_path: Path) -> None:
    _database(tmp_path / "ras.db", row)
    with pytest.raises(PyagentError, match=rf"cannot read the database {tmp_path}/ras.db: record 1: "):
        run_input(Ras, {"db_path": str(tmp_path / "ras.db")})


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ras.db"
    _database(path, *[(_TIME, "Memory read error", "Corrected_error", 0)] * 200)
    whole = path.read_bytes()
    for size in (0, 10, 100, 4096, 5000, len(whole) - 4096):
        path.write_bytes(whole[:size])
        with pytest.raises(PyagentError, match=f"cannot read the database {path}: "):
            run_input(Ras, {"db_path": str(path)})
    path.write_bytes(os.urandom(8192))
    with pytest.raises(PyagentError, match=f"cannot read the database {path}: "):
        run_input(Ras, {"db_path": str(path)})
