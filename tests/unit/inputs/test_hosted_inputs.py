"""Inputs whose files lie below a folder that a configuration from a URL names: the guard of the folder is that of the files."""

from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Input, PyagentError
from pyagent.api.hosted import Guard, HostedPath
from pyagent.config.catalog import Catalog
from pyagent.testing import gather, make_input

_PERCPU = "devices/system/cpu/cpu0/cpufreq"
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("bcache", {"bcachePath": "X"}, ["devices/sda/bcache/dirty_data", "devices/sda/bcache/stats_total/cache_hits"]),
    ("bond", {"host_proc": "X"}, ["net/bonding/bond0"]),
    ("cgroup", {"paths": ["X/*"], "files": ["memory.max"]}, ["a/memory.max"]),
    ("conntrack", {"dirs": ["X"], "files": ["ip_count"]}, ["ip_count"]),
    (
        "linux_cpu",
        {"host_sys": "X"},
        [f"{_PERCPU}/{kind}_{name}_freq" for kind in ("scaling", "cpuinfo") for name in ("cur", "min", "max")],
    ),
    ("lustre2", {"ost_procfiles": ["X/*/stats"]}, ["a/stats"]),
    ("mdstat", {"file_name": "X/mdstat"}, ["mdstat"]),
    ("multifile", {"base_dir": "X", "file": [{"file": "a"}]}, ["a"]),
    ("ras", {"db_path": "X/ras.db"}, ["ras.db"]),
    ("wireless", {"host_proc": "X"}, ["net/wireless"]),
    ("x509_cert", {"sources": ["file://X/*.pem"]}, ["a.pem"]),
    ("x509_cert", {"sources": ["jks://X/a"]}, ["a"]),
    ("zfs", {"kstatPath": "X"}, ["arcstats"]),
    ("zfs", {"kstatPath": "X", "poolMetrics": True}, ["tank/objset-0x1"]),
]


def hosted(value: Any, folder: str, guard: Guard) -> Any:
    if isinstance(value, list):
        return [hosted(item, folder, guard) for item in value]
    return HostedPath(value.replace("X", folder), guard) if isinstance(value, str) and "X" in value else value


def made(name: str, options: dict[str, Any]) -> Input[Any]:
    entry = next(entry for entry in Catalog().entries("inputs") if entry.name == name)
    return make_input(Catalog().load(entry), options)  # type: ignore[arg-type]  # it is an input


@pytest.mark.parametrize(("name", "options", "files"), CASES, ids=[f"{name}-{files[-1]}" for name, _, files in CASES])
async def test_a_link_below_a_folder_leads_to_no_secret(
    tmp_path: Path, name: str, options: dict[str, Any], files: list[str]
) -> None:
    secret = tmp_path / "state" / "0.toml"
    secret.parent.mkdir()
    secret.write_text("token = s3cret\n")
    for file in files:
        path = tmp_path / "host" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(secret)
    if name == "bcache":
        (tmp_path / "host/a").mkdir()
        (tmp_path / "host/a/bdev0").symlink_to("../devices/sda/bcache")
        (tmp_path / "host/devices/sda/bcache/dev").symlink_to("../../bcache0")
    guard = Guard({"STATE_DIRECTORY": str(secret.parent)}, str(tmp_path))
    given = {key: hosted(value, str(tmp_path / "host"), guard) for key, value in options.items()}
    with pytest.raises(PyagentError, match="leads to secrets of this host") as failure:
        await gather(made(name, given))
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "options"), [("bond", {"bond_interfaces": ["../../x"]}), ("conntrack", {"files": ["ip_/../../x"]})]
)
def test_names_lead_into_no_other_folder(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give the name of a"):
        made(name, options)
