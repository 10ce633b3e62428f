"""`pyagent query` against the embedded server, and against servers that break off, stall, or are something else."""

import gzip
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Done, pyagent
from provisioning import PASSWORD, Host, background, host, new_server

from pyagent.influxdb import Management
from pyagent.influxdb.queries import rows_of

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures

PROGRAM = Path(sys.executable).with_name("pyagent")
POINTS = """\
mem,host=a used=1i,free=18446744073709551615u,percent=0.1,ok=true,text="x" 1767225600000000000
mem,host=a used=-9223372036854775808i,percent=1e21,ok=false,text="" 1767225601000000001
mem,host=a\\ b\\,c\\=d,größe=日本 used=3i,text="say \\"hi\\", \\\\ ü 🎉
two lines" 1767225602000000000
cpu,host=a load=0.5 1767225600000000000
m\\ e\\,m value=7i 1767225600000000000
"""
EVERYTHING = 'from(bucket: "monitoring-system") |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-02T00:00:00Z)'
CSV_HEAD = b"""\
#group,false,false,true,false\r
#datatype,string,long,string,double\r
#default,_result,,,\r
,result,table,host,_value\r
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INFLUX_ORG", "INFLUX_ORG_ID", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def query(host: Host, pyagent: Callable[..., Done]) -> Callable[..., Done]:
    def run(*words: str, org: bool = True) -> Done:
        flags = ["--url", host.server.url, "--token-file", str(host.token_file), *(["--org", "home"] if org else [])]
        return pyagent("query", *flags, *words)

    return run


def write(host: Host, lines: str, bucket: str = "monitoring-system") -> None:
    url = f"{host.server.url}/api/v2/write?org=home&bucket={bucket}"
    request = urllib.request.Request(url, lines.encode(), {"Authorization": f"Token {host.server.token}"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


def test_raw_is_what_the_server_sends(host: Host, query: Callable[..., Done]) -> None:
    write(host, POINTS)
    body = {"query": EVERYTHING, "dialect": {"annotations": ["group", "datatype", "default"]}}
    request = urllib.request.Request(
        f"{host.server.url}/api/v2/query?org=home",
        json.dumps(body).encode(),
        {"Authorization": f"Token {host.server.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        sent = answer.read().decode()
    for flag in ("--raw", "-r"):
        done = query(flag, EVERYTHING)
        assert (done.status, done.err) == (0, "")
        assert done.out == sent
    assert "two lines" in sent


def test_json_has_all_types(host: Host, query: Callable[..., Done]) -> None:
    write(host, POINTS)
    done = query("--json", EVERYTHING)
    assert (done.status, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    found = {(row["_measurement"], row["_field"], row["_time"]): row["_value"] for row in rows}
    assert found == {
        ("mem", "used", "2026-01-01T00:00:00Z"): 1,
        ("mem", "free", "2026-01-01T00:00:00Z"): 18446744073709551615,
        ("mem", "percent", "2026-01-01T00:00:00Z"): 0.1,
        ("mem", "ok", "2026-01-01T00:00:00Z"): True,
        ("mem", "text", "2026-01-01T00:00:00Z"): "x",
        ("mem", "used", "2026-01-01T00:00:01.000000001Z"): -9223372036854775808,
        ("mem", "percent", "2026-01-01T00:00:01.000000001Z"): 1e21,
        ("mem", "ok", "2026-01-01T00:00:01.000000001Z"): False,
        ("mem", "text", "2026-01-01T00:00:01.000000001Z"): None,  # the CSV has nothing for an empty text
        ("mem", "used", "2026-01-01T00:00:02Z"): 3,
        ("mem", "text", "2026-01-01T00:00:02Z"): 'say "hi", \\ ü 🎉\r\ntwo lines',  # the server's CSV ends lines so
        ("cpu", "load", "2026-01-01T00:00:00Z"): 0.5,
        ("m e,m", "value", "2026-01-01T00:00:00Z"): 7,
    }
    assert {row["host"] for row in rows if row["_measurement"] == "mem"} == {"a", "a b,c=d"}
    assert {row.get("größe") for row in rows} == {None, "日本"}


def test_a_table_has_no_colours_and_all_rows_where_there_is_no_terminal(host: Host, query: Callable[..., Done]) -> None:
    write(host, "".join(f"m v={at}i {1767225600 + at}000000000\n" for at in range(300)))
    done = query(f'{EVERYTHING} |> yield(name: "all")')
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:4] == [
        "Result all",
        "From 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z",
        "_field=v  _measurement=m",
        "  _time                 _value",
    ]
    assert [int(line.split()[1]) for line in lines[4:]] == list(range(300))
    assert query("--limit", "2", EVERYTHING).out.splitlines()[3:] == [
        "  2026-01-01T00:00:00Z       0",
        "  … 298 rows more",
        "  2026-01-01T00:04:59Z     299",
    ]


def on_terminal(host: Host, *words: str, columns: int = 80) -> tuple[int, str]:
    """Status and what a terminal shows."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "INFLUX_TOKEN": host.server.token, "COLUMNS": str(columns), "INFLUX_ORG": "home"}
    command = [PROGRAM, "query", "--host", host.server.url, *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65536):
            text += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(60), text.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_bounded_table_with_a_sparkline(host: Host) -> None:
    write(host, "".join(f"m v={at}i {1767225600 + at}000000000\n" for at in range(300)))
    status, text = on_terminal(host, EVERYTHING)
    assert status == 0, text
    lines = text.splitlines()
    assert lines[1] == "\x1b[1m_field=v  _measurement=m\x1b[0m"
    assert "  … 280 rows more" in lines
    assert "▁" in lines[-1]
    assert lines[-1].endswith("0 to 299")
    assert len(lines) == 3 + 21 + 1
    status, text = on_terminal(host, f"{EVERYTHING} |> filter(fn: (r) => false)")
    assert (status, text) == (0, "The query gave no rows.\n")


