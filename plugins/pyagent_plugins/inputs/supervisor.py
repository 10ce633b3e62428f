"""The processes that supervisor runs.

By its interface for XML-RPC. Names and types are those of Telegraf 1.40.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error as AnswerError
from xmlrpc.client import Fault, dumps, loads

from pyagent.api import Accumulator, Field, Input, Measurement, PyagentError, fields, option
from pyagent.api.masking import mask_url
from pyagent.kit.filter import name_filter
from pyagent.kit.http import HttpOptions, UrlClient

__all__ = ["Supervisor", "SupervisorOptions"]

_DEFAULT = "http://localhost:9001/RPC2"
_USUAL = ["pid", "rc"]
_PORTS = {"http": 80, "https": 443}
_LARGEST = 16 << 20
_TAGS = {
    "id": "the identifier of the server",
    "source": "host of the URL",
    "port": "port of the URL",
}


class SupervisorOptions(HttpOptions, frozen=True):
    url: Annotated[str, option("where supervisor answers; with account and password, if it wants them")] = _DEFAULT
    metrics_include: Annotated[list[str], option("what to add of a process: pid, rc ([]: both)")] = []
    metrics_exclude: Annotated[list[str] | None, option("and what not; unset: pid and rc")] = None


class Supervisor(Input[SupervisorOptions]):
    measurements = (
        Measurement(
            "supervisor_processes",
            "A process.",
            tags={"process": "its name", "group": "its group", **_TAGS},
            fields={
                "state": Field(
                    "int", "1", "0 stopped, 10 starting, 20 running, 30 backoff, 40 stopping, 100 exited, 200 fatal"
                ),
                "uptime": Field("int", "s", "since it was started; since 1970 where it never was"),
            }
            | fields("int", "1", pid="its number", exitCode="how it ended the last time"),
        ),
        Measurement(
            "supervisor_instance",
            "The server itself.",
            tags=_TAGS,
            fields=fields("int", "1", state="2 fatal, 1 running, 0 restarting, -1 shutting down"),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._url = options.url or _DEFAULT
        excluded = _USUAL if options.metrics_exclude is None else options.metrics_exclude
        wanted = name_filter(options.metrics_include, excluded, names=("metrics_include", "metrics_exclude"))
        self._added = {
            member: name
            for metric, member, name in (("pid", "pid", "pid"), ("rc", "exitstatus", "exitCode"))
            if wanted(metric)
        }
        self._http = UrlClient(options, [self._url], option="url", max_body=_LARGEST)

    async def gather(self, acc: Accumulator) -> None:
        processes = await self._call("supervisor.getAllProcessInfo", list)
        state = await self._call("supervisor.getState", dict)
        identifier = await self._call("supervisor.getIdentification", str)
        parts = urlsplit(self._url)
        port = parts.port if parts.port is not None else _PORTS.get(parts.scheme, 80)
        tags = {"id": identifier, "source": parts.hostname or "", "port": str(port)}
        found = []
        for process in processes:
            if not isinstance(process, dict):
                raise self._bad("supervisor.getAllProcessInfo", f"a process is {str(process)[:80]!r}")
            values = {
                "uptime": self._number(process, "now") - self._number(process, "start"),
                "state": self._number(process, "state"),
            }
            values |= {name: self._number(process, member) for member, name in self._added.items()}
            named = {"process": str(process.get("name", "")), "group": str(process.get("group", ""))}
            found.append((values, tags | named))
        instance = {"state": self._number(state, "statecode")}
        for values, named in found:
            acc.add("supervisor_processes", values, named)
        acc.add("supervisor_instance", instance, tags)

    async def stop(self) -> None:
        await self._http.close()

    async def _call(self, method: str, kind: type) -> Any:
        """The one value that the server gives. Raises PyagentError."""
        body = dumps((), method).encode()
        answer = await self._http.request(self._url, "POST", body=body, headers={"Content-Type": "text/xml"})
        if b"<!DOCTYPE" in answer.body or b"<!ENTITY" in answer.body:
            raise self._bad(method, "it defines entities")
        try:
            [value], _ = loads(answer.body)
        except Fault as fault:
            raise self._bad(method, f"fault {fault.faultCode}: {str(fault.faultString)[:200]}") from None
        except ExpatError as error:
            raise self._bad(method, f"line {error.lineno}: it is no XML: {error}") from None
        except (AnswerError, ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
            raise self._bad(method, f"it is none of XML-RPC: {str(error)[:200]}") from None
        if not isinstance(value, kind):
            raise self._bad(method, f"it is {str(value)[:80]!r}")
        return value

    def _number(self, values: dict[Any, Any], name: str) -> int:
        value = values.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 62:
            raise self._bad(name, f"it is {str(value)[:80]!r} and no number")
        return value

    def _bad(self, what: str, cause: str) -> PyagentError:
        return PyagentError(f"cannot read {mask_url(self._url)}: the answer to {what}: {cause}")
