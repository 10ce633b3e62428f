"""Who wants the configuration to be read anew, and who waits for what comes of it."""

import asyncio

__all__ = ["ReloadRequests"]


class ReloadRequests:
    """One answer for all that asked before a reload began; who asks while it goes on waits for the next one."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._asked: list[asyncio.Future[str]] = []
        self._begun: list[asyncio.Future[str]] = []

    def ask(self) -> None:
        self._wanted.set()

    async def ask_and_wait(self) -> str:
        """Return why the reload failed, empty where it did not."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self.ask()
        return await answer

    async def wait(self) -> None:
        """Return when somebody has asked. Whoever has is answered by the next `done`."""
        await self._wanted.wait()
        self._wanted.clear()
        self._begun += self._asked
        self._asked = []

    def done(self, error: str = "") -> None:
        for answer in self._begun:
            if not answer.done():  # who waited may be gone
                answer.set_result(error)
        self._begun = []
