"""Each batch as a compressed file of line protocol, in a folder."""

import os
import tempfile
from typing import Annotated

from pyagent.api import Batch, ConfigError, Options, Output, Retry, option


class ArchiveOptions(Options, frozen=True):
    directory: Annotated[str, option("folder of the files", writes=True)]


class Archive(Output[ArchiveOptions]):
    def setup(self) -> None:
        if not os.path.isabs(self.options.directory):
            raise ConfigError("cannot write there: give the whole path", option="directory")

    def destination(self, partition: str | None) -> str:
        return self.options.directory

    def write(self, batch: Batch) -> None:
        folder = self.options.directory
        try:
            with tempfile.NamedTemporaryFile(dir=folder) as file:
                file.write(batch.payload("gzip"))
                file.flush()
                os.fsync(file.fileno())
                os.link(file.name, os.path.join(folder, f"{batch.oldest}-{os.urandom(4).hex()}.lp.gz"))
        except OSError as error:
            raise Retry(f"cannot write to {folder}: {error.strerror}") from None