def test_plot_draws(host: Host) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    write(
        host,
        "".join(f"mem,host={h} used_percent={at % 50} {1767225600 + at}000000000\n" for at in range(300) for h in "ab"),
    )
    status, text = on_terminal(host, "--plot", EVERYTHING, columns=70)
    assert status == 0, text
    assert text.startswith("mem  used_percent\n")
    assert "\x1b[36m⠤⠤ host=a" in text
    assert "(UTC)" in text


def test_plot_wants_a_terminal_that_can_show_it(
    query: Callable[..., Done], host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    monkeypatch.setenv("LC_ALL", "C")
    done = query("--plot", EVERYTHING)
    assert (done.status, done.out) == (1, "")
    assert done.err == "E! cannot draw here: the locale is not UTF-8; set LANG=C.UTF-8, or leave --plot out\n"


def test_plot_without_its_library_says_how_to_install_it(
    query: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pyagent.cli.query.plot", raising=False)
    monkeypatch.setitem(sys.modules, "plotille", None)
    monkeypatch.delattr("pyagent.cli.query.plot", raising=False)
    done = query("--plot", EVERYTHING)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("E! cannot run 'query': ")
    assert " -m pip install plotille" in done.err


def test_queries_of_pages_run(host: Host, query: Callable[..., Done], tmp_path: Path) -> None:
    write(host, POINTS)
    (tmp_path / "page.flux").write_text(
        'from(bucket: "monitoring-system")\n  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n'
        '  |> filter(fn: (r) => r["_field"] == "load")\n'
        "  |> aggregateWindow(every: v.windowPeriod, fn: mean, createEmpty: false)\n"
    )
    done = query(
        "--json", "--file", str(tmp_path / "page.flux"), "--range", "2026-01-01T00:00:00Z,2026-01-01T01:00:00Z"
    )
    assert done.status == 0, done.err
    [row] = map(json.loads, done.out.splitlines())
    assert (row["_value"], row["_time"]) == (0.5, "2026-01-01T00:00:10Z")
    assert query("--json", "-f", str(tmp_path / "page.flux")).out == "", "of the last hour there is nothing"


def test_a_mistake_is_shown_below_its_line(query: Callable[..., Done], host: Host) -> None:
    done = query('from(bucket: "monitoring-system")\n  |> rangee(start: -1h)')
    assert (done.status, done.out) == (1, "")
    first, line, mark = done.err.splitlines()
    assert first == f"E! cannot query InfluxDB at {host.server.url}: 400 line 2, column 6: undefined identifier rangee"
    assert (line, mark) == ("    |> rangee(start: -1h)", "       ^^^^^^")


def test_what_is_not_found_is_named(query: Callable[..., Done], host: Host) -> None:
    done = query('from(bucket: "monitoring-sytem") |> range(start: -1h)')
    assert done.status == 1
    assert done.err.endswith("could not find bucket \"monitoring-sytem\"; did you mean 'monitoring-system'?\n")
    assert query('from(bucket: "x") |> range(start: -1h)').err.endswith(
        'could not find bucket "x"; there is monitoring-system\n'
    )
    assert query("--org", "hoem", "buckets()", org=False).err.endswith("; did you mean 'home'?\n")


def test_the_only_organization_needs_no_name(
    query: Callable[..., Done], host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "monitoring-system" in query("buckets()", org=False).out
    monkeypatch.setenv("INFLUX_ORG", "nowhere")
    assert query("buckets()", org=False).status == 1
    assert query("-o", "home", "buckets()", org=False).status == 0, "a flag is stronger"


def test_a_user_may_sign_in(pyagent: Callable[..., Done], host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_PASSWORD", PASSWORD)
    done = pyagent("query", "--url", host.server.url, "--user", "admin", "buckets()")
    assert done.status == 0, done.err
    assert "monitoring-system" in done.out


def test_secrets_are_no_arguments(query: Callable[..., Done], host: Host) -> None:
    for words in (("--token", "x"), ("-t", "x"), (f"--token={host.server.token}",), ("-f", host.server.token)):
        done = query(*words, "buckets()")
        assert done.status == 1
        assert "cannot take a token as an argument" in done.err
        assert host.server.token not in done.err


def test_a_token_that_is_not_known(pyagent: Callable[..., Done], host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "wrong-token-of-nobody")
    monkeypatch.setenv("INFLUX_HOST", host.server.url)
    done = pyagent("query", "-o", "home", "buckets()")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        f"E! cannot query InfluxDB at {host.server.url}: 401 unauthorized access; the token, or user and password, are not "
        "known there: check them\n"
    )


def test_a_server_that_nobody_has_set_up(
    pyagent: Callable[..., Done], new_server: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "x")
    done = pyagent("query", "--url", new_server.server.url, "-o", "home", "buckets()")
    assert done.status == 1
    assert "make them: pyagent provision setup" in done.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--raw", "--json", "x"), "--raw, --json and --plot exclude each other"),
        (("--limit", "-1", "x"), "--limit is below 0"),
        (("--limit", "5", "--raw", "x"), "--limit is for tables"),
        (("--timeout", "0", "x"), "--timeout is no time to wait"),
        (("--timeout", "0.0001", "x"), "--timeout is no time to wait"),
        (("--timeout", "nan", "x"), "--timeout is no time to wait"),
        (("x", "y"), "unknown argument 'y'"),
        (("",), "cannot run an empty query"),
        (("--range", "-1h", "buckets()"), "cannot use --range: the query does not use v.timeRangeStart"),
    ],
)
def test_mistakes_of_the_command(query: Callable[..., Done], words: tuple[str, ...], problem: str) -> None:
    done = query(*words)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"E! {problem}")


