"""What a job writes about its last run, in the format that `data_format` names."""

from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, ParserOptions, option
from pyagent.api.files import open_file


class ReportOptions(ParserOptions, frozen=True):
    path: Annotated[str, option("the report", reads_path=True)] = "/var/spool/report"


class Report(Input[ReportOptions]):
    measurements = (Measurement("report", "what the report says", open=True),)

    def gather(self, acc: Accumulator) -> None:
        with open_file(self.options.path) as file:
            acc.add_metrics(self.parser.parse(file.read()))
