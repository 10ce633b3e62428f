"""Libraries that are missing, and how to install them where this program runs."""

import os
import shlex
import sys

__all__ = ["how_to_install", "missing_library"]

_PACKAGES = {
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dbus_fast": "dbus-fast",
    "dns": "dnspython",
    "dotenv": "python-dotenv",
    "google.protobuf": "protobuf",
    "grafana_foundation_sdk": "grafana-foundation-sdk~=0.0.21",
    "gufo.snmp": "gufo-snmp",
    "influxdb_client": "influxdb-client",
    "jsonata": "jsonata-python",
    "MySQLdb": "mysqlclient",
    "nats": "nats-py",
    "OpenSSL": "pyOpenSSL",
    "paho": "paho-mqtt",
    "PIL": "Pillow",
    "psycopg": "psycopg[binary]",
    "re2": "google-re2",
    "serial": "pyserial",
    "smbus": "smbus2",
    "snap7": "python-snap7",
    "systemd": "systemd-python",
    "usb": "pyusb",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
"""What to install, where that has another name than what is imported."""


def missing_library(library: str, package: str = "") -> str:
    """A cause for a message, with its remedy. `library`: what is imported; `package`: what to install, where that is known."""
    return f"the Python library {library!r} is missing; {how_to_install(library, package)}"


def how_to_install(library: str, package: str = "") -> str:
    """The command for the Python that runs."""
    package = package or _PACKAGES.get(library, library)
    python = sys.executable or "python3"
    command = shlex.join([*_installer(python), package])
    if sys.prefix != sys.base_prefix or "~=" in package or "://" in package:
        return command
    # Debian's own Python wants its libraries from Debian, as far as Debian has them; that of an environment does not see them.
    return f"{command}, or apt install python3-{package.partition('[')[0].lower()}"


def _installer(python: str) -> list[str]:
    """What installs into its environment: neither `uv tool install` nor the container's image puts a pip in it."""
    from importlib.util import find_spec

    if os.path.exists(os.path.join(sys.prefix, "uv-receipt.toml")):
        return ["uv", "pip", "install", "--python", python]
    if sys.prefix != sys.base_prefix and find_spec("pip") is None:
        return ["python3", "-m", "pip", "--python", python, "install"]
    return [python, "-m", "pip", "install"]
