"""The agents that run on this host: what each says of itself over its control socket, as `pyagent status` shows it."""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.http import caller, reply
from pyagent.sandbox.permissions import require

FOLDER: Final = web.AppKey("agents", Path)
"""Where the instances' folders with their control sockets are."""
MOST: Final = 100
"""Agents that are asked."""
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 4 * 2**20


async def find(request: web.Request) -> web.Response:
    """Of each, in the order of the names: its instance, and its status or the error why there is none."""
    who = caller(request)
    # The owner's: what runs on the host is no data of an organisation.
    require(who, "write", "authorizations", who["orgID"])
    folder = request.app[FOLDER]
    names = await asyncio.to_thread(_names, folder)
    found = await asyncio.gather(*(_asked(folder, name) for name in names[:MOST]))
    return reply(request, {"agents": [one for one in found if one]})


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


async def _asked(folder: Path, name: str) -> Document | None:
    """None where none runs."""
    connector = aiohttp.UnixConnector(str(folder / name / "control.sock"))
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=_MOST_BYTES) as session,
            session.get("http://localhost/status") as response,
        ):
            if (response.content_length or 0) > _MOST_BYTES:
                raise ValueError("its answer is too long")
            status: Any = await response.json()
            if response.status != 200 or not isinstance(status, dict):
                raise ValueError("it does not answer as an agent does")
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, PermissionError):
            reason = "permission denied; start the server as root, or look with: sudo pyagent status"
        elif isinstance(error.os_error, (FileNotFoundError, NotADirectoryError)):
            return None
        elif isinstance(error.os_error, ConnectionRefusedError):
            reason = "it does not run any more"
        else:
            reason = os.strerror(error.os_error.errno or 0).lower()
    except TimeoutError:
        reason = f"it did not answer within {_SECONDS:g} s"
    except (aiohttp.ClientError, ValueError) as error:
        reason = str(error) or "it does not answer as an agent does"
    else:
        return {"instance": name, "status": status}
    return {"instance": name, "error": f"cannot ask the agent: {reason}"}
