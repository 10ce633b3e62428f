"""How a library that is missing is installed, for messages."""

import shlex
import sys

__all__ = ["pip_install"]

_PACKAGES = {"psycopg": "psycopg[binary]", "re2": "google-re2", "influxdb_client": "influxdb-client"}
"""Those that are called otherwise than what they are imported as."""


def pip_install(*libraries: str) -> str:
    """The command that installs these, named as they are imported, for the Python that runs:
    `/opt/pyagent/bin/python -m pip install lark`."""
    packages = [_PACKAGES.get(library, library) for library in libraries]
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", *packages])
