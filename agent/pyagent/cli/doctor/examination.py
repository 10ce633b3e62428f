"""The order of the checks: each stands on those before it, and what cannot be looked at is named with the reason."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pyagent.api import ConfigError, PyagentError
from pyagent.cli.doctor import host
from pyagent.cli.doctor.bucket import Target, look_at_bucket
from pyagent.cli.doctor.findings import Level, Report, parted
from pyagent.cli.doctor.gathering import MadeOutput, look_at_inputs, look_at_stages, make_outputs
from pyagent.cli.doctor.reach import Place, Server, reach
from pyagent.config import OutputPlan, Plan, SourceError, is_url, mask_url
from pyagent.kit.http_client import HttpError
from pyagent.kit.tls import TlsOptions
from pyagent.runtime.loading import Loader, Texts
from pyagent.runtime.settings import RunSettings

__all__ = ["Examination"]

_LISTEN_FOR_DATA = re.compile(r"2\.[3-9](\.|$)")
_FOR_INFLUXDB_1 = (
    "outputs.influxdb is for InfluxDB 1: write [[outputs.influxdb_v2]] with urls, token, organization and bucket; or remove "
    "it, where it is left of a default configuration"
)
_ID = re.compile(r"/api/v2/telegrafs/([^/?#]*)")


@dataclass
class Examination:
    """One run. `ask` is given the agent's address on the control socket and returns its status, or raises."""

    report: Report
    settings: RunSettings
    instance: str = ""
    """As in pyagent@INSTANCE; empty: the configuration alone is looked at."""
    probe: bool = False
    ask: Callable[[], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        self._servers: dict[str, Server | None] = {}
        self._unit: host.Unit | None = None
        self._explained = False

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self.report.busy("")
            for server in self._servers.values():
                if server is not None:
                    await server.close()

    async def _run(self) -> None:
        report = self.report
        if self.instance:
            self._unit = host.look_at_unit(report, self.instance)
            if report.count(Level.FAILED) and not (
                self.settings.configs or self.settings.environ.get("TELEGRAF_CONFIG")
            ):
                report.skipped("configuration", "all else: it is not known which configuration is meant")
                return
        texts = await self._configuration()
        plan = await self._plan(texts) if texts is not None else None
        if plan is not None:
            outputs = await make_outputs(report, plan)
            await look_at_stages(report, plan)
            await look_at_inputs(report, plan, outputs)
            labels = [output.plan.label for output in outputs]
            for output in outputs:
                # Of several that are called alike the place tells them apart.
                where = f" ({output.plan.location})" if labels.count(output.plan.label) > 1 else ""
                await self._output(plan, output, where)
        self._host(plan)

    # The configuration ------------------------------------------------------------------------------------------------

    async def _configuration(self) -> Texts | None:
        report, loader = self.report, Loader(self.settings, logging.getLogger("pyagent.doctor"))
        report.about = "configuration"
        try:
            sources = loader.sources()
        except ConfigError as error:
            report.failed("configuration", *_finding(error))
            return None
        for source in sources:
            report.about = mask_url(source)
            if is_url(source) and not await self._url(source):
                return None
        report.about = ", ".join(map(mask_url, sources))
        report.busy("reading the configuration")
        try:
            texts = await loader.read()
        except SourceError as error:
            report.failed("configuration", *_finding(error))
            return None
        report.ok("configuration", "it can be read")
        if self._unit is not None and self._unit.user:
            host.look_at_readers(report, [source for source in sources if not is_url(source)], self._unit.user)
        return texts

    async def _url(self, source: str) -> bool:
        """Whether a URL's text can be had; what is in the way is in the report."""
        report = self.report
        parts = urlsplit(source)
        match = _ID.search(parts.path)
        if match is None:
            return True  # some other web server: reading it says what is wrong
        prefix = parts.path[: match.start()]
        server = await self._server(Place(f"{parts.scheme}://{parts.netloc}{prefix}", TlsOptions()))
        if server is None:
            report.about = mask_url(source)
            report.skipped("configuration", "its server cannot be reached")
            return False
        report.about = mask_url(source)
        token = self.settings.environ.get("INFLUX_TOKEN", "").strip()
        try:
            answer = await server.ask(
                "GET", parts.path[len(prefix) :], token=token, headers={"Accept": "application/toml"}
            )
        except HttpError as error:
            report.failed("configuration", str(error))
            return False
        if answer.status == 200:
            return True
        if not server.version:
            report.failed(
                "configuration",
                f"what answers is not InfluxDB 2, which hosts configurations: {answer.status} {answer.reason}",
                "copy the URL again from InfluxDB's page Load Data > Telegraf > Setup Instructions",
            )
            return False
        where = f"/etc/pyagent/{self.instance}.env" if self.instance else "the environment"
        if answer.status == 401 and not token:
            report.failed(
                "configuration", "no token is sent: INFLUX_TOKEN is not set", f"put INFLUX_TOKEN=... into {where}"
            )
        elif answer.status == 401 and b"read:" in answer.body:
            report.failed(
                "configuration",
                "the token in INFLUX_TOKEN is known here, and may not read this configuration",
                "give it the right to read this Telegraf configuration, or take the token that its page made",
            )
        elif answer.status in (401, 403):
            report.failed(
                "configuration",
                "this server does not know the token in INFLUX_TOKEN"
                if b"inactive" not in answer.body
                else "the token in INFLUX_TOKEN is switched off",
                f"copy the whole token again into {where}",
            )
        elif answer.status == 404:
            report.failed(
                "configuration",
                f"there is no configuration {match[1]!r} on this server",
                "it was deleted, or is another server's: copy the URL again from Load Data > Telegraf > Setup Instructions",
            )
        elif answer.status == 400:
            report.failed(
                "configuration",
                f"{match[1]!r} is no ID of a configuration: it has 16 hexadecimal digits",
                "copy it again",
            )
        else:
            return True  # reading it says what is wrong
        return False

    async def _plan(self, texts: Texts) -> Plan | None:
        report = self.report
        loader = Loader(self.settings, logging.getLogger("pyagent.doctor"))
        try:
            plan = await loader.plan(texts, partial=True)
        except ConfigError as error:
            report.failed("configuration", str(error), "pyagent config check shows it as well")
            return None
        report.about = ", ".join(plan.sources)
        report.ok("configuration", f"it loads: {_names(plan.inputs)}; {_names(plan.outputs)}")
        _look_at_files(report, plan)
        for text in (*plan.warnings, *plan.errors):
            report.warning("configuration", *parted(text))
        for broken in plan.broken:
            report.failed("plugin", *parted(broken.reason))
        if not plan.inputs:
            report.failed("configuration", "it has no input", "add one, such as [[inputs.mem]]")
        if not plan.outputs:
            report.failed("configuration", "it has no output", "add [[outputs.influxdb_v2]]")
        return plan

    # Outputs ----------------------------------------------------------------------------------------------------------

    async def _output(self, plan: Plan, output: MadeOutput, where: str) -> None:
        report = self.report
        if output.plan.name == "influxdb" and not output.plan.is_external:
            await self._influxdb_1(output, where)
            return
        if output.plan.name != "influxdb_v2" or output.plan.is_external:
            report.about = f"{output.plan.label}{where}"
            report.skipped("write", "only outputs.influxdb_v2 can be asked without storing anything")
            return
        options: Any = output.plan.options
        interval = min((one.interval.seconds for one in plan.inputs), default=10.0)
        host_tag = str(plan.global_tags.get("host", ""))
        seen, limit = output.gathered, output.plan.metric_batch_size
        target = Target(
            options.organization,
            options.bucket,
            options.token.reveal(),
            host_tag,
            interval,
            compressed=options.content_encoding == "gzip",
            batch=limit * seen.size // seen.metrics if seen.metrics else 0,
            oldest=seen.oldest / 1e9,
            oldest_of=seen.whose,
        )
        headers = {name: value.reveal() for name, value in options.http_headers.items()}
        for url in options.urls or ["http://localhost:8086"]:
            report.about = f"{output.plan.label} {mask_url(url)}{where}"
            server = await self._server(Place(url, options, options.http_proxy, headers))
            report.about = f"{output.plan.label} {mask_url(url)}{where}"
            if server is None:
                report.skipped("write", "the server cannot be reached")
                continue
            await look_at_bucket(report, server, target, probe=self.probe)
            if _LISTEN_FOR_DATA.match(server.version) and not self._explained:
                self._explained = True
                report.note(
                    "listen-for-data",
                    f'"Error Listening for Data" on the pages of InfluxDB {server.version} means nothing: they look into a'
                    " bucket without a name",
                    "look for the data in the Data Explorer",
                )

    async def _influxdb_1(self, output: MadeOutput, where: str) -> None:
        """It is often left of a default configuration, or taken for the output of InfluxDB 2."""
        report = self.report
        options: Any = output.plan.options
        for url in options.urls or ["http://localhost:8086"]:
            if url.startswith("udp"):
                continue
            report.about = f"{output.plan.label} {mask_url(url)}{where}"
            place = Place(url, options, options.http_proxy)
            try:
                server = Server(place)
                try:
                    answer = await server.ask("GET", "/ping")
                finally:
                    await server.close()
            except PyagentError as error:
                report.failed("server", f"{place.base} cannot be reached: {error}", _FOR_INFLUXDB_1)
                continue
            version = answer.headers.get("X-Influxdb-Version", "").lstrip("v")
            if version and not version.startswith("1."):
                report.failed("server", f"this is InfluxDB {version}", _FOR_INFLUXDB_1)
            else:
                report.skipped("write", "only outputs.influxdb_v2 can be asked without storing anything")

    async def _server(self, place: Place) -> Server | None:
        """Each server is looked at once."""
        key = place.url if place.is_unix else place.base
        if key not in self._servers:
            self._servers[key] = await reach(self.report, place)
        return self._servers[key]

    # The host ---------------------------------------------------------------------------------------------------------

    def _host(self, plan: Plan | None) -> None:
        report, settings = self.report, self.settings
        if plan is not None and re.fullmatch(r"[0-9a-f]{12}", str(plan.global_tags.get("host", ""))):
            report.about = "configuration"
            report.warning(
                "host",
                f"the tag host is {plan.global_tags['host']!r}, as containers are named: each new one is a new series",
                "set `hostname` in [agent]",
            )
        if not self.instance:
            return
        report.about = f"pyagent@{self.instance}"
        status, why = None, "it is not running"
        if self.ask is not None and (self._unit is None or not self._unit.known or self._unit.running):
            try:
                status = self.ask()
            except Exception as error:
                why = str(error)
        host.look_at_agent(report, status, why)
        host.look_at_state(report, settings.state_directory)
        if self._unit is not None:
            host.look_at_journal(report, self._unit)
        environ = settings.environ
        configs = settings.configs or (environ.get("PYAGENT_CONFIG", ""), environ.get("TELEGRAF_CONFIG", ""))
        host.look_for_telegraf(report)
        host.look_for_others(report, self.instance, configs)


def _finding(error: ConfigError) -> tuple[str, str]:
    """What is wrong with a source, and what to do."""
    cause, remedy = parted(str(error))
    return cause, remedy or "correct the path or the URL, or make what it names"


def _look_at_files(report: Report, plan: Plan) -> None:
    """Which of several files has what: an output that nobody remembers is often in another file than the one that is edited."""
    files: dict[str, list[Any]] = {}
    for one in (*plan.inputs, *plan.outputs):
        files.setdefault(one.location.rpartition(":")[0], []).append(one)
    if len(files) > 1:
        for name, plans in files.items():
            report.note("configuration", f"{name} has {_names(plans)}")
    where = [name for name, plans in files.items() if any(isinstance(one, OutputPlan) for one in plans)]
    if len(where) > 1:
        report.note(
            "configuration",
            f"outputs are in {len(where)} files: each of them gets the metrics of all inputs",
            "remove those that are not meant, or divide the metrics with namepass or tagpass",
        )


def _names(plans: Sequence[Any]) -> str:
    return ", ".join(plan.label for plan in plans) or "nothing"
