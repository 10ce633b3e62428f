"""Which distribution of Linux runs, by its files below /etc; names and families are those of Telegraf."""

import os
import re
from collections.abc import Callable

from pyagent.api.files import read_file
from pyagent.kit.procfs import host_path

__all__ = ["distribution"]

_FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "raspbian", "Kylin", "cumuluslinux", "uos", "Deepin"),
    "rhel": (
        *("oracle", "centos", "redhat", "scientific", "enterpriseenterprise", "amazon", "xenserver", "cloudlinux"),
        *("ibm_powerkvm", "rocky", "almalinux"),
    ),
    "suse": (
        *("suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "opensuse-tumbleweed-kubic", "sles", "sled"),
        "caasp",
    ),
}
_OWN_FAMILY = (
    *("fedora", "gentoo", "slackware", "arch", "exherbo", "alpine", "coreos", "solus", "neokylin", "anolis"),
)
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names} | {one: one for one in _OWN_FAMILY}
_OF_DEBIAN = {
    "Ubuntu": "ubuntu",
    "LinuxMint": "linuxmint",
    "Kylin": "Kylin",
    "Cumulus Linux": "cumuluslinux",
    "uos": "uos",
    "Deepin": "Deepin",
}
"""DISTRIB_ID of /etc/lsb-release, of those that have a debian_version as well."""
_BY_LSB = {"RedHat": "redhat", "Amazon": "amazon", "ScientificSL": "scientific", "XenServer": "xenserver"}
_RELEASE = re.compile(r"release (\w[\d.]*)", re.ASCII)
_SUSE_VERSION = re.compile(r"VERSION = ([\d.]+)", re.ASCII)
_SUSE_PATCH = re.compile(r"PATCHLEVEL = (\d+)", re.ASCII)
_RASPBERRY = "/usr/bin/raspi-config"
_LEAST = 5
"""Bytes of a file that says anything."""


def distribution() -> tuple[str, str, str]:
    """Name, family and version; empty where they are not known."""
    name, version = _name_and_version()
    return name, _FAMILY.get(name, ""), version


def _name_and_version() -> tuple[str, str]:
    lsb = _pairs(_lines("lsb-release"))
    named, release = lsb.get("DISTRIB_ID", ""), lsb.get("DISTRIB_RELEASE", "")
    for file, understand in _FILES.items():
        if text := _text(file):
            return understand(text.rstrip("\n").split("\n"), named, release)
    if text := _text("os-release"):
        found = _pairs(text.split("\n"))
        name = found.get("ID", "")
        return "amazon" if name == "amzn" else name, found.get("VERSION_ID", "")
    return _BY_LSB.get(named, named.lower()), release


def _text(name: str) -> str:
    """Empty where there is none, or one that says nothing."""
    path = host_path("etc", name)
    try:
        if os.stat(path).st_size < _LEAST:
            return ""
        return read_file(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _lines(name: str) -> list[str]:
    try:
        return read_file(host_path("etc", name)).decode("utf-8", "replace").split("\n")
    except OSError:
        return []


def _pairs(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name: value.replace('"', "").strip("'") for name, sign, value in pairs if sign}


def _release(lines: list[str]) -> str:
    text = "".join(lines).lower()
    found = _RELEASE.search(text)
    return "rawhide" if "rawhide" in text else found[1] if found else ""


def _as_red_hat(lines: list[str], *_: str) -> tuple[str, str]:
    text = "".join(lines).lower()
    return "redhat" if "red hat" in text else text.split(" ")[0], _release(lines)


def _as_debian(lines: list[str], named: str, release: str) -> tuple[str, str]:
    if name := _OF_DEBIAN.get(named):
        return name, release
    return "raspbian" if os.path.exists(_RASPBERRY) else "debian", lines[0]


def _as_suse(lines: list[str], *_: str) -> tuple[str, str]:
    version = ""
    for line in lines:
        if found := _SUSE_VERSION.search(line):
            version = found[1]
        elif found := _SUSE_PATCH.search(line):
            version = f"{version}.{found[1]}"
    return "opensuse" if "opensuse" in "".join(lines).lower() else "suse", version


_Understand = Callable[[list[str], str, str], tuple[str, str]]
_FILES: dict[str, _Understand] = {
    "oracle-release": lambda lines, *_: ("oracle", _release(lines)),
    "enterprise-release": lambda lines, *_: ("oracle", _release(lines)),
    "slackware-version": lambda lines, *_: ("slackware", "".join(lines).lower().replace("slackware ", "", 1)),
    "debian_version": _as_debian,
    "neokylin-release": _as_red_hat,
    "redhat-release": _as_red_hat,
    "system-release": _as_red_hat,
    "gentoo-release": lambda lines, *_: ("gentoo", _release(lines)),
    "SuSE-release": _as_suse,
    "arch-release": lambda _, __, release: ("arch", release),
    "alpine-release": lambda lines, *_: ("alpine", lines[0]),
}
"""The first of these that is there counts."""
