"""`pyagent write` as a process, against the embedded server."""

import asyncio
import gzip
import json
import os
import shlex
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyagent.cli.demo_processes import program
from pyagent.sandbox import Sandbox

TUTORIAL = """\
#group,false,false,true,true,false,false,true,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#default,mean,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,host,region
,,0,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00Z,15.43,mem,m,A,east
,,1,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00Z,59.25,mem,m,B,east
,,2,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00Z,52.62,mem,m,C,east
"""
HEADER = "#datatype measurement,tag,double,dateTime:number\nm,host,used,time\n"
DEADLINE = 60.0
ALL = 'from(bucket: "home") |> range(start: 0)'


@dataclass
class Done:
    status: int
    out: str
    err: str


class Command:
    """Runs the command where the sandbox is, with a state directory of its own."""

    def __init__(self, server: Sandbox, folder: Path) -> None:
        self.server = server
        self.folder = folder

    async def start(self, *words: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        environ |= {"INFLUX_HOST": self.server.url, "INFLUX_TOKEN": self.server.token, "INFLUX_ORG": "home"}
        return await asyncio.create_subprocess_exec(
            *program(), "write", *words, stdin=stdin, stdout=-1, stderr=-1, cwd=self.folder, env=environ
        )

    async def __call__(self, *words: str, given: bytes | None = None) -> Done:
        process = await self.start("--bucket", "home", *words, stdin=-1 if given is not None else -3)
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate(given)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    def file(self, name: str, text: str | bytes) -> str:
        (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox(faults=True) as sandbox:
        await sandbox.setup(org="home", bucket="home")
        yield sandbox


@pytest.fixture
def write(server: Sandbox, tmp_path: Path) -> Command:
    return Command(server, tmp_path)


async def found(server: Sandbox) -> list[tuple[str, object, str]]:
    return sorted((str(row["_field"]), row["_value"], str(row.get("host"))) for row in await server.query(ALL))


async def test_the_csv_of_the_tutorial_arrives(server: Sandbox, write: Command) -> None:
    done = await write(write.file("data.csv", TUTORIAL))
    assert (done.status, done.err) == (0, "3 points written to 'home'.\n")
    rows = await server.query(ALL)
    assert sorted((row["_measurement"], row["_field"], row["host"], row["region"], row["_value"]) for row in rows) == [
        ("m", "mem", "A", "east", 15.43), ("m", "mem", "B", "east", 59.25), ("m", "mem", "C", "east", 52.62),
    ]  # fmt: skip


async def test_what_query_exports_is_imported_to_the_same_points(server: Sandbox, write: Command) -> None:
    await server.add_bucket("copy")
    await server.write('m,host=a\\ b,x=1 f=1.5,i=2i,u=3u,b=true,s="say \\"hi\\", ü" 5\nn,host=c f=-1 6')
    environ = {"PATH": os.environ["PATH"], "HOME": str(write.folder), "LC_ALL": "C.UTF-8"}
    environ |= {"INFLUX_HOST": server.url, "INFLUX_TOKEN": server.token, "INFLUX_ORG": "home"}
    export = await asyncio.create_subprocess_exec(
        *program(), "query", "--raw", ALL, stdin=-3, stdout=-1, stderr=-1, cwd=write.folder, env=environ
    )
    out, err = await export.communicate()
    assert export.returncode == 0, err
    write.file("export.csv", out)
    done = await write("--bucket", "copy", "export.csv")
    assert done.status == 0, done.err
    points = [
        [
            {name: value for name, value in row.items() if name not in ("_start", "_stop", "table", "result")}
            for row in rows
        ]
        for rows in (await server.query(ALL), await server.query(ALL.replace("home", "copy")))
    ]
    assert points[0] == points[1]
    assert len(points[0]) == 6


@pytest.mark.parametrize("way", ["file", "stdin", "gzip", "text"])
async def test_line_protocol_arrives_in_every_way(way: str, server: Sandbox, write: Command) -> None:
    line = b"mem,host=a used=1.5 5000000000\n"
    if way == "file":
        done = await write(write.file("points.lp", line))
    elif way == "gzip":
        done = await write(write.file("points", gzip.compress(line)))
    elif way == "stdin":
        done = await write("-", given=line)
    else:
        done = await write(line.decode().strip())
    assert done.status == 0, done.err
    assert await found(server) == [("used", 1.5, "a")]


async def test_a_spreadsheet_arrives_and_what_was_taken_for_what_is_said(server: Sandbox, write: Command) -> None:
    text = "\ufeffZeit;host;Wert\r\n31.12.2023 23:45;a;1.234,5\r\n01.01.2024 00:00;b;12,25\r\n"
    done = await write("--tag", "host", write.file("strom.csv", text))
    assert done.status == 0, done.err
    assert await found(server) == [("Wert", 12.25, "b"), ("Wert", 1234.5, "a")]
    for words in ("byte order mark", "';'", "decimal commas", "the day first", "'strom'", "in UTC"):
        assert words in done.err


async def test_bad_rows_cost_no_others_and_are_kept(server: Sandbox, write: Command) -> None:
    text = (
        HEADER
        + 'mem,a,1.5,1000000000\nmem,b,much,1000000000\n,c,3,1000000000\nmem,d,4\nmem,"e"x,5,5\nmem,f,6,6000000000\n'
    )
    done = await write("--errors-file", "bad.csv", write.file("rows.csv", text))
    assert done.status == 1
    assert await found(server) == [("used", 1.5, "a"), ("used", 6.0, "f")]
    assert "E! rows.csv, line 4, column 7: column 'used': 'much' is no number" in done.err
    assert "E! rows.csv, line 5, column 1: column 'm': no measurement is given" in done.err
    assert "E! rows.csv, line 6, column 8: column 'time': the row has no time" in done.err
    assert "E! rows.csv, line 7, column 8: something else than a separator follows a closing quote" in done.err
    assert done.err.endswith("2 points written to 'home'; 4 rows refused.\n")
    kept = (write.folder / "bad.csv").read_text().splitlines()
    assert [row for row in kept if "# error" not in row] == [
        "mem,b,much,1000000000",
        ",c,3,1000000000",
        "mem,d,4",
        'mem,"e"x,5,5',
    ]


@pytest.mark.parametrize(
    ("name", "text", "bad", "good"),
    [
        (
            "rows.csv",
            "time;host name;v;t\n13.02.2024;a;1,5;x\n14.02.2024;a;1;2;3\n01.02.2024;b;2,5\n",
            "1;2;3\n",
            "1,5;7\n",
        ),
        (
            "typed.csv",
            "#datatype measurement,tag,double,dateTime\nm,host,v,t\nm,a,1,1\nm,a,x,2\n",
            "m,a,x,2",
            "m,a,2,2",
        ),
        ("rows.lp", "m,host=a v=1 1\nm,host=a v= 2\n", "v= 2", "v=2 2"),
    ],
)
async def test_the_errors_file_is_written_again_by_the_command_that_is_printed(
    name: str, text: str, bad: str, good: str, server: Sandbox, write: Command
) -> None:
    words = ["--tag", "host name"] if name == "rows.csv" else []
    done = await write(*words, "--errors-file", "its bad rows.txt", write.file(name, text))
    assert done.status == 1
    kept = (write.folder / "its bad rows.txt").read_text()
    assert "# error : line" in kept
    if name == "rows.csv":
        kept = kept.replace("01.02.2024;b;2,5\n", "01.02.2024;b;2,5;y\n")
    write.file("its bad rows.txt", kept.replace(bad, good))
    before = await server.query(ALL)
    command = shlex.split(done.err.rpartition("then write it: ")[2].partition("\n")[0])
    assert command[:4] == ["pyagent", "write", "--bucket", "home"]
    done = await write(*command[4:])
    assert done.status == 0, done.err
    rows = await server.query(ALL)
    assert len(rows) > len(before)
    assert {row["_measurement"] for row in rows} == {row["_measurement"] for row in before}
    assert all(type(row["_value"]) is (str if row["_field"] == "t" else float) for row in rows)


async def test_what_the_server_refuses_is_kept_with_its_line(server: Sandbox, write: Command) -> None:
    await server.write("mem,host=a used=1i 1")
    text = HEADER + "mem,a,1.5,1000000000\ncpu,b,2,2000000000\n"
    done = await write("--errors-file", "bad.csv", write.file("rows.csv", text))
    assert done.status == 1
    assert "rows.csv, line 3: " in done.err
    assert "already exists as type integer" in done.err
    assert (write.folder / "bad.csv").read_text().splitlines()[1:] == ["mem,a,1.5,1000000000"]
    assert ("used", 2.0, "b") in await found(server)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("sheet.xlsx", b"PK\x03\x04rest", "sheet.xlsx: it is no text, but a ZIP archive"),
        ("data.csv", b"a,b\n\0\1\2", "data.csv: line 2, column 1: it is no text, there is a NUL"),
        (
            "data.csv",
            (HEADER + "mem,K\xf6ln,1,5\n").encode("latin-1"),
            "line 3, column 5: column 'host': it is not UTF-8",
        ),
        ("data.csv.gz", gzip.compress((HEADER + "mem,a,1,5\n" * 5000).encode())[:60], "it is cut short"),
        (
            "data.csv",
            HEADER + 'mem,a,1,5\nmem,"b,2,6\n',
            "data.csv: line 4, column 5: a quote is opened here and never closed",
        ),
        ("data.csv", "host,used\na,1\n", "no column of times was found among 'host', 'used'"),
        ("data.csv", "day,v\n01/02/2024,1\n", "--time-format day-first or --time-format month-first"),
        ("missing.csv", None, "cannot read missing.csv: no such file"),
    ],
    ids=["archive", "binary", "encoding", "gzip", "quote", "no-time", "ambiguous", "missing"],
)
async def test_what_cannot_be_read_is_one_line(
    name: str, content: str | bytes | None, words: str, write: Command
) -> None:
    if content is not None:
        write.file(name, content)
    done = await write(name)
    assert done.status == 1
    assert words in done.err
    assert "Traceback" not in done.err


