"""How long the last run of each job took, as the JSON reports say that lie in a folder."""

import json
from typing import Annotated

from pyagent.api import Accumulator, ConfigError, Input, Measurement, Options, PyagentError, fields, option
from pyagent.api.files import read_file
from pyagent.kit.gjson import MISSING, compile_path
from pyagent.kit.globpath import match_files
from pyagent.kit.timestamps import load_zone, parse_timestamp


class JobReportsOptions(Options, frozen=True):
    files: Annotated[str, option("the reports, wildcards allowed", reads_path=True)] = "/var/spool/jobs/**.json"
    seconds: Annotated[str, option("where the duration is, a path of gjson")] = "run.seconds"
    timezone: Annotated[str, option("zone of the times in the reports")] = "UTC"


class JobReports(Input[JobReportsOptions]):
    measurements = (Measurement("job", tags={"path": "the report"}, fields=fields("float", "s", took="duration")),)

    def setup(self) -> None:
        try:
            self._seconds, self._finished = compile_path(self.options.seconds), compile_path("finished")
            self._zone = load_zone(self.options.timezone)
        except ValueError as error:
            raise ConfigError(f"cannot read the reports: {error}") from None

    def gather(self, acc: Accumulator) -> None:
        for path in match_files(self.options.files):
            try:
                report = json.loads(read_file(path))
                seconds, finished = self._seconds(report), self._finished(report)
                if MISSING in (seconds, finished):
                    raise ValueError(f"{self.options.seconds} or finished is missing")
                time = parse_timestamp("2006-01-02 15:04:05", finished, self._zone)
            except (OSError, ValueError) as error:
                raise PyagentError(f"cannot read the report {path}: {error}") from None
            acc.add("job", {"took": float(seconds)}, {"path": path}, time)
