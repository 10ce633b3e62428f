"""Counters of the kernel's virtual memory.

/proc/vmstat. Names and types are those of Telegraf 1.40.
"""

from pyagent.api import About, Accumulator, Input, Measurement
from pyagent.kit.procfs import host_path, read_rows

__all__ = ["KernelVmstat"]


class KernelVmstat(Input):
    about = About(platforms=("linux",))
    measurements = (
        Measurement("kernel_vmstat", "Each line of the file, under its name; they are those of the kernel.", open=True),
    )

    async def gather(self, acc: Accumulator) -> None:
        found: dict[str, int] = {}
        for row in read_rows(host_path("proc", "vmstat"), whole=True):
            name = row.words[0]
            if name in found:
                row.fail("it is there twice")
            if not (name.isascii() and name.isprintable()):
                row.fail("its name is no text")
            found[name] = row.integer(1)
        if found:
            acc.add("kernel_vmstat", found)