async def test_an_errors_file_that_is_full_ends_the_import(write: Command) -> None:
    done = await write("--errors-file", "/dev/full", write.file("rows.csv", HEADER + "mem,a,x,5\n"))
    assert done.status == 1
    assert "cannot write to the errors file /dev/full: no space left on device" in done.err


@pytest.mark.parametrize("way", ["name", "link", "hard link", "standard input", "dry", "token"])
async def test_the_errors_file_is_none_of_those_that_are_read(way: str, server: Sandbox, write: Command) -> None:
    text = HEADER + "mem,a,1,5\nmem,a,x,5\n"
    name = write.file("rows.csv", text)
    other = write.folder / "other"
    if way == "link":
        other.symlink_to(name)
    elif way == "hard link":
        other.hardlink_to(write.folder / name)
    errors = "other" if other.exists() else name
    words = ["--bucket", "home", "--errors-file", errors]
    if way == "token":
        words += ["--token-file", name, write.file("others.csv", text)]
    elif way != "standard input":
        words += [name]
    with (write.folder / name).open() as file:
        process = await write.start(*(["dryrun"] if way == "dry" else []), *words, stdin=file.fileno())
        async with asyncio.timeout(DEADLINE):
            _, err = await process.communicate()
    assert process.returncode == 2
    assert b"it is the same file as" in err
    assert (write.folder / name).read_text() == text
    assert await server.count("mem") == 0


