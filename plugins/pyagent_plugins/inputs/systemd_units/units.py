"""What is told of units, and by whom."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

__all__ = ["ACTIVES", "LOADS", "MEMORY", "SUBS", "UNSET", "Properties", "Source", "Unit"]

_SUB_NAMES = {
    0x00: "running dead start-pre start exited reload stop stop-watchdog stop-sigterm stop-sigkill stop-post final-sigterm"
    " failed auto-restart condition cleaning",
    0x10: "waiting reload-signal reload-notify final-watchdog dead-before-auto-restart failed-before-auto-restart"
    " dead-resources-pinned auto-restart-queued",
    0x20: "tentative plugged",
    0x30: "mounting mounting-done mounted remounting unmounting remounting-sigterm remounting-sigkill unmounting-sigterm"
    " unmounting-sigkill",
    0x50: "abandoned",
    0x60: "active",
    0x70: "start-chown start-post listening stop-pre stop-pre-sigterm stop-pre-sigkill final-sigkill",
    0x80: "activating activating-done deactivating deactivating-sigterm deactivating-sigkill",
    0xA0: "elapsed",
}
_LOAD_NAMES = ("loaded", "stub", "not-found", "bad-setting", "error", "merged", "masked")
_ACTIVE_NAMES = ("active", "reloading", "inactive", "failed", "activating", "deactivating")
LOADS = {name: code for code, name in enumerate(_LOAD_NAMES)}
ACTIVES = {name: code for code, name in enumerate(_ACTIVE_NAMES)}
SUBS = {name: start + place for start, names in _SUB_NAMES.items() for place, name in enumerate(names.split())}
MEMORY = {
    "mem_current": "MemoryCurrent",
    "mem_peak": "MemoryPeak",
    "mem_avail": "MemoryAvailable",
    "swap_current": "MemorySwapCurrent",
    "swap_peak": "MemorySwapPeak",
}
"""By the field, the property."""
UNSET = (1 << 64) - 1
"""What systemd gives for no value."""

Properties = Mapping[str, str | int]
"""Of a unit, by systemd's names: those of MEMORY in bytes, ActiveEnterTimestamp in µs since 1970, StatusErrno, NRestarts and
MainPID are numbers, UnitFileState and UnitFilePreset text. What a unit does not have is missing."""


class Unit(NamedTuple):
    name: str
    load: str
    active: str
    sub: str
    path: str = ""
    """Of its object on the bus."""


class Source(Protocol):
    """Whoever can be asked about units. All methods raise PyagentError."""

    def units(self) -> list[Unit]:
        """Those that systemd has loaded: at least those that match, of all types."""

    def files(self) -> list[tuple[str, str]]:
        """Names of the units' files, and their states: at least those that match and are disabled or static."""

    def named(self, names: Sequence[str]) -> list[Unit]:
        """These, also where they have to be loaded for it."""

    def properties(self, units: Sequence[Unit]) -> dict[str, Properties]:
        """By the name of the unit; one that has none is missing."""
