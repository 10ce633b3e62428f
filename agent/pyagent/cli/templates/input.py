"""How much is in a file."""

from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, Options, PyagentError, fields, option
from pyagent.api.files import read_file


class ExampleOptions(Options, frozen=True):
    path: Annotated[str, option("file to look at", reads_path=True)]
    least: Annotated[int, option("count only lines of at least so many bytes", ge=0)] = 0


class Example(Input[ExampleOptions]):
    measurements = (
        Measurement(
            "example",
            "one metric for the file",
            tags={"path": "the file"},
            fields=fields("int", "1", lines="lines in it") | fields("int", "bytes", size="its size"),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        path = self.options.path
        try:
            data = read_file(path)
        except OSError as error:
            raise PyagentError(f"cannot read {path!r}: {error.strerror}; correct `path`") from None
        lines = sum(len(line) >= self.options.least for line in data.splitlines())
        acc.add("example", {"lines": lines, "size": len(data)}, {"path": path})