async def test_the_record_of_an_import_is_no_errors_file(server: Sandbox, write: Command) -> None:
    await server.fault(kind="status", status=503, times=1000)
    name = write.file("rows.csv", HEADER + "mem,a,1,5\nmem,a,x,5\n")
    assert (await write("--retry-for", "0", name)).status == 1
    (record,) = (write.folder / ".local/state/pyagent/write").glob("*.json")
    before = record.read_text()
    done = await write("--errors-file", str(record), name)
    assert done.status == 2
    assert "how far this import has come" in done.err
    assert record.read_text() == before


async def test_a_file_that_is_missing_is_found_before_anything_is_written(server: Sandbox, write: Command) -> None:
    name = write.file("rows.csv", HEADER + "mem,a,1,5\n")
    for missing in ("gone.csv", "."):
        done = await write(name, missing)
        assert done.status == 1
        assert f"cannot read {missing}: " in done.err
    assert await server.count("mem") == 0


async def test_an_errors_file_in_no_folder_has_its_remedy(write: Command) -> None:
    done = await write("--errors-file", "gone/bad.csv", write.file("rows.csv", HEADER + "mem,a,1,5\n"))
    assert done.status == 1
    assert "cannot write to the errors file gone/bad.csv: no such file or directory; make its folder" in done.err
    assert "room" not in done.err


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--bucket", "nowhere"], 1, "correct --bucket"),
        (["--rate-limit", "fast"], 1, "cannot use --rate-limit 'fast'"),
        (["--encoding", "klingon"], 1, "cannot use the encoding 'klingon'"),
        (["--token-file", "-", "-"], 2, "both the token and the data are to come from it"),
        (["--token", "secret"], 2, "cannot take a token as an argument"),
        (["--formt", "csv"], 2, "did you mean --format?"),
    ],
)
async def test_mistakes_in_the_flags_are_told(words: list[str], status: int, text: str, write: Command) -> None:
    done = await write(*words, write.file("data.csv", TUTORIAL))
    assert done.status == status, done.err
    assert text in done.err
    assert "\nE!" not in done.err


