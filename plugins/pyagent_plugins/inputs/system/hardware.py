"""What the firmware says of the machine: DMI, which Linux shows below /sys/class/dmi/id."""

from pyagent.api.files import read_file
from pyagent.kit.procfs import host_path

__all__ = ["read_dmi"]

_UNKNOWN = "unknown"
_FILES = {"board_product": "board_name", "chassis_type_code": "chassis_type", "product_vendor": "sys_vendor"}
"""Those whose file is not named as the field."""
_FIELDS = (
    *("bios_vendor", "bios_version", "bios_date"),
    *("board_vendor", "board_product", "board_version", "board_serial", "board_asset_tag"),
    *("chassis_vendor", "chassis_type_code", "chassis_version", "chassis_serial", "chassis_asset_tag"),
    *("product_vendor", "product_name", "product_family", "product_version"),
    *("product_serial", "product_sku", "product_uuid"),
)
_CHASSIS = (
    "Other",
    "Unknown",
    "Desktop",
    "Low profile desktop",
    "Pizza box",
    "Mini tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand held",
    "Docking station",
    "All in one",
    "Sub notebook",
    "Space-saving",
    "Lunch box",
    "Main server chassis",
    "Expansion chassis",
    "SubChassis",
    "Bus Expansion chassis",
    "Peripheral chassis",
    "RAID chassis",
    "Rack mount chassis",
    "Sealed-case PC",
    "Multi-system chassis",
    "Compact PCI",
    "Advanced TCA",
    "Blade",
    "Blade enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
)
"""By number, from 1 (SMBIOS, DSP0134)."""


def read_dmi() -> dict[str, str]:
    """All fields; "unknown" where there is none, or root alone may read it."""
    found = {name: _item(_FILES.get(name, name)) for name in _FIELDS}
    code = found["chassis_type_code"]
    known = code.isascii() and code.isdecimal() and str(int(code[:4])) == code and 1 <= int(code) <= len(_CHASSIS)
    return found | {"chassis_type": _CHASSIS[int(code) - 1] if known else _UNKNOWN}


def _item(name: str) -> str:
    try:
        return read_file(host_path("sys", "class/dmi/id", name)).decode("utf-8", "replace").strip()
    except OSError:
        return _UNKNOWN