# Exported and imported again ------------------------------------------------------------------------------------------

VALUES = {
    "long": ["0i", "1i", "-9223372036854775808i", "9223372036854775807i"],
    "unsigned": ["0u", "18446744073709551615u"],
    "double": ["0", "0.1", "-1.5", "1e21", "1.7976931348623157e308", "5e-324", "123456789.123456789"],
    "boolean": ["true", "false"],
    "text": [
        '"a"', '" a "', '"a,b;c=d"', r'"say \"hi\""', r'"C:\\dir\\"', '"#datatype,string"', '"ü 日本 🎉"', '"1"', '"true"',
        '"\t"', '"a\nb"', '"\n"', r'"\.."', '","', '"NaN"', '"-"',
    ],
}  # fmt: skip
KEYS = ["plain", "m,host=a", r"m\ with\,signs,host=a\ b\,c\=d,größe=日本", 'm,host="q",z=#x', "cpu,table=1,name=x"]


def points() -> str:
    return "\n".join(
        f"{key} {name}={value},f\\ {row}\\,{name}={value} {1767225600000000000 + 1_000_000_001 * at}"
        for row, key in enumerate(KEYS)
        for name, values in VALUES.items()
        for at, value in enumerate(values)
    )


def contents(query: Callable[..., Done], bucket: str) -> set[tuple[tuple[str, str, str], ...]]:
    """All points, as the server has them: name, type and text of each column."""
    done = query("--raw", EVERYTHING.replace("monitoring-system", bucket))
    assert done.status == 0, done.err
    return {
        tuple(
            (column.name, column.kind, cell)
            for column, cell in zip(row.head.columns, row.cells, strict=True)
            if column.name not in ("_start", "_stop")
        )
        for row in rows_of([done.out.encode()])
    }


