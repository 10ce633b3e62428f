"""Who begins when many would begin at once."""

import asyncio
from collections.abc import Callable

__all__ = ["Turns"]


class Turns:
    """Lets work in threads begin one after another: each when the one before has ended, or has run for `patience` seconds.
    Nobody waits longer than `most`.

    All inputs of an interval are due at the same moment. Begun at once, their threads take the interpreter from each other and
    from the main loop for as long as the longest of them computes, and the times that they measure of servers have that in it.
    """

    def __init__(self, patience: float = 0.005, most: float = 0.2) -> None:
        self._patience = patience
        self._most = most
        self._before: asyncio.Future[None] | None = None

    async def begin(self) -> Callable[[], None]:
        """Wait for one's turn. Returns what is to be called at the end of the work."""
        loop = asyncio.get_running_loop()
        before, mine = self._before, loop.create_future()
        self._before = mine

        def passed() -> None:
            if not mine.done():
                mine.set_result(None)

        if before is not None and not before.done():
            try:
                await asyncio.wait([before], timeout=self._most)
            except asyncio.CancelledError:
                before.add_done_callback(lambda _: passed())
                raise
        timer = loop.call_later(self._patience, passed)

        def end() -> None:
            timer.cancel()
            passed()

        return end
