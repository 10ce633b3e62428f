"""Writes each batch to the standard input of whoever reads a named pipe."""

from typing import Annotated

from pyagent.api import Batch, Output, Retry, SerializerOptions, option


class PipeOptions(SerializerOptions, frozen=True):
    path: Annotated[str, option("the pipe", writes=True)] = "/run/report"


class Pipe(Output[PipeOptions]):
    def write(self, batch: Batch) -> None:
        try:
            with open(self.options.path, "ab") as pipe:
                pipe.write(batch.payload())
        except OSError as error:
            raise Retry(f"cannot write to {self.options.path}: {error.strerror}; start its reader") from None