@pytest.mark.parametrize(
    "yields",
    [
        (EVERYTHING,),
        # Several results, one after the other: those of a field each.
        tuple(f'{EVERYTHING} |> filter(fn: (r) => r._field =~ /{name}/) |> yield(name: "{name}")' for name in VALUES),
        # One table for each window, and tables without rows.
        (f"{EVERYTHING} |> window(every: 12h, createEmpty: true)",),
    ],
    ids=["one", "yields", "windows"],
)
def test_what_is_exported_is_imported_to_the_same_points(
    host: Host, query: Callable[..., Done], pyagent: Callable[..., Done], tmp_path: Path, yields: tuple[str, ...]
) -> None:
    write(host, points())
    with Management(host.server.url, token=host.server.token) as management:
        management.create_bucket(management.organizations()[0], "copy", 0)
    done = query("--raw", "\n".join(yields))
    assert (done.status, done.err) == (0, "")
    (tmp_path / "all.csv").write_text(done.out, newline="")
    flags = ["--host", host.server.url, "--token-file", str(host.token_file), "--org", "home"]
    state = ["--state-directory", str(tmp_path / "state")]
    done = pyagent("write", *flags, *state, "--bucket", "copy", str(tmp_path / "all.csv"))
    assert done.status == 0, done.err
    before = contents(query, "monitoring-system")
    assert len(before) == 2 * len(KEYS) * sum(map(len, VALUES.values()))
    assert contents(query, "copy") == before
    # In CSV a line ends with CR LF, within a text as well; it is the text's own line end again.
    assert ' text="a\nb" ' in pyagent("write", "dryrun", *state, str(tmp_path / "all.csv")).out


def test_an_empty_text_is_no_value_in_csv(
    host: Host, query: Callable[..., Done], pyagent: Callable[..., Done], tmp_path: Path
) -> None:
    """Nothing in the row says that it had a text, an empty one; so it is told, as InfluxDB's importer does."""
    write(host, 'm text="",n=1i 1767225600000000000')
    (file := tmp_path / "all.csv").write_text(query("--raw", EVERYTHING).out, newline="")
    done = pyagent("write", "dryrun", "--state-directory", str(tmp_path / "state"), str(file))
    assert (done.status, done.out) == (1, "m n=1i 1767225600000000000\n")
    assert done.err == f"E! {file}, line 11: no field data found\n1 row refused.\n"


