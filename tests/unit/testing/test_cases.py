"""Cases: what is wrong is said, what is right passes, and --update-cases writes what is right."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyagent.api import Metric
from pyagent.testing.case_run import run_case
from pyagent.testing.cases import Case, Outcome, find_cases, problems_of, update
from pyagent.testing.comparison import differences, expected_metrics

FILE = '[[inputs.file]]\n  files = ["in"]\n'
PLUGIN = '''
"""Asks a server over a socket."""
import socket
from typing import Annotated
from pyagent.api import Accumulator, Input, Options, option

class AskOptions(Options, frozen=True):
    address: Annotated[str, option("where")]
    kind: Annotated[str, option("tcp, udp or unix")] = "tcp"

class Ask(Input[AskOptions]):
    def gather(self, acc: Accumulator) -> None:
        family = socket.AF_UNIX if self.options.kind == "unix" else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM if self.options.kind == "udp" else socket.SOCK_STREAM) as client:
            client.settimeout(20)
            host, _, port = self.options.address.rpartition(":")
            client.connect(self.options.address if family == socket.AF_UNIX else (host, int(port)))
            for word in (b"stats\\r\\n", b"stats\\r\\n", b"bye\\r\\n"):
                client.sendall(word)
                acc.add("ask", {"answer": client.recv(100).decode()})
'''


def make(folder: Path, files: Mapping[str, str | bytes], kind: str = "inputs", name: str = "file") -> Case:
    """A case of these files."""
    for path, text in files.items():
        target = folder / "cases" / kind / name / "one" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "plugins.d").mkdir(exist_ok=True)
    (folder / "plugins.d" / "ask.py").write_text(PLUGIN)
    [case] = find_cases(folder / "cases", plugin_directories=[folder / "plugins.d"])
    return case


def run(case: Case, folder: Path) -> Outcome:
    return run_case(case, Path(tempfile.mkdtemp(dir=folder)))


def problems(folder: Path, files: Mapping[str, str | bytes], kind: str = "inputs", name: str = "file") -> list[str]:
    case = make(folder, files, kind, name)
    return problems_of(case, run(case, folder))


@pytest.mark.parametrize(
    ("text", "expected", "found"),
    [
        ("m,t=a v=1i 5", "m,t=a v=1i", []),
        ("m v=1i 5\nn v=2 5", "n v=2\nm v=1i", []),
        ("m v=1i 5", "m v=1i 5", ["-m v=1i 5", "+m v=1i 0"]),  # rounded as an agent does
        ("m v=1i 5", "m v=1", ["-m v=1", "+m v=1i"]),
        ("m v=1i 5", "m v=1u", ["-m v=1u", "+m v=1i"]),
        ("m,t=a v=1i 5", "m,t=b v=1i", ["-m,t='b' v=1i", "+m,t='a' v=1i"]),
        ("m v=1i 5\nm v=1i 6", "m v=1i", ["+m v=1i"]),
        ("m v=1i 5", "m v=1i\nm v=1i", ["-m v=1i"]),
        ("m v=-0.0", "m v=0", ["-m v=0", "+m v=-0"]),
        ('m s="1"', "m s=1", ["-m s=1", '+m s="1"']),
    ],
)
def test_differences_are_shown(text: str, expected: str, found: list[str], tmp_path: Path) -> None:
    shown = problems(tmp_path, {"telegraf.conf": FILE, "in": text, "expected.out": expected})
    assert [line for line in shown if not line.startswith(("---", "+++"))] == found


def test_values_that_no_line_can_have_are_left_out() -> None:
    got = [Metric("m", {}, {"v": 1.5, "w": float("nan"), "x": float("-inf")}, 5)]
    assert differences(expected_metrics(b"m v=1.5 5"), got) == []
    assert differences(expected_metrics(b"m v=1.5,w=2 5"), got)


def test_what_varies_still_has_its_type_and_its_place(tmp_path: Path) -> None:
    files = {
        "telegraf.conf": FILE,
        "in": "m,pid=7 v=1i,w=2,x=3\nn v=4i",
        "case.toml": 'varies = ["m.v", "w", "tag:pid"]',
        "expected.out": "m,pid=8 v=9i,w=9,x=3\nn v=4i",
    }
    assert problems(tmp_path, files) == []
    assert problems(tmp_path, files | {"expected.out": "m,pid=8 v=9i,w=9i,x=3\nn v=4i"})
    assert problems(tmp_path, files | {"expected.out": "m,pid=8 v=9i,w=9,x=4\nn v=4i"})
    assert problems(tmp_path, files | {"expected.out": "m,pid=8 v=9i,w=9,x=3\nn v=5i"})
    assert problems(tmp_path, files | {"expected.out": "m v=9i,w=9,x=3\nn v=4i"})
    everything = files | {"case.toml": 'varies = ["*", "fields:*", "lines:*"]'}
    assert problems(tmp_path, everything | {"expected.out": "m,pid=7 v=0i,y=9\nm,pid=7 v=1i\nn v=0i,z=1"}) == []
    assert problems(tmp_path, everything | {"expected.out": "m,pid=7 v=0\nn v=0i"}), "not another type"


def test_errors_of_the_log_are_all_expected(tmp_path: Path) -> None:
    files = {"telegraf.conf": FILE, "in": "bad"}
    [_, _, line] = problems(tmp_path, files)
    assert line.startswith("+E! [inputs.file] cannot parse 'in': line 1, ")
    assert problems(tmp_path, files | {"expected.err": line[1:]}) == []
    assert problems(tmp_path, files | {"in": "m v=1", "expected.out": "m v=1"}) == [
        "--- expected.err",
        "+++ logged",
        f"-{line[1:]}",
    ]
    [_, _, line] = problems(
        tmp_path, files | {"expected.err": "", "expected.out": "", "telegraf.conf": "[[inputs.fil]]"}
    )
    assert line.startswith(
        "+E! [agent] telegraf.conf:1: inputs.fil: undefined but requested input: fil; did you mean 'file'?"
    )


def test_expected_files_are_written_anew(tmp_path: Path) -> None:
    case = make(
        tmp_path,
        {
            "telegraf.conf": '[[outputs.file]]\n  files = ["out"]\n[[inputs.file]]\n  files = ["none", "in"]\n',
            "in": "m,d=x v=1i 5\n",
            "expected/out": "",
        },
    )
    changes = update(case, run(case, tmp_path))
    assert "+++ inputs/file/one/expected.err" in changes
    assert "+E! [inputs.file] cannot find file(s): none" in changes
    case = make(tmp_path, {})
    assert problems_of(case, run(case, tmp_path)) == []
    assert update(case, run(case, tmp_path)) == ""
    case = make(tmp_path, {"telegraf.conf": '[[outputs.file]]\n  files = ["out"]\n[[inputs.file]]\n  files = ["in"]\n'})
    changes = update(case, run(case, tmp_path))
    assert "-E! [inputs.file] cannot find file(s): none" in changes
    assert "+m,d=x v=1i 0" in changes
    assert not (case.folder / "expected.err").exists()


def test_folders_stand_as_dir_and_varying_values_stay(tmp_path: Path) -> None:
    files = {
        "telegraf.conf": FILE + '  file_path_tag = "path"\n',
        "in": "m v=1i,w=2\n",
        "case.toml": 'varies = ["w"]',
        "expected.out": "m,path=DIR/in v=1i,w=7\n",
    }
    case = make(tmp_path, files)
    assert problems_of(case, run(case, tmp_path)) == []
    assert update(case, run(case, tmp_path)) == ""
    case = make(tmp_path, {"in": "m v=3i,w=2\n"})
    assert "+m,path=DIR/in v=3i,w=2" in update(case, run(case, tmp_path))


def test_the_second_state_and_the_clock(tmp_path: Path) -> None:
    files = {
        "telegraf.conf": "[[inputs.mem]]\n  fieldinclude = ['total']\n",
        "proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 1 kB\n",
        "then/proc/meminfo": "MemTotal: 2 kB\nMemAvailable: 1 kB\n",
        "case.toml": "time = 2026-01-02T03:04:05Z\nstep = 60.0",
        "expected.out": "mem total=2048u 1767323105000000000",
    }
    assert problems(tmp_path, files, name="mem") == []


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_a_server_on_a_socket_is_replayed(kind: str, tmp_path: Path) -> None:
    exchange = (
        '{"transport": "%s", "exchanges": [{"receive": "stats\\r\\n", "send": "one"}, '
        '{"receive": "stats\\r\\n", "send": {"base64": "dHdv"}}, {"receive": "bye\\r\\n", "send": {"file": "last"}}%s]}'
    )
    files = {
        "telegraf.conf": f'[[inputs.ask]]\n  address = "${{SERVER}}"\n  kind = "{kind}"\n',
        "exchange.json": exchange % (kind, ""),
        "last": "three",
        "expected.out": 'ask answer="one"\nask answer="two"\nask answer="three"\n',
    }
    assert problems(tmp_path, files, name="ask") == []
    files["exchange.json"] = exchange % (kind, ', {"receive": "more", "send": ""}')
    assert problems(tmp_path, files, name="ask") == ["nobody sent 'more'"]


def test_a_request_that_is_not_recorded_is_told(tmp_path: Path) -> None:
    files = {
        "telegraf.conf": '[[outputs.influxdb_v2]]\n  urls = ["http://${SERVER}"]\n  bucket = "b"\n  organization = "o"\n'
        '  content_encoding = "identity"\n',
        "input.influx": "m v=1i 1\n",
        "exchange.json": '[{"request": {"method": "POST", "path": "/api/v2/write?bucket=b&org=o", "headers": {"X-A": "b"}, '
        '"body": "m v=2i 1\\n"}, "answer": {"status": 204}}, {"request": {"path": "/health"}}]',
    }
    found = problems(tmp_path, files, "outputs", "influxdb_v2")
    assert found == [
        "POST /api/v2/write?bucket=b&org=o: the header X-A is None, expected 'b'",
        "POST /api/v2/write?bucket=b&org=o: the body is 'm v=1i 1\\n', expected 'm v=2i 1\\n'",
        "nobody sent GET /health",
    ]


def test_answers_of_a_listener_are_compared(tmp_path: Path) -> None:
    files = {
        "telegraf.conf": '[[inputs.influxdb_listener]]\n  service_address = "${LISTEN}"\n',
        "requests.json": '[{"request": {"method": "POST", "path": "/write", "body": "m v=1i 1"}, "answer": {"status": 200, '
        '"headers": {"X-A": "b"}, "body": "x"}}]',
        "expected.out": "m v=1i",
    }
    assert problems(tmp_path, files, name="influxdb_listener") == [
        "POST /write: the status is 204, expected 200: b''",
        "POST /write: the answer's header X-A is None, expected 'b'",
        "POST /write: the answer's body is b'', expected 'x'",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"case.toml": "sever = 'x'"}, "case.toml: unknown 'sever'"),
        ({"case.toml": "time = 5"}, "case.toml: time must be like"),
        ({"exchange.json": "[5"}, "exchange.json: Expecting"),
    ],
)
def test_a_case_that_cannot_be_read(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, {"telegraf.conf": FILE, **files})
