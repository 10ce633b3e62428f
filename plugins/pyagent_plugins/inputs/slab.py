"""Memory that the kernel has for its own objects.

/proc/slabinfo, which only root may read. Names and types are those of Telegraf 1.40.
"""

import os

from pyagent.api import About, Accumulator, Input, Measurement, MetricType, PyagentError
from pyagent.kit.command import Commands
from pyagent.kit.procfs import host_path, read_bytes, rows_of

__all__ = ["Slab"]

_TIMEOUT = 5.0
_HEADERS = 2
_OBJECTS, _SIZE = 2, 3
_LEAST_WORDS = 4


class Slab(Input):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "slab",
            "Bytes of each cache of the kernel, such as `kmalloc_1024_size`: its objects, in use or not, by their size.",
            open=True,
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="", use_sudo=True, sudo_options=("-n",))

    def gather(self, acc: Accumulator) -> None:
        path = host_path("proc", "slabinfo")
        found: dict[str, int] = {}
        for row in rows_of(path, self._contents(path), whole=True):
            if row.number <= _HEADERS:
                if row.number == 1 and row.words[0] != "slabinfo":
                    row.fail("it does not begin with slabinfo")
                continue
            if len(row.words) < _LEAST_WORDS:
                row.fail("it has fewer than 4 words")
            size = row.integer(_OBJECTS) * row.integer(_SIZE)
            if not -(1 << 63) <= size < 1 << 63:
                row.fail("so many bytes are no number of 64 bits")
            found[f"{row.words[0].lower().replace('-', '_')}_size"] = size
        if not found:
            raise PyagentError(f"cannot read {path}: it has no caches")
        acc.add("slab", found, kind=MetricType.GAUGE)

    async def stop(self) -> None:
        self._commands.stop()

    def _contents(self, path: str) -> bytes:
        if os.geteuid() == 0 or os.access(path, os.R_OK) or not os.path.exists(path):
            return read_bytes(path, missing="this kernel does not show its caches, or the host's /proc is not mounted")
        try:
            return self._commands.run(["/bin/cat", path]).stdout
        except PyagentError as error:
            raise PyagentError(
                f"cannot read {path}: only root may; allow it by a line `ACCOUNT ALL=(root) NOPASSWD: /bin/cat {path}`"
                f" for sudo, with the agent's account: {error}"
            ) from None
