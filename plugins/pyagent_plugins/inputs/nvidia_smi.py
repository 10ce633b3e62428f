"""State of NVIDIA's graphics processors.

Runs `nvidia-smi -q -x`. Names and types are those of Telegraf 1.40.
"""

import os
import re
from datetime import datetime
from typing import Annotated
from xml.parsers import expat

from pyagent.api import About, Accumulator, Duration, Field, Input, Measurement, Options, PyagentError, fields, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.once import Once

__all__ = ["NvidiaSmi", "NvidiaSmiOptions"]


class NvidiaSmiOptions(Options, frozen=True):
    bin_path: Annotated[str, option("the program; where it is not there, that of PATH", executes=True)] = (
        "/usr/bin/nvidia-smi"
    )
    timeout: Annotated[Duration, option("how long it may take")] = Duration("5s")


_REASONS = (
    "sw_power_cap",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "hw_slowdown",
    "sync_boost",
    "gpu_idle",
    "applications_clocks_setting",
    "display_clocks_setting",
)
_TAGS = {"pstate": "performance_state", "name": "product_name", "uuid": "uuid", "compute_mode": "compute_mode"}
_OF_V11 = {
    "serial": ("str", "", "serial"),
    "vbios_version": ("str", "", "vbios_version"),
    "display_active": ("str", "", "display_active"),
    "display_mode": ("str", "", "display_mode"),
    "current_ecc": ("str", "", "ecc_mode/current_ecc"),
    "fan_speed": ("int", "percent", "fan_speed"),
    "memory_total": ("int", "MiB", "fb_memory_usage/total"),
    "memory_used": ("int", "MiB", "fb_memory_usage/used"),
    "memory_free": ("int", "MiB", "fb_memory_usage/free"),
    "memory_reserved": ("int", "MiB", "fb_memory_usage/reserved"),
    "retired_pages_multiple_single_bit": ("int", "1", "retired_pages/multiple_single_bit_retirement/retired_count"),
    "retired_pages_double_bit": ("int", "1", "retired_pages/double_bit_retirement/retired_count"),
    "retired_pages_blacklist": ("str", "", "retired_pages/pending_blacklist"),
    "retired_pages_pending": ("str", "", "retired_pages/pending_retirement"),
    "remapped_rows_correctable": ("int", "1", "remapped_rows/remapped_row_corr"),
    "remapped_rows_uncorrectable": ("int", "1", "remapped_rows/remapped_row_unc"),
    "remapped_rows_pending": ("str", "", "remapped_rows/remapped_row_pending"),
    "remapped_rows_failure": ("str", "", "remapped_rows/remapped_row_failure"),
    "temperature_gpu": ("int", "C", "temperature/gpu_temp"),
    "utilization_gpu": ("int", "percent", "utilization/gpu_util"),
    "utilization_memory": ("int", "percent", "utilization/memory_util"),
    "utilization_encoder": ("int", "percent", "utilization/encoder_util"),
    "utilization_decoder": ("int", "percent", "utilization/decoder_util"),
    "pcie_link_gen_current": ("int", "1", "pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
    "pcie_link_width_current": ("int", "1", "pci/pci_gpu_link_info/link_widths/current_link_width"),
    "encoder_stats_session_count": ("int", "1", "encoder_stats/session_count"),
    "encoder_stats_average_fps": ("int", "1", "encoder_stats/average_fps"),
    "encoder_stats_average_latency": ("int", "µs", "encoder_stats/average_latency"),
    "fbc_stats_session_count": ("int", "1", "fbc_stats/session_count"),
    "fbc_stats_average_fps": ("int", "1", "fbc_stats/average_fps"),
    "fbc_stats_average_latency": ("int", "µs", "fbc_stats/average_latency"),
    "clocks_current_graphics": ("int", "MHz", "clocks/graphics_clock"),
    "clocks_current_sm": ("int", "MHz", "clocks/sm_clock"),
    "clocks_current_memory": ("int", "MHz", "clocks/mem_clock"),
    "clocks_current_video": ("int", "MHz", "clocks/video_clock"),
    "power_draw": ("float", "W", "power_readings/power_draw"),
    "power_limit": ("float", "W", "power_readings/power_limit"),
}
"""Type, unit and place of each field; of several places the last one counts that holds a value."""
_POWER = "power_readings/{0} gpu_power_readings/{0}"
_OF_V12 = _OF_V11 | {
    "temperature_gpu_tlimit": ("int", "C", "temperature/gpu_temp_tlimit"),
    "temperature_memory": ("int", "C", "temperature/memory_temp"),
    "temperature_gpu_target": ("int", "C", "temperature/gpu_target_temperature"),
    "temperature_gpu_target_min": ("int", "C", "supported_gpu_target_temp/gpu_target_temp_min"),
    "temperature_gpu_target_max": ("int", "C", "supported_gpu_target_temp/gpu_target_temp_max"),
    "temperature_max_threshold": ("int", "C", "temperature/gpu_temp_max_threshold"),
    "temperature_slow_threshold": ("int", "C", "temperature/gpu_temp_slow_threshold"),
    "temperature_max_gpu_threshold": ("int", "C", "temperature/gpu_temp_max_gpu_threshold"),
    "temperature_max_mem_threshold": ("int", "C", "temperature/gpu_temp_max_mem_threshold"),
    "utilization_jpeg": ("int", "percent", "utilization/jpeg_util"),
    "utilization_ofa": ("int", "percent", "utilization/ofa_util"),
    "pcie_rx_util": ("int", "KB/s", "pci/rx_util"),
    "pcie_tx_util": ("int", "KB/s", "pci/tx_util"),
    "power_draw": (
        "float",
        "W",
        "power_readings/power_draw power_readings/instant_power_draw gpu_power_readings/power_draw"
        " gpu_power_readings/instant_power_draw",
    ),
    "power_limit": (
        "float",
        "W",
        "power_readings/power_limit gpu_power_readings/current_power_limit gpu_power_readings/power_limit",
    ),
    "power_draw_average": ("float", "W", _POWER.format("average_power_draw")),
    "power_limit_default": ("float", "W", _POWER.format("default_power_limit")),
    "power_limit_min": ("float", "W", _POWER.format("min_power_limit")),
    "power_limit_max": ("float", "W", _POWER.format("max_power_limit")),
    "power_limit_requested": ("float", "W", "gpu_power_readings/requested_power_limit"),
    "module_power_draw": (
        "float",
        "W",
        "module_power_readings/power_draw module_power_readings/instant_power_draw",
    ),
}
_SRAM = "ecc_errors_aggregate_sram_uncorrectable"
_OF_V13 = (
    _OF_V12
    | {
        f"ecc_errors_{kind}_{name}": ("int", "1", f"ecc_errors/{kind}/{name}")
        for kind in ("volatile", "aggregate")
        for name in (
            "dram_correctable",
            "dram_uncorrectable",
            "sram_correctable",
            "sram_uncorrectable",
            "sram_uncorrectable_parity",
            "sram_uncorrectable_secded",
        )
    }
    | {
        f"{_SRAM}_{name}": ("int", "1", f"ecc_errors/aggregate_uncorrectable_sram_sources/sram_{name}")
        for name in ("l2", "microcontroller", "other", "pcie", "sm")
    }
    | {"ecc_errors_aggregate_sram_threshold_exceeded": ("str", "", "ecc_errors/aggregate/sram_threshold_exceeded")}
    | {
        f"ecc_errors_{name}": ("str", "", f"ecc_errors/{name}")
        for name in ("channel_repair_pending", "tpc_repair_pending", "unrepairable_memory")
    }
    | {
        f"temperature_{name}_tlimit_threshold": ("int", "C", f"temperature/gpu_temp_{name}_tlimit_threshold")
        for name in ("max", "slow", "max_gpu", "max_mem")
    }
    | {
        f"clocks_event_reasons_counters_{name}": (
            "int",
            "µs",
            f"clocks_event_reasons_counters/clocks_event_reasons_counters_{name}",
        )
        for name in ("sw_power_cap", "sw_therm_slowdown", "hw_therm_slowdown", "hw_power_brake", "sync_boost")
    }
)
_VERSIONS = {"v10": _OF_V11, "v11": _OF_V11, "v12": _OF_V12, "v13": _OF_V13}
_THROTTLE, _EVENT = (f"clocks_{kind}_reasons/clocks_{kind}_reason_{{}}" for kind in ("throttle", "event"))
_MIG = {
    "sram_uncorrectable": ("int", "1", "ecc_error_count/volatile_count/sram_uncorrectable"),
    "memory_fb_total": ("int", "MiB", "fb_memory_usage/total"),
    "memory_fb_reserved": ("int", "MiB", "fb_memory_usage/reserved"),
    "memory_fb_used": ("int", "MiB", "fb_memory_usage/used"),
    "memory_fb_free": ("int", "MiB", "fb_memory_usage/free"),
    "memory_bar1_total": ("int", "MiB", "bar1_memory_usage/total"),
    "memory_bar1_used": ("int", "MiB", "bar1_memory_usage/used"),
    "memory_bar1_free": ("int", "MiB", "bar1_memory_usage/free"),
}
_PROCESS = {"pid": ("int", "1", "pid"), "used_memory": ("int", "MiB", "used_memory")}
_MIG_TAGS = {"index": "index", "gpu_index": "gpu_instance_id", "compute_index": "compute_instance_id"}
_NOTHING = ("", "N/A", "Requested functionality has been deprecated")
_ACTIVE = {"Active": 1, "Not Active": 0}
_DOCTYPE = re.compile(rb'<!DOCTYPE[^>\[]*"nvsmi_device_(\w+)\.dtd"')
_DEEPEST = 100


def _declared(table: dict[str, tuple[str, str, str]]) -> dict[str, Field]:
    return {
        name: Field("int" if kind == "int" else "float" if kind == "float" else "str", unit, place.replace("/", ": "))
        for name, (kind, unit, place) in table.items()
    }


class NvidiaSmi(Input[NvidiaSmiOptions]):
    about = About(platforms=("linux", "win32"))
    measurements = (
        Measurement(
            "nvidia_smi",
            "Each processor. Fields that it does not have are left out.",
            tags=_TAGS | {"index": "its number, from 0", "arch": "its architecture"},
            fields={"driver_version": Field("str", "", "of the driver"), "cuda_version": Field("str", "", "of CUDA")}
            | _declared(_OF_V13)
            | fields("int", "1", **{f"clocks_event_reason_{name}": "1: why it is slowed down" for name in _REASONS}),
        ),
        Measurement(
            "nvidia_smi_mig",
            "Each instance of a processor that is divided (MIG).",
            tags=_TAGS | _MIG_TAGS | {"arch": "its architecture"},
            fields=_declared(_MIG),
        ),
        Measurement(
            "nvidia_smi_process",
            "Each process that uses a processor.",
            tags={"name": "its program", "type": "C: it computes; G: it draws"},
            fields=_declared(_PROCESS),
        ),
    )

    def setup(self) -> None:
        self._once = Once()
        self._commands = Commands(timeout=self.options.timeout.seconds)

    def gather(self, acc: Accumulator) -> None:
        path = self.options.bin_path
        # A driver may be installed later on.
        program = (
            path if path and os.path.exists(path) else find_program("nvidia-smi", "bin_path", package="nvidia-smi")
        )
        output = self._commands.run([program, "-q", "-x"])
        found = _DOCTYPE.search(output.stdout)
        version = found[1].decode() if found else "v11"
        if version not in _VERSIONS and self._once(version):
            self.log.warning("the format %s of nvidia-smi is new; it is read as v13", version)
        _add(acc, _read(output.stdout), _VERSIONS.get(version, _OF_V13), version)

    async def stop(self) -> None:
        self._commands.stop()


class _Element:
    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.children: dict[str, list[_Element]] = {}
        self.text = ""

    def at(self, path: str) -> str:
        """The text of the last element there, "" for none."""
        element = self
        for name in path.split("/"):
            found = element.children.get(name)
            if not found:
                return ""
            element = found[-1]
        return element.text

    def all(self, path: str) -> "list[_Element]":
        found = [self]
        for name in path.split("/"):
            found = [child for element in found for child in element.children.get(name, ())]
        return found


def _read(data: bytes) -> _Element:
    """The root element. Raises PyagentError."""
    top = _Element()
    opened = [top]
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, _: dict[str, str]) -> None:
        if len(opened) > _DEEPEST:
            raise PyagentError(f"cannot read the output of nvidia-smi: line {parser.CurrentLineNumber}: it is too deep")
        element = _Element()
        opened[-1].children.setdefault(name, []).append(element)
        opened.append(element)

    def end(_: str) -> None:
        opened.pop()

    def text(part: str) -> None:
        opened[-1].text += part

    def entity(*_: object) -> None:
        raise PyagentError("cannot read the output of nvidia-smi: it declares entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise PyagentError(f"cannot read the output of nvidia-smi: line {error.lineno}: {reason}") from None
    return next(iter(top.children.values()))[0]


def _add(acc: Accumulator, root: _Element, table: dict[str, tuple[str, str, str]], version: str) -> None:
    newer = table is not _OF_V11
    time = _time(root.at("timestamp")) if newer else None
    for index, gpu in enumerate(root.children.get("gpu", ())):
        tags = _tags(gpu, _TAGS | ({"arch": "product_architecture"} if newer else {}))
        found = _values(root, {name: ("str", "", name) for name in ("driver_version", "cuda_version")})
        found |= _values(gpu, table)
        places = (_THROTTLE, _EVENT) if version == "v12" else (_EVENT,) if newer else (_THROTTLE,)
        for name in _REASONS:
            for place in places:
                if (active := _ACTIVE.get(gpu.at(place.format(name)).strip())) is not None:
                    found[f"clocks_event_reason_{name}"] = active
        if found:
            acc.add("nvidia_smi", found, tags | {"index": str(index)}, time)
        if newer:
            for device in gpu.all("mig_devices/mig_device"):
                if values := _values(device, _MIG):
                    acc.add("nvidia_smi_mig", values, tags | _tags(device, _MIG_TAGS), time)
            for process in gpu.all("processes/process_info"):
                if values := _values(process, _PROCESS):
                    acc.add(
                        "nvidia_smi_process", values, _tags(process, {"name": "process_name", "type": "type"}), time
                    )


def _tags(element: _Element, places: dict[str, str]) -> dict[str, str]:
    return {tag: text for tag, place in places.items() if (text := element.at(place))}


def _values(element: _Element, table: dict[str, tuple[str, str, str]]) -> dict[str, int | float | str]:
    found: dict[str, int | float | str] = {}
    for name, (kind, _, places) in table.items():
        for place in places.split():
            text = element.at(place).strip()
            if text in _NOTHING:
                continue
            number = text.split()[0].removesuffix("x")
            value = text if kind == "str" else parse_integer(number) if kind == "int" else parse_finite(number)
            if value is not None:
                found[name] = value
    return found


def _time(text: str) -> int | None:
    """Of `Mon Nov 30 02:03:04 2026`, in the time of the host."""
    try:
        return int(datetime.strptime(text, "%a %b %d %H:%M:%S %Y").timestamp()) * 1_000_000_000
    except (ValueError, OverflowError, OSError):
        return None
