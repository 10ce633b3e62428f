"""The input systemd_units over a bus that answers as it is told: states, properties, what is missing, and damage."""

import os
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Variant
from hypothesis import given
from hypothesis import strategies as st
from scripted_bus import FAILED, UNITS, ScriptedBus, properties, unit

from pyagent.api import ConfigError, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input
from pyagent_plugins.inputs.systemd_units import SystemdUnits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd: Linux only")

CASE = Path(__file__).resolve().parents[2] / "plugins" / "inputs" / "systemd_units" / "sample"
LISTED = {"ListUnitsByPatterns": (UNITS, [unit("a.service"), unit("a.timer", sub="waiting"), unit("t@1.service")])}
DETAILS = {
    "UnitFileState": "enabled",
    "UnitFilePreset": "disabled",
    "ActiveEnterTimestamp": 1767607200000001,
    "StatusErrno": -2,
    "NRestarts": 3,
    "MainPID": 77,
    "MemoryCurrent": 4096,
    "MemoryPeak": (1 << 64) - 1,
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's systemctl nor its bus."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


def gathered(plugin: SystemdUnits) -> list[str]:
    acc = InputAccumulator(plugin.measurements)
    plugin.gather(acc)
    metrics = acc.drain()
    assert_declared(plugin, metrics)
    return lines(metrics)


def asked(bus: ScriptedBus, **options: Any) -> list[str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        return gathered(make_input(SystemdUnits, options))


def test_states(tmp_path: Path) -> None:
    with ScriptedBus(tmp_path / "bus", LISTED) as bus:
        assert asked(bus, pattern="a* b*") == [
            "systemd_units,active=active,load=loaded,name=a.service,sub=running active_code=0i,load_code=0i,sub_code=0i"
        ]
        assert asked(bus, unittype="timer") == [
            "systemd_units,active=active,load=loaded,name=a.timer,sub=waiting active_code=0i,load_code=0i,sub_code=16i"
        ]
        assert len(asked(bus, pattern="{a,t}*")) == 2
    patterns = [body[1] for member, body in bus.asked if member != "Hello"]
    assert patterns == [["a*", "b*"], ["*"], []]  # systemd knows no braces


def test_details_and_what_this_version_does_not_have_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedBus(tmp_path / "bus", {**LISTED, "Get": properties(DETAILS)}) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        plugin = make_input(SystemdUnits, {"details": True, "pattern": "a*"})
        [line] = gathered(plugin)
        assert gathered(plugin) == [line]
    assert line == (
        "systemd_units,active=active,load=loaded,name=a.service,preset=disabled,state=enabled,sub=running "
        "active_code=0i,active_enter_timestamp_us=1767607200000001u,load_code=0i,mem_avail=0u,mem_current=4096u,"
        "mem_peak=0u,pid=77u,restarts=3u,status_errno=-2i,sub_code=0i,swap_current=0u,swap_peak=0u"
    )
    names = [body[1] for member, body in bus.asked if member == "Get"]
    assert (names.count("MemoryPeak"), names.count("MemorySwapPeak")) == (2, 1)


def test_units_that_are_not_loaded(tmp_path: Path) -> None:
    files = ["t@.service", "a.service", "b2.service", "bare@.service", "2-x.service"]
    states = ["static", "disabled", "disabled", "disabled", "static"]
    paths = []

    def get(arguments: list[Any]) -> Any:
        paths.append(arguments)
        return properties(DETAILS)(arguments)  # type: ignore[operator]  # it is none of the answers

    answers = {
        **LISTED,
        "ListUnitFilesByPatterns": (
            "a(ss)",
            [[f"/usr/lib/systemd/system/{f}", s] for f, s in zip(files, states, strict=True)],
        ),
        "ListUnitsByNames": (UNITS, [unit("b2.service", active="inactive", sub="dead")]),
        "Get": get,
    }
    with ScriptedBus(tmp_path / "bus", answers) as bus:
        found = asked(bus, collect_disabled_units=True, details=True)
    by_name = {line.split(",name=")[1].split(",")[0]: line for line in found}
    assert set(by_name) == {"a.service", "t@1.service", "2-x.service", "bare@.service", "b2.service"}
    assert ("ListUnitsByNames", [["b2.service"]]) in bus.asked
    assert "load=stub" in by_name["2-x.service"]
    assert "restarts=3u" in by_name["2-x.service"]
    assert "restarts=0u,status_errno=-1i" in by_name["bare@.service"]
    assert "pid=" not in by_name["bare@.service"]


def test_a_unit_that_has_gone_meanwhile(tmp_path: Path) -> None:
    with ScriptedBus(tmp_path / "bus", {**LISTED, "Get": ("error", f"{FAILED}UnknownObject")}) as bus:
        [line] = asked(bus, details=True, pattern="a*")
    assert "restarts=0u,status_errno=-1i" in line


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            ("error", f"{FAILED}AccessDenied"),
            "ListUnitsByPatterns: it says why; let the agent's account ask in /etc/dbus-1/",
        ),
        (("error", f"{FAILED}ServiceUnknown"), "ListUnitsByPatterns: it says why; is this host run by systemd"),
        (("as", ["a"]), "the answer is of the type 'as', and not 'a[(]ssssssouso[)]'"),
        (b"", "the bus ended the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot ask systemd by unix:path="),
    ],
)
def test_what_systemd_refuses(tmp_path: Path, answer: Any, said: str) -> None:
    with ScriptedBus(tmp_path / "bus", {"ListUnitsByPatterns": answer}) as bus, pytest.raises(PyagentError, match=said):
        asked(bus)


