"""How the kernel keeps the clock, by adjtimex(2).

Names and types are those of Telegraf 1.40.
"""

import ctypes
import os
from typing import Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    counters,
    fields,
)

__all__ = ["Timex", "TimexOptions"]


class TimexOptions(Options, frozen=True):
    pass


class _Timex(ctypes.Structure):
    """`struct timex` of <sys/timex.h>."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


_STATES = ("ok", "insert", "delete", "progress", "wait", "error")
_ERROR = 5
_NANO = 0x2000
"""Of `status`: offset and jitter are nanoseconds, and not microseconds."""
_PPM = 65536.0
"""Parts per million, as the kernel counts frequencies."""


class Timex(Input[TimexOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "timex",
            "The clock of the host.",
            tags={"status": "ok, insert, delete, progress, wait (leap seconds), or error: it is not synchronized"},
            fields={"synchronized": Field("bool", "", "the clock is synchronized")}
            | fields(
                "int",
                "ns",
                offset_ns="to the reference, as it is still corrected",
                maxerror_ns="the most that it may be wrong",
                estimated_error_ns="how wrong it is estimated to be",
                tick_ns="between two ticks",
                pps_jitter_ns="of the pulse per second",
            )
            | fields(
                "float",
                "ppm",
                frequency_offset_ppm="correction of the frequency",
                pps_frequency_ppm="of the pulse per second",
                pps_stability_ppm="of the pulse per second",
            )
            | fields(
                "int",
                "1",
                status="the bits of the status",
                loop_time_constant="of the control loop",
            )
            | fields("int", "s", pps_shift_sec="length of a calibration", tai_offset_sec="TAI less UTC")
            | counters(
                "int",
                "1",
                pps_jitter_total="pulses beyond the limit of jitter",
                pps_calibration_total="calibrations",
                pps_error_total="calibrations that failed",
                pps_stability_exceeded_total="calibrations beyond the limit of stability",
            ),
            charts=(
                Chart("Offset and error", ("offset_ns", "maxerror_ns", "estimated_error_ns")),
                Chart("Frequency", ("frequency_offset_ppm",)),
            ),
        ),
    )

    def setup(self) -> None:
        self._adjtimex: Any = None

    def gather(self, acc: Accumulator) -> None:
        if self._adjtimex is None:
            try:
                self._adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
            except (OSError, AttributeError):
                raise PyagentError("cannot read the clock: the C library has no adjtimex; it is Linux's") from None
        found = _Timex()
        state = self._adjtimex(ctypes.byref(found))
        if state < 0:
            raise PyagentError(f"cannot read the clock by adjtimex: {os.strerror(ctypes.get_errno())}")
        acc.add("timex", _values(found, state), {"status": _state(state)}, kind=MetricType.GAUGE)


def _state(state: int) -> str:
    return _STATES[state] if state < len(_STATES) else f"unknown-{state}"


def _values(found: _Timex, state: int) -> dict[str, int | float | bool]:
    unit = 1 if found.status & _NANO else 1000
    return {
        "offset_ns": found.offset * unit,
        "frequency_offset_ppm": found.freq / _PPM,
        "maxerror_ns": found.maxerror * 1000,
        "estimated_error_ns": found.esterror * 1000,
        "status": found.status,
        "loop_time_constant": found.constant,
        "tick_ns": found.tick * 1000,
        "pps_frequency_ppm": found.ppsfreq / _PPM,
        "pps_jitter_ns": found.jitter * unit,
        "pps_shift_sec": found.shift,
        "pps_stability_ppm": found.stabil / _PPM,
        "pps_jitter_total": found.jitcnt,
        "pps_calibration_total": found.calcnt,
        "pps_error_total": found.errcnt,
        "pps_stability_exceeded_total": found.stbcnt,
        "tai_offset_sec": found.tai,
        "synchronized": state != _ERROR,
    }