# Servers of other kinds -----------------------------------------------------------------------------------------------


@contextmanager
def server(*pieces: bytes | threading.Event) -> Iterator[str]:
    """Answers each connection with these bytes, waiting for the events between them, then closes it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
                    data += more
                head, _, body = data.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                while len(body) < length and (more := connection.recv(65536)):
                    body += more
                try:
                    for piece in pieces:
                        if isinstance(piece, bytes):
                            connection.sendall(piece)
                        else:
                            piece.wait(60)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        for piece in pieces:
            if isinstance(piece, threading.Event):
                piece.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(30)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: text/csv; charset=utf-8", *headers])
    return f"{head}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = answer(b"", "Transfer-Encoding: chunked")
ROWS = CSV_HEAD + b",,0,a,1.5\r\n,,0,a,2.5\r\n"
CLOSED = answer(b"", "Connection: close")


@pytest.fixture
def ask(pyagent: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    monkeypatch.setenv("INFLUX_TOKEN", "token")
    monkeypatch.setenv("INFLUX_ORG", "home")

    def run(url: str, *words: str) -> Done:
        monkeypatch.setenv("INFLUX_HOST", url)
        return pyagent("query", *words, "x")

    return run


@pytest.mark.parametrize("way", ["--raw", "--json", "--limit=0"])
@pytest.mark.parametrize(
    "cut",
    [
        CHUNKED + chunk(ROWS),
        CHUNKED + chunk(ROWS)[:-9],
        CHUNKED + chunk(ROWS) + b"0\r\n\r\n",
        answer(ROWS, f"Content-Length: {len(ROWS) + 2}"),
        CLOSED + ROWS,
        CLOSED + ROWS[:-7],
    ],
    ids=["no-last-chunk", "in-a-chunk", "no-empty-line", "short", "closed", "in-a-row"],
)
def test_an_answer_that_is_cut_off_fails(ask: Callable[..., Done], cut: bytes, way: str) -> None:
    with server(cut) as url:
        done = ask(url, way)
    assert done.status == 1
    assert done.err.startswith(f"E! cannot read the answer of InfluxDB at {url}: the answer is cut off: ")
    assert done.err.count("\n") == 1
    assert "1.5" in done.out, "what came is given"


@pytest.mark.parametrize("way", ["--raw", "--json", "--limit=0"])
def test_an_error_after_rows_fails(ask: Callable[..., Done], way: str) -> None:
    error = b'#group,true,true\r\n#datatype,string,string\r\n#default,,\r\n,error,reference\r\n,"runtime error @1:1-1:2: no, no",\r\n'
    body = ROWS + b"\r\n" + error
    with server(CHUNKED + chunk(body) + b"0\r\n\r\n") as url:
        done = ask(url, way)
    assert done.status == 1
    assert done.err == f"E! the query failed at {url}, what it gave is not all: line 1, column 1: no, no\n  x\n  ^\n"
    assert "1.5" in done.out
    assert ("error,reference" in done.out) is (way == "--raw")


@pytest.mark.parametrize("cut", [0, 20, 40])
def test_an_answer_may_be_compressed(ask: Callable[..., Done], cut: int) -> None:
    body = gzip.compress(ROWS + b"\r\n")
    body = body[: len(body) - cut]
    with server(answer(body, "Content-Encoding: gzip", f"Content-Length: {len(body)}")) as url:
        done = ask(url, "--raw")
    if cut:
        assert done.status == 1
        assert "the answer is cut off: " in done.err
    else:
        assert (done.status, done.out, done.err) == (0, (ROWS + b"\r\n").decode(), "")


def test_a_proxy_that_leads_elsewhere_is_named(ask: Callable[..., Done]) -> None:
    with server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as url:
        done = ask(url)
    assert done.err == f"E! cannot use {url}: it redirects to another address; write the one that it leads to\n"
    with server(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as url:
        done = ask(url)
    assert done.err.startswith(f"E! cannot use {url}: it does not answer as InfluxDB 2 does (502 Bad Gateway)")


def test_a_server_that_stalls_is_given_up(ask: Callable[..., Done]) -> None:
    with server(CHUNKED + chunk(ROWS), threading.Event()) as url:
        done = ask(url, "--raw", "--timeout", "0.3")
    assert done.status == 1
    assert done.err.endswith("the answer is cut off: nothing more came for 0.3 s\n")


def test_what_comes_is_shown_at_once_and_ctrl_c_ends_it_in_silence() -> None:
    """The second row is sent when the first one was seen."""
    gate, never = threading.Event(), threading.Event()
    pieces = [CHUNKED + chunk(CSV_HEAD + b",,0,a,1.5\r\n"), gate, chunk(b",,0,a,2.5\r\n"), never]
    with server(*pieces) as url:
        environ = {**os.environ, "INFLUX_TOKEN": "t", "INFLUX_ORG": "o", "INFLUX_HOST": url}
        command = [PROGRAM, "query", "--raw", "x"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, bufsize=0)
        assert process.stdout is not None
        seen = b""
        while b"1.5" not in seen:
            seen += process.stdout.read(65536)
        gate.set()
        while b"2.5" not in seen:
            seen += process.stdout.read(65536)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (130, b"", b"")


@pytest.mark.parametrize("way", ["--raw", "--json", "--limit=0"])
def test_an_output_that_takes_nothing_is_one_line(way: str) -> None:
    with server(CHUNKED + chunk(ROWS + b"\r\n") + b"0\r\n\r\n") as url:
        environ = {**os.environ, "INFLUX_TOKEN": "t", "INFLUX_ORG": "o", "INFLUX_HOST": url}
        for to, cause in ((">&-", "standard output is closed"), (">/dev/full", "No space left on device")):
            command = ["sh", "-c", f'exec "$0" query {way} x {to}', PROGRAM]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environ, timeout=60)
            assert (done.returncode, done.stderr) == (1, f"E! cannot write what is to be printed: {cause}\n")


@pytest.mark.parametrize("way", ["--raw", "--json", "--limit=0"])
def test_a_reader_that_goes_ends_it_in_silence(way: str) -> None:
    rows = b",,0,a,1.5\r\n" * 10_000
    with server(CHUNKED + chunk(CSV_HEAD), *[chunk(rows)] * 50) as url:
        environ = {**os.environ, "INFLUX_TOKEN": "t", "INFLUX_ORG": "o", "INFLUX_HOST": url}
        process = subprocess.Popen(
            [PROGRAM, "query", way, "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
        process.stderr.close()


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
            "it answers with a web page, perhaps that of a login or a proxy; check the address",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "it answers with something else than CSV; check the address",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", "it does not answer in HTTP; it may speak TLS: try https://"),
    ],
)
def test_what_is_no_influxdb(ask: Callable[..., Done], sent: bytes, problem: str) -> None:
    with server(sent) as url:
        done = ask(url)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"E! cannot query InfluxDB at {url}: {problem}\n"


def test_another_server_is_named(ask: Callable[..., Done]) -> None:
    sent = b"HTTP/1.1 404 Not Found\r\nX-Influxdb-Version: 1.8.10\r\nContent-Length: 0\r\n\r\n"
    with server(sent) as url:
        done = ask(url)
    assert done.status == 1
    assert done.err.startswith(f"E! cannot use {url}: it is InfluxDB 1.8.10")
    done = ask("http://127.0.0.1:9")
    assert done.err.startswith("E! cannot query InfluxDB at http://127.0.0.1:9: nothing listens on port 9 there")


def test_garbage_as_csv_is_told_with_its_line(ask: Callable[..., Done]) -> None:
    body = CSV_HEAD + b",,0,a\r\n\r\n"
    with server(answer(body, f"Content-Length: {len(body)}")) as url:
        done = ask(url, "--json")
    assert done.status == 1
    assert done.err == "E! cannot read the answer: line 5 has 4 cells, not those of its header\n"