def test_no_answer(tmp_path: Path) -> None:
    waiting = ScriptedBus(tmp_path / "bus", {"ListUnitsByPatterns": None})
    with waiting as bus, pytest.raises(PyagentError, match="no answer within 20ms; see `timeout`"):
        asked(bus, timeout="20ms")


def test_a_property_that_is_refused_names_its_unit(tmp_path: Path) -> None:
    refusing = ScriptedBus(tmp_path / "bus", {**LISTED, "Get": ("error", f"{FAILED}AccessDenied")})
    with refusing as bus, pytest.raises(PyagentError, match=r"UnitFileState of a.service: it says why; let"):
        asked(bus, details=True)


def test_a_property_of_another_type_is_left_out(tmp_path: Path) -> None:
    with ScriptedBus(tmp_path / "bus", {**LISTED, "Get": ("v", Variant("as", ["x"]))}) as bus:
        [line] = asked(bus, details=True, pattern="a*")
    assert line.endswith("active_code=0i,load_code=0i,mem_avail=0u,mem_current=0u,mem_peak=0u,restarts=0u,"
                         "status_errno=-1i,sub_code=0i,swap_current=0u,swap_peak=0u")  # fmt: skip


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"REJECTED EXTERNAL\r\n", "the bus refuses the agent's account: .*REJECTED"),
        (b"220 mail.example ESMTP\r\n", "the bus refuses the agent's account: .*unknown response"),
        (b"", "no answer within 20ms"),
    ],
)
def test_what_the_bus_refuses(tmp_path: Path, greeting: bytes, said: str) -> None:
    with ScriptedBus(tmp_path / "bus", {}, greeting=greeting) as bus, pytest.raises(PyagentError, match=said):
        asked(bus, timeout="20ms" if not greeting else "5s")


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "carrier:pigeon=1")
    with pytest.raises(PyagentError, match="carrier; see DBUS_SYSTEM_BUS_ADDRESS in the environment"):
        gathered(make_input(SystemdUnits, {}))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    user = make_input(SystemdUnits, {"scope": "user"})._bus
    assert user is not None
    assert user.address == f"unix:path=/run/user/{os.getuid()}/bus"


def test_neither_a_bus_nor_systemctl() -> None:
    with pytest.raises(
        PyagentError, match=r"there is no bus at unix:path=.*/none, and no systemctl; apt install systemd"
    ):
        gathered(make_input(SystemdUnits, {}))


def test_systemctl_is_run_where_there_is_no_bus_or_no_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(CASE / "bin" / "systemctl"))
    caplog.set_level("INFO")
    by_program = gathered(make_input(SystemdUnits, {"pattern": "a*"}))
    assert len(by_program) == 1
    assert not caplog.messages
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    assert gathered(make_input(SystemdUnits, {"pattern": "a*"})) == by_program
    assert "the Python library 'dbus_fast' is missing; " in caplog.text
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        ConfigError, match=r"cannot ask systemd: the Python library 'dbus_fast' is missing;.* dbus-fast"
    ):
        make_input(SystemdUnits, {})


@given(st.binary(max_size=80) | st.builds(lambda rest: b"l\x02\x00\x01" + rest, st.binary(min_size=12, max_size=80)))
def test_any_bytes_are_an_error(tmp_path_factory: pytest.TempPathFactory, damage: bytes) -> None:
    path = tmp_path_factory.mktemp("bus") / "bus"
    damaged = ScriptedBus(path, {"ListUnitsByPatterns": damage})
    with damaged as bus, pytest.raises(PyagentError, match="cannot ask systemd by unix:path="):
        asked(bus, timeout="2s")
