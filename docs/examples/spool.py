"""Files that wait in a spool folder, and the room that is left for more."""

import os
import shutil
from typing import Annotated

from pyagent.api import Accumulator, Field, Input, Measurement, Options, option


class SpoolOptions(Options, frozen=True):
    directory: Annotated[str, option("folder to look at", reads_path=True)]
    suffix: Annotated[str, option("count only files whose name ends so")] = ""


class Spool(Input[SpoolOptions]):
    measurements = (
        Measurement(
            "spool",
            "What waits in a folder.",
            tags={"directory": "the folder"},
            fields={"files": Field("int", "1", "files waiting"), "free": Field("int", "bytes", "free on its disk")},
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        directory = self.options.directory
        with os.scandir(directory) as entries:
            files = sum(entry.is_file() and entry.name.endswith(self.options.suffix) for entry in entries)
        acc.add("spool", {"files": files, "free": shutil.disk_usage(directory).free}, {"directory": directory})
