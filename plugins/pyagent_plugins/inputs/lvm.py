"""Volumes of the Logical Volume Manager.

Runs `pvs`, `vgs` and `lvs`. Names and types are those of Telegraf 1.40.
"""

import struct
from typing import Annotated

import msgspec

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, Uint, fields, option
from pyagent.kit.command import Commands
from pyagent.kit.numbers import parse_finite, parse_unsigned

__all__ = ["Lvm", "LvmOptions"]


class LvmOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run the programs by sudo")] = False
    pvs_binary: Annotated[str, option("the program pvs", executes=True)] = "/usr/sbin/pvs"
    vgs_binary: Annotated[str, option("the program vgs", executes=True)] = "/usr/sbin/vgs"
    lvs_binary: Annotated[str, option("the program lvs", executes=True)] = "/usr/sbin/lvs"


class _Volumes(msgspec.Struct, frozen=True):
    pv: list[dict[str, str]] = []
    vg: list[dict[str, str]] = []
    lv: list[dict[str, str]] = []


class _Report(msgspec.Struct, frozen=True):
    report: list[_Volumes] = []


_TIMEOUT = 5.0
_FORMAT = ["--reportformat", "json", "--units", "b", "--nosuffix", "-o"]


class Lvm(Input[LvmOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "lvm_physical_vol",
            "Each physical volume.",
            tags={"path": "its device", "vol_group": "the group that it belongs to"},
            fields=fields("uint", "bytes", size="its size", free="not in use", used="in use")
            | fields("float", "percent", used_percent="in use"),
        ),
        Measurement(
            "lvm_vol_group",
            "Each group of volumes.",
            tags={"name": "its name"},
            fields=fields("uint", "bytes", size="its size", free="not in use")
            | fields("float", "percent", used_percent="in use")
            | fields(
                "uint",
                "1",
                physical_volume_count="physical volumes",
                logical_volume_count="logical volumes",
                snapshot_count="snapshots",
            ),
        ),
        Measurement(
            "lvm_logical_vol",
            "Each logical volume.",
            tags={"name": "its name", "vol_group": "the group that it belongs to"},
            fields=fields("uint", "bytes", size="its size")
            | fields(
                "float",
                "percent",
                data_percent="data in use, of pools, snapshots and caches",
                metadata_percent="metadata in use, of pools and caches",
                sync_percent="in sync, of mirrors; 100 for others",
            ),
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(
            timeout=_TIMEOUT,
            timeout_option="",
            use_sudo=self.options.use_sudo,
            sudo_options=("-n",),
            missing="apt install lvm2, or set `pvs_binary`, `vgs_binary` and `lvs_binary`",
            refused="lvm needs root: set `use_sudo` and allow it in /etc/sudoers.d",
        )

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        for pv in self._report(options.pvs_binary, "pv_name,vg_name,pv_size,pv_free,pv_used").pv:
            size, free, used = (_bytes(options.pvs_binary, pv, name) for name in ("pv_size", "pv_free", "pv_used"))
            found = {"size": size, "free": free, "used": used} | _percent(used, size)
            acc.add("lvm_physical_vol", found, _tags(path=pv.get("pv_name"), vol_group=pv.get("vg_name")))
        names = "vg_name,pv_count,lv_count,snap_count,vg_size,vg_free"
        for vg in self._report(options.vgs_binary, names).vg:
            size, free = (_bytes(options.vgs_binary, vg, name) for name in ("vg_size", "vg_free"))
            counts = {
                field: _bytes(options.vgs_binary, vg, name)
                for field, name in (
                    ("physical_volume_count", "pv_count"),
                    ("logical_volume_count", "lv_count"),
                    ("snapshot_count", "snap_count"),
                )
            }
            found = {"size": size, "free": free} | _percent(size - free, size)
            acc.add("lvm_vol_group", found | counts, _tags(name=vg.get("vg_name")))
        names = "lv_name,vg_name,lv_size,data_percent,metadata_percent,sync_percent"
        for lv in self._report(options.lvs_binary, names).lv:
            found = {"size": _bytes(options.lvs_binary, lv, "lv_size")} | {
                name: _float32(options.lvs_binary, lv, name, default)
                for name, default in (("data_percent", "0.0"), ("metadata_percent", "0.0"), ("sync_percent", "100.0"))
            }
            acc.add("lvm_logical_vol", found, _tags(name=lv.get("lv_name"), vol_group=lv.get("vg_name")))

    async def stop(self) -> None:
        self._commands.stop()

    def _report(self, program: str, names: str) -> _Volumes:
        output = self._commands.run([program, *_FORMAT, names]).stdout
        try:
            report = msgspec.json.decode(output, type=_Report).report
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise PyagentError(f"cannot read the output of {program}: {error}: {output[:80]!r}") from None
        return report[0] if report else _Volumes()


def _tags(**names: str | None) -> dict[str, str]:
    return {tag: name for tag, name in names.items() if name}


def _bytes(program: str, volume: dict[str, str], name: str) -> Uint:
    value = parse_unsigned(text := volume.get(name, ""))
    if value is None:
        raise PyagentError(f"cannot read the output of {program}: {name} is no number of 64 bits: {text[:80]!r}")
    return Uint(value)


def _percent(used: int, size: int) -> dict[str, float]:
    """Of a volume of no size there is none."""
    return {"used_percent": float(used) / float(size) * 100} if size else {}


def _float32(program: str, volume: dict[str, str], name: str, default: str) -> float:
    """As Telegraf reads it, with the precision of 32 bits."""
    text = volume.get(name) or default
    value = parse_finite(text)
    try:
        if value is None:
            raise ValueError
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except (ValueError, OverflowError):
        raise PyagentError(f"cannot read the output of {program}: {name} is no number: {text[:80]!r}") from None
