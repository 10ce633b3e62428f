"""The folders and the texts of the demonstration."""

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from pyagent.cli import demo, demo_processes
from pyagent.cli.arguments import CommandParser
from pyagent.cli.demo_processes import LOAD, PostgresSearch, declared_units, host_load, temporary_folder
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.testing.servers import PostgresServer, ServerMissing


def test_the_folder_goes_and_so_do_those_of_killed_demonstrations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, new, other = (tmp_path / name for name in ("pyagent-demo-1", "pyagent-demo-2", "pyagent-other"))
    for folder in (killed, new, other):
        folder.mkdir()
    (killed / "file").touch()
    for folder in (killed, other):
        os.utime(folder, (0, 0))
    with temporary_folder() as used:
        os.utime(used, (0, 0))
        with temporary_folder():  # it leaves alone what another one uses
            assert {folder.name for folder in tmp_path.iterdir()} >= {used.name, new.name, other.name}
        assert used.is_dir()
        assert not killed.exists()
    assert set(tmp_path.iterdir()) == {new, other}


def test_units_are_those_that_the_plugins_declare() -> None:
    units = declared_units("mem", "postgresql", "nosuch")
    assert units["mem", "used"] == "bytes"
    assert units["mem", "used_percent"] == "percent"
    assert units["postgresql", "active_time"] == "ms"


@pytest.mark.parametrize(
    ("names", "sections", "has_file"),
    [
        ((), (), True),
        (("system",), ("system",), False),
        (("system", "cpu"), ("cpu", "system"), False),
        (("cpu",), ("cpu",), True),
    ],
)
def test_the_load_is_shown_by_the_plugins_for_it_as_soon_as_there_are_some(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], sections: tuple[str, ...], has_file: bool
) -> None:
    entries = [CatalogEntry("inputs", name, "pyagent") for name in ("mem", *names)]
    monkeypatch.setattr(Catalog, "entries", lambda self, *kinds: iter(entries))
    monkeypatch.setattr(demo_processes.os.path, "exists", lambda path: True)
    text, used = host_load()
    assert sorted(used) == sorted(sections)
    assert all(f"[[inputs.{name}]]" in text for name in sections)
    assert (LOAD in text) is has_file


@pytest.mark.parametrize("text", ["soon", "-1", "", "nan", "1e99"])
def test_a_span_of_time_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="pyagent demo")
    demo.configure(parser)
    with pytest.raises(SystemExit, match="1"):
        parser.parse_args([f"--for={text}"])
    error = capsys.readouterr().err
    assert error.startswith("E! ")
    assert "--for" in error
    assert error.count("\n") == 1
    assert parser.parse_args(["--for", "2m"]).seconds == 120
    assert parser.parse_args(["--for", "1.5"]).seconds == 1.5


def test_without_a_postgresql_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("Connection refused")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setattr(PostgresServer, "_find", staticmethod(_missing))
    search = PostgresSearch()
    search.begin()
    search.stop()
    assert search.has_just_ended()
    assert search.address == ""
    assert search.note == (
        "PostgreSQL is left out, none answers at localhost: cannot start PostgreSQL: its server programs are missing; "
        "apt install postgresql"
    )
    search.begin_work()  # of which there is none then
    search.stop()


def _missing() -> Path:
    raise ServerMissing("cannot start PostgreSQL: its server programs are missing; apt install postgresql")
