"""An input whose work code of others does: the options and the calls around `pyagent.kit.guests`.

    class Thing(GuestInput[ThingOptions]):
        def setup(self) -> None:
            self.host("pyagent_plugins.inputs.thing.guest:make", {"path": self.options.path}, what="the plugin 'thing'")

`ThingOptions` are GuestOptions.
"""

import asyncio
import contextlib
import threading
from typing import Annotated, Any, TypeVar

from pyagent.api import Accumulator, Duration, Input, Options, Size, option
from pyagent.kit.guests import Guests

__all__ = ["GuestInput", "GuestOptions"]


class GuestOptions(Options, frozen=True):
    isolate: Annotated[bool, option("run the code of others in a process of its own")] = False
    timeout: Annotated[Duration, option("how long a gather may take, with isolate", gt="0s")] = Duration("10s")
    memory_limit: Annotated[Size, option("memory of that process; 0 for no bound", ge=0)] = Size("512MiB")


G = TypeVar("G", bound=GuestOptions)


class GuestInput(Input[G]):
    runs_foreign_code = True

    @classmethod
    def is_foreign(cls, options: Options) -> bool:
        return not (isinstance(options, GuestOptions) and options.isolate)

    def host(self, entry: str, given: dict[str, Any], *, what: str) -> None:
        """Called in `setup`: see `Guests`."""
        options = self.options
        self._guests = Guests(
            entry,
            given,
            self.log,
            what=what,
            isolate=options.isolate,
            timeout=options.timeout.seconds,
            most_memory=options.memory_limit,
        )

    def gather(self, acc: Accumulator) -> None:
        self._guests.gather(acc)

    def cut_short(self) -> None:
        self._guests.cut_short()

    async def stop(self) -> None:
        if not self.options.isolate:
            self._guests.stop()  # in the input's thread, where the guest is at home
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._guests.stop()
            with contextlib.suppress(RuntimeError):  # nobody waits for it any more
                loop.call_soon_threadsafe(ended.set)

        # Beside a gather that may take long: it ends with its process.
        threading.Thread(target=end, daemon=True).start()
        await ended.wait()