async def test_a_server_that_goes_away_in_the_middle_is_waited_for(server: Sandbox, write: Command) -> None:
    await server.fault(kind="status", status=503, times=2)
    await server.fault(kind="status", status=429, times=1, retry_after=1)
    done = await write(write.file("data.csv", TUTORIAL))
    assert done.status == 0, done.err
    assert "it is tried again" in done.err
    assert "takes lines again" in done.err
    assert await server.count("m") == 3


async def test_a_server_that_stays_away_is_given_up(server: Sandbox, write: Command) -> None:
    await server.fault(kind="status", status=503, times=1000)
    done = await write("--retry-for", "0", write.file("data.csv", TUTORIAL))
    assert done.status == 1
    assert "given up after 0 s" in done.err


def rows(count: int) -> str:
    return HEADER + "".join(
        f"mem,h{number % 7},{'x' if number % 1000 == 7 else number},{number + 1}\n" for number in range(count)
    )


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_an_import_that_is_broken_off_goes_on(end: signal.Signals, server: Sandbox, write: Command) -> None:
    count = 100_000
    name = write.file("big.csv", rows(count))
    bad = write.folder / "bad.csv"
    words = ("--bucket", "home", "--errors-file", "bad.csv", "--no-compression")
    process = await write.start(*words, "--rate-limit", "1 MB/s", name)
    records = write.folder / ".local/state/pyagent/write"
    async with asyncio.timeout(DEADLINE):
        while (
            not (files := [*records.glob("*.json")] if records.is_dir() else [])
            or not json.loads(files[0].read_text())["written"]
        ):
            assert process.returncode is None
            await asyncio.sleep(0.01)
        process.send_signal(end)
        await process.communicate()
    assert process.returncode
    before = await server.count("mem")
    assert 0 < before < count - count // 1000
    done = await write(*words[2:], "--resume", name)
    assert done.status == 1
    assert "it goes on behind line" in done.err
    assert await server.count("mem") == count - count // 1000
    kept = [line for line in bad.read_text().splitlines() if "# error" not in line]
    assert kept == [line for line in rows(count).splitlines() if ",x," in line]
    assert not [*records.glob("*.json")]


async def test_rows_without_a_time_get_one_each_that_stays_at_a_resume(server: Sandbox, write: Command) -> None:
    text = "#datatype measurement,tag,long\nm,host,used\n" + "mem,a,1\n" * 10
    await server.fault(kind="status", status=503, times=1000)
    done = await write("--retry-for", "0", write.file("now.csv", text))
    assert done.status == 1
    await server.clear_faults()
    done = await write("--resume", "now.csv")
    assert done.status == 0, done.err
    assert await server.count("mem") == 10


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", ["now.csv", "now.lp"])
async def test_rows_that_were_stored_and_never_acknowledged_are_the_same_points_at_a_resume(
    name: str, end: signal.Signals, server: Sandbox, write: Command
) -> None:
    rows = "mem,a,1\n" * 10 if name == "now.csv" else "mem,host=a used=1i\n" * 10
    header = "#datatype measurement,tag,long\nm,host,used\n" if name == "now.csv" else ""
    await server.fault(kind="stall", after=True, times=1)
    process = await write.start("--bucket", "home", write.file(name, header + rows))
    async with asyncio.timeout(DEADLINE):
        while not await server.count("mem"):
            assert process.returncode is None
            await asyncio.sleep(0.01)
        process.send_signal(end)
        await process.communicate()
    await server.clear_faults()
    done = await write("--resume", name)
    assert done.status == 0, done.err
    assert "nothing acknowledged" in done.err
    assert await server.count("mem") == 10
    done = await write("--resume", name)
    assert "there is no interrupted import" in done.err


async def test_a_file_that_has_changed_is_not_resumed(server: Sandbox, write: Command) -> None:
    name = write.file("big.csv", rows(60_000))
    process = await write.start("--bucket", "home", "--rate-limit", "500 kB/s", "--no-compression", name)
    records = write.folder / ".local/state/pyagent/write"
    async with asyncio.timeout(DEADLINE):
        while not await server.count("mem"):
            await asyncio.sleep(0.01)
        while not [*records.glob("*.json")] and process.returncode is None:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    write.file("big.csv", rows(60_001).replace("h1,", "h9,"))
    done = await write("--resume", name)
    assert done.status == 1
    assert "big.csv has changed since; start without --resume" in done.err
