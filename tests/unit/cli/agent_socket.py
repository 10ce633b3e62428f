"""A control server in a thread of this process, for the tests of the commands that ask one."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyagent.runtime.control import ControlServer, Routes
from pyagent.runtime.log import component_logger

__all__ = ["serving"]


@contextmanager
def serving(path: Path, routes: Routes, document: dict[str, Any] | None = None) -> Iterator[None]:
    """The routes and the document are used on the server's loop only while this lasts."""
    ready, end = threading.Event(), threading.Event()

    async def main() -> None:
        server = ControlServer(path, lambda: document or {}, component_logger("control"), routes)
        await server.start()
        ready.set()
        await asyncio.to_thread(end.wait)
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        end.set()
        thread.join()
