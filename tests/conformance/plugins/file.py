"""Reads files of line protocol: as much of Telegraf's input `file` as the recorded configurations need."""

import time
from pathlib import Path
from typing import Annotated, Literal

from pyagent.api import Accumulator, Input, Options, PyagentError, option
from pyagent.lineprotocol import parse


class FileOptions(Options, frozen=True):
    files: Annotated[list[str], option("files to read")] = []
    data_format: Annotated[Literal["influx"], option("format of the files")] = "influx"
    character_encoding: Annotated[str, option("encoding of the files")] = ""


class File(Input[FileOptions]):
    def gather(self, acc: Accumulator) -> None:
        for name in self.options.files:
            try:
                data = Path(name).read_bytes()
            except OSError:
                raise PyagentError(f"could not find file(s): {name}") from None
            acc.add_metrics(parse(data, default_time=time.time_ns()).metrics)
