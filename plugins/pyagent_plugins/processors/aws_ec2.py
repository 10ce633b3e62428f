"""Adds tags with what the metadata service of an EC2 instance says of it: identity, metadata, and the tags of the instance.

It is asked by version 2 of its protocol (IMDSv2), with a token.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import quote

from pyagent.api import ConfigError, Duration, Metric, Options, Processor, PyagentError, option
from pyagent.kit.http_client import HttpClient, HttpResponse
from pyagent.kit.problems import Problems

__all__ = ["AwsEc2", "AwsEc2Options"]

_IDENTITY = (
    "accountId",
    "architecture",
    "availabilityZone",
    "billingProducts",
    "imageId",
    "instanceId",
    "instanceType",
    "kernelId",
    "pendingTime",
    "privateIp",
    "ramdiskId",
    "region",
    "version",
)
_ENDPOINT = "http://169.254.169.254"
_TOKEN_SECONDS = 21_600
_LONGEST_WAIT = 4.0
"""Seconds that metrics are held up; the engine gives up a call after 5."""
_AGAIN = 10.0
"""Seconds until the service is asked again for what it did not say."""


class AwsEc2Options(Options, frozen=True):
    imds_tags: Annotated[
        list[str], option(f"of the identity document, each becomes a tag of its name: {', '.join(_IDENTITY)}")
    ] = []
    ec2_tags: Annotated[
        list[str], option("tags of the instance; they must be allowed in its metadata, see Behaviour")
    ] = []
    metadata_paths: Annotated[
        list[str], option("paths below meta-data, such as placement/region; the last part names the tag")
    ] = []
    canonical_metadata_tags: Annotated[bool, option("name these tags by the whole path: placement_region")] = False
    timeout: Annotated[Duration, option("of a request; metrics wait for 4 s at most", gt="0s")] = Duration("10s")
    cache_ttl: Annotated[Duration, option("how long an answer counts; 0: as long as the agent runs", ge="0s")] = (
        Duration(0)
    )
    max_parallel_calls: Annotated[int, option("requests at once", ge=1)] = 10
    ordered: Annotated[bool, option("metrics stay in their order, whatever this says")] = False
    tag_cache_size: Annotated[int, option("what the options above name is all that is kept", no_effect=True)] = 1000
    log_cache_stats: Annotated[bool, option("say in the debug log, at most every 30 s, what is kept")] = False


class AwsEc2(Processor[AwsEc2Options]):
    def setup(self) -> None:
        options = self.options
        if not (options.imds_tags or options.ec2_tags or options.metadata_paths):
            raise ConfigError("cannot add tags: none are named; name some in imds_tags, metadata_paths or ec2_tags")
        for name in options.imds_tags:
            if name not in _IDENTITY:
                raise ConfigError(f"cannot use {name!r}: it is none of {', '.join(_IDENTITY)}", option="imds_tags")
        self._sources = {("identity", name): name for name in options.imds_tags}
        for path in options.metadata_paths:
            key = path.strip("/ ")
            tag = key.replace("/", "_") if options.canonical_metadata_tags else key.rpartition("/")[2] or key
            self._sources["meta-data", key] = tag
        self._sources |= {("meta-data", f"tags/instance/{name}"): name for name in options.ec2_tags}
        """What is asked for, and the tag that it becomes."""
        self._endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/") or _ENDPOINT
        self._http = HttpClient(timeout=options.timeout.seconds, proxy=None, max_body=1 << 20)
        self._problems = Problems(self.log)
        self._known: dict[tuple[str, str], tuple[str, float]] = {}
        """The value, and when it came, seconds of the monotonic clock."""
        self._again: dict[tuple[str, str], float] = {}
        """Until when the service is not asked for it."""
        self._token, self._token_ends = "", 0.0
        self._renewal = asyncio.Lock()
        self._turns = asyncio.Semaphore(options.max_parallel_calls)
        self._asking: asyncio.Task[None] | None = None
        self._logged = 0.0

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        now = time.monotonic()
        missing = [source for source in self._sources if not self._is_known(source, now)]
        due = [source for source in missing if now >= self._again.get(source, now)]
        if due and self._asking is None:
            self._asking = asyncio.create_task(self._ask(due))
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=_LONGEST_WAIT)
            if self._asking.done():
                self._asking = None
        if self.options.log_cache_stats and now >= self._logged + 30:
            self._logged = now
            self.log.debug("%d values are kept, %d are missing", len(self._known), len(missing))
        tags = {tag: self._known[source][0] for source, tag in self._sources.items() if source in self._known}
        tags = {tag: value for tag, value in tags.items() if value}
        for metric in metrics:
            metric.tags = {**metric.tags, **tags}
        return metrics

    async def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await self._http.close()

    def _is_known(self, source: tuple[str, str], now: float) -> bool:
        ttl = self.options.cache_ttl.seconds
        return source in self._known and (not ttl or now < self._known[source][1] + ttl)

    async def _ask(self, sources: Iterable[tuple[str, str]]) -> None:
        identity = [source for source in sources if source[0] == "identity"]
        others = [source for source in sources if source[0] != "identity"]
        work = [self._ask_for([source]) for source in others]
        await asyncio.gather(*work, *([self._ask_for(identity)] if identity else []))

    async def _ask_for(self, sources: list[tuple[str, str]]) -> None:
        """Those of the identity, or one other."""
        kind, path = sources[0]
        try:
            async with self._turns:
                if kind == "identity":
                    answer = await self._get("dynamic/instance-identity/document")
                    document = json.loads(answer.body)
                    found = [_shown(document.get(name)) for _, name in sources]
                else:
                    found = [(await self._get(f"meta-data/{quote(path)}")).text.strip()]
        except (PyagentError, ValueError, AttributeError) as error:
            cause = error if isinstance(error, PyagentError) else "the identity document is not of its form"
            self._problems.add(f"{kind} {path}", f"cannot ask the instance's metadata for {path!r}: {cause}")
            self._again |= dict.fromkeys(sources, time.monotonic() + _AGAIN)
            return
        self._known |= {source: (value, time.monotonic()) for source, value in zip(sources, found, strict=True)}

    async def _get(self, path: str) -> HttpResponse:
        refused = ""
        for _ in range(2):
            async with self._renewal:
                refused = token = await self._current_token(refused)
            headers = {"X-aws-ec2-metadata-token": token}
            answer = await self._http.request("GET", f"{self._endpoint}/latest/{path}", headers=headers)
            if answer.status != 401:
                break
        if answer.status != 200:
            raise PyagentError(f"{self._endpoint} answered {answer.status} {answer.reason}")
        return answer

    async def _current_token(self, refused: str) -> str:
        """`refused`: one that counts no more."""
        now = time.monotonic()
        if self._token in ("", refused) or now >= self._token_ends:
            answer = await self._http.request(
                "PUT",
                f"{self._endpoint}/latest/api/token",
                headers={"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)},
            )
            if answer.status != 200:
                raise PyagentError(f"{self._endpoint} gave no token: {answer.status} {answer.reason}")
            self._token, self._token_ends = answer.text.strip(), now + _TOKEN_SECONDS - 60
        return self._token


def _shown(value: Any) -> str:
    """As Telegraf shows a value of the document."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, str) and value.endswith("Z") and value[10:11] == "T":
        return f"{value[:10]} {value[11:-1]} +0000 UTC"
    return "" if value is None else str(value)
