"""Attributes of Intel's NVMe disks, as `nvme intel smart-log-add` prints them: with an id before the name since 1.14."""

import re
from collections.abc import Iterable, Iterator

from pyagent.kit.numbers import parse_finite, parse_integer

__all__ = ["attributes"]

_LINE = re.compile(r"([A-Za-z0-9_\s]+)[:|\s]+(\d+)[%|\s]+(.+)", re.ASCII)
_ID_AND_NAME = re.compile(r"([A-Za-z0-9_]+)(.+)", re.ASCII)
_WITH_ID = {
    "program_fail_count": "Program_Fail_Count",
    "erase_fail_count": "Erase_Fail_Count",
    "wear_leveling_count": "Wear_Leveling_Count",
    "e2e_error_detect_count": "End_To_End_Error_Detection_Count",
    "crc_error_count": "Crc_Error_Count",
    "media_wear_percentage": "Media_Wear_Percentage",
    "host_reads": "Host_Reads",
    "timed_work_load": "Timed_Workload_Timer",
    "thermal_throttle_status": "Thermal_Throttle_Status",
    "retry_buff_overflow_count": "Retry_Buffer_Overflow_Count",
    "pll_lock_loss_counter": "Pll_Lock_Loss_Count",
}
_COUNTS = {
    "program_fail_count": "Program_Fail_Count",
    "erase_fail_count": "Erase_Fail_Count",
    "end_to_end_error_detection_count": "End_To_End_Error_Detection_Count",
    "crc_error_count": "Crc_Error_Count",
    "retry_buffer_overflow_count": "Retry_Buffer_Overflow_Count",
    "timed_workload_timer": "Timed_Workload_Timer",
    "pll_lock_loss_count": "Pll_Lock_Loss_Count",
}
_SECTORS = {"nand_bytes_written": "Nand_Bytes_Written", "host_bytes_written": "Host_Bytes_Written"}
_FLOATS = {
    "timed_workload_media_wear": "Timed_Workload_Media_Wear",
    "timed_workload_host_reads": "Timed_Workload_Host_Reads",
}
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_WEAR = re.compile(r"min:\s*([0-9]+),\s*max:\s*([0-9]+),\s*avg:\s*([0-9]+)")
_THERMAL = re.compile(r"([0-9.]+)%,\s*cnt:\s*([0-9]+)")
_WRITTEN = re.compile(r"sectors:\s*([0-9]+)")


def attributes(lines: Iterable[str]) -> Iterator[tuple[str, int | float]]:
    """Name and raw value of each; lines that are none, and values that cannot be read, are left out."""
    for line in lines:
        found = _LINE.match(line)
        if found is None or len(found[1]) < 2:
            continue
        key, text = found[1].strip(), found[3].strip()
        split = _ID_AND_NAME.match(found[1])
        if split and len(split[2].strip()) > 1:
            pairs: list[tuple[str | None, int | float | None]] = [
                (_WITH_ID.get(split[2].strip()), parse_integer(text.replace(",", "")))
            ]
        else:
            pairs = list(_older(key, text))
        for name, value in pairs:
            if name is not None and value is not None:
                yield name, value


def _older(key: str, text: str) -> Iterator[tuple[str | None, int | float | None]]:
    if key in _COUNTS:
        yield _COUNTS[key], parse_integer(text.removesuffix(" min").replace(",", ""))
    elif key in _FLOATS:
        yield _FLOATS[key], parse_finite(found[0]) if (found := _NUMBER.match(text)) else None
    elif key in _SECTORS:
        yield _SECTORS[key], parse_integer(found[1]) if (found := _WRITTEN.match(text)) else None
    elif key == "wear_leveling" and (found := _WEAR.match(text)):
        for name, number in zip(("Min", "Max", "Avg"), found.groups(), strict=True):
            yield f"Wear_Leveling_{name}", parse_integer(number)
    elif key == "thermal_throttle_status" and (found := _THERMAL.match(text)):
        yield "Thermal_Throttle_Status_Prc", parse_finite(found[1])
        yield "Thermal_Throttle_Status_Cnt", parse_integer(found[2])
