"""inputs.monit, supervisor and sysstat: documents of strangers, and what is cut."""

from typing import Any

import pytest

from pyagent.api import ParseError, PyagentError
from pyagent.kit.http_client import HttpResponse
from pyagent.kit.xpath_xml import read_xml
from pyagent_plugins.inputs.monit import _services
from pyagent_plugins.inputs.supervisor import Supervisor

_MONIT = (
    b'<?xml version="1.0"?><monit><server><version>5.33</version></server><service type="3"><name>a</name><status>0</status>'
    b"<monitor>1</monitor><pid> 7 </pid><cpu><percent>0.5</percent></cpu></service></monit>"
)


def test_a_process_of_monit() -> None:
    [(name, values, tags)] = _services(read_xml(_MONIT))
    assert (name, values["pid"], values["cpu_percent"], values["threads"]) == ("monit_process", 7, 0.5, 0)
    assert (tags["status"], tags["monitoring_status"], tags["version"]) == ("running", "monitored", "5.33")


@pytest.mark.parametrize("number", ["x", "9" * 40, "1.5", "0x10", "--1"])
def test_a_number_of_monit_that_is_none(number: str) -> None:
    with pytest.raises(ParseError, match="pid of service 'a' is"):
        list(_services(read_xml(_MONIT.replace(b" 7 ", number.encode()))))


def test_documents_of_monit_that_are_cut_or_doubled_are_refused_or_lack_nothing() -> None:
    whole = list(_services(read_xml(_MONIT)))
    for end in range(0, len(_MONIT), 7):
        with pytest.raises(ParseError):
            list(_services(read_xml(_MONIT[:end])))
    for data in (_MONIT + _MONIT, b"\xff\0" * 50, b"<a>" * 5000):
        try:
            found = list(_services(read_xml(data)))
        except ParseError:
            continue
        assert found in ([], whole)


class _Answers:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def request(self, *_: Any, **__: Any) -> HttpResponse:
        return HttpResponse(200, "OK", {}, self._body)

    async def close(self) -> None: ...


_BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><methodResponse/>'
_VALUE = b"<methodResponse><params><param><value>%s</value></param></params></methodResponse>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (_BOMB, "it defines entities"),
        (b"", "XML"),
        (b"\xff\0", "no XML"),
        (_VALUE % b"<int>x</int>", "none of XML-RPC"),
        (_VALUE % b"<int>7</int>", "it is '7'"),
        (_VALUE % b"<array><data><value>" + b"<array><data><value>" * 3000, "XML"),
        (
            b"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>6</int></value></member><member>"
            b"<name>faultString</name><value>SHUTDOWN_STATE</value></member></struct></value></fault></methodResponse>",
            "fault 6: SHUTDOWN_STATE",
        ),
    ],
)
async def test_answers_of_supervisor_that_are_none(body: bytes, words: str) -> None:
    plugin = Supervisor.__new__(Supervisor)
    plugin._url = "http://me:secret@127.0.0.1/RPC2"
    plugin._http = _Answers(body)  # type: ignore[assignment]
    with pytest.raises(PyagentError, match=words) as raised:
        await plugin._call("supervisor.getAllProcessInfo", list)
    assert "secret" not in str(raised.value)
