"""What operators paste into an environment file, and that nothing of it gets into the journal."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.runtime.environment_files import EnvironmentFile, environment_files, main

URL = "http://h:8086/api/v2/telegrafs/0b"
BARE = "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRva2Vu" * 2


def read(tmp_path: Path, data: str | bytes) -> EnvironmentFile:
    file = tmp_path / "x.env"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return EnvironmentFile.read(str(file))


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("A=1\n", {"A": "1"}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("\ufeffexport A=1\n", {"A": "1"}),
        ("# export A=1\n; A=1\n\n  \n", {}),
        ("A = x y \n", {"A": "x y"}),
        ("A='x y'z\n", {"A": "x yz"}),
        ('A="x \\" $y \\n"\n', {"A": 'x " $y \\n'}),
        ("A='one\ntwo'\nB=2\n", {"A": "one\ntwo", "B": "2"}),
        ("A=one\\\ntwo\nB=2\n", {"A": "onetwo", "B": "2"}),
        ("A=don't\nB=2\n", {"A": "don't", "B": "2"}),
        ("A=\n", {"A": ""}),
        ("PYAGENT_REMOTE_ENVIRONMENT=\n", {"PYAGENT_REMOTE_ENVIRONMENT": ""}),
        ("A=b c # d\n", {"A": "b c # d"}),
        ("A=x && y; z\n", {"A": "x && y; z"}),
        ("export A=1 B='2 3'\n", {"A": "1", "B": "2 3"}),
        ('export A="x && y; z"\n', {"A": "x && y; z"}),
        ("export A=1 # the token\n", {"A": "1"}),
        ("export A=1; export B=2\n", {"A": "1", "B": "2"}),
        (f"telegraf --config {URL}\n", {"TELEGRAF_CONFIG": URL}),
        (f"sudo telegraf --config {URL}\n", {"TELEGRAF_CONFIG": URL}),
        (f"sudo -E -u telegraf /usr/bin/telegraf --config {URL}\n", {"TELEGRAF_CONFIG": URL}),
        (f"pyagent --config {URL} --debug\n", {"TELEGRAF_CONFIG": URL}),
        (f"pyagent --test -config='{URL}'\n", {"TELEGRAF_CONFIG": URL}),
        (f"telegraf --config {URL}?a=1&b=2\n", {"TELEGRAF_CONFIG": f"{URL}?a=1&b=2"}),
        (f"telegraf --config {URL} --config /etc/x.conf &\n", {"TELEGRAF_CONFIG": f"{URL},/etc/x.conf"}),
        (f"telegraf \\\n  --config {URL}\nA=1\n", {"TELEGRAF_CONFIG": URL, "A": "1"}),
        (f"INFLUX_TOKEN=x== telegraf --config {URL}\n", {"INFLUX_TOKEN": "x==", "TELEGRAF_CONFIG": URL}),
        (f"sudo INFLUX_TOKEN=x telegraf --config {URL}\n", {"INFLUX_TOKEN": "x", "TELEGRAF_CONFIG": URL}),
        (f"export INFLUX_TOKEN=x; telegraf --config {URL}\n", {"INFLUX_TOKEN": "x", "TELEGRAF_CONFIG": URL}),
        (f"export INFLUX_TOKEN=x;telegraf --config {URL};\n", {"INFLUX_TOKEN": "x", "TELEGRAF_CONFIG": URL}),
        (f"export INFLUX_TOKEN=x && sudo telegraf --config {URL}\n", {"INFLUX_TOKEN": "x", "TELEGRAF_CONFIG": URL}),
        (f"export INFLUX_TOKEN=x pyagent --config {URL}\n", {"INFLUX_TOKEN": "x", "TELEGRAF_CONFIG": URL}),
    ],
)
def test_what_is_understood(tmp_path: Path, text: str, settings: dict[str, str]) -> None:
    found = read(tmp_path, text)
    assert {one.name: one.value for one in found.settings} == settings
    assert found.left_out == []


def test_a_file_in_utf_16_with_its_mark(tmp_path: Path) -> None:
    assert [one.text for one in read(tmp_path, "A=ä\r\nB=2\r\n".encode("utf-16")).settings] == ["A=ä", "B=2"]


@pytest.mark.parametrize(
    "line",
    [
        "$ export INFLUX_TOKEN=s3cret==",
        "root@host:~# export INFLUX_TOKEN=s3cret==",
        "> export INFLUX_TOKEN=s3cret==",
        "INFLUX_TOKEN: s3cret==",
        "INFLUX_TOKEN s3cret",
        "s3cret-s3cret==",
        f"{BARE}==",
        "s3cret==",
        f"{BARE}=",
        f"  {BARE}== ",
        BARE,
        "set INFLUX_TOKEN=s3cret",
        '$env:INFLUX_TOKEN="s3cret"',
        'INFLUX_TOKEN="s3cret',
        "export INFLUX_TOKEN='s3cret",
        "1TOKEN=s3cret",
        "INFLUX-TOKEN=s3cret",
        '"INFLUX_TOKEN=s3cret"',
        "INFLUX_TOKEN=s3cret\x07",
        "INFLUX_TOKEN=s3cret\0",
        "export INFLUX_TOKEN",
        "telegraf",
        "curl -H 'Authorization: Token s3cret' http://h",
    ],
)
def test_what_is_not_understood_is_left_out_and_told_by_file_and_number(
    tmp_path: Path, line: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc/pyagent/ram.env"
    file.parent.mkdir(parents=True)
    file.write_text(f"# mine\nA='one\ntwo'\n{line}\nB=2\n")
    monkeypatch.setenv("PYAGENT_ROOT", str(tmp_path))
    assert main("ram") == 0
    written = (tmp_path / "run/pyagent/ram.env").read_text()
    assert written == "A='one\ntwo'\nB=2\n"
    assert (tmp_path / "run/pyagent/ram.env").stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr().err == f"{file}:4: not understood and left out; write NAME=VALUE\n"
    assert (tmp_path / "run/pyagent/ram.env-files").read_text() == (
        f'PYAGENT_ENVIRONMENT_FILES="{tmp_path}/etc/telegraf/telegraf-ram.env (not there) '
        f'and {file} (line 4 not understood)"\n'
    )


def test_what_is_no_utf_8_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, b"A=s3cret\xff\nB=2\n")
    assert [one.text for one in found.settings] == ["B=2"]
    assert found.left_out == [1]


def test_a_backslash_at_the_end_of_a_file_does_not_swallow_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYAGENT_ROOT", str(tmp_path))
    for path, text in (("telegraf/telegraf-ram.env", "A=1\\"), ("pyagent/ram.env", "B=2")):
        (tmp_path / "etc" / path).parent.mkdir(parents=True)
        (tmp_path / "etc" / path).write_text(text)
    main("ram")
    assert (tmp_path / "run/pyagent/ram.env").read_text() == "A=1\nB=2\n"


@given(st.text("AB=_ '\"\\\n\t;#$x1", max_size=30))
def test_what_is_written_means_what_was_read(text: str) -> None:
    """Written again, each setting is read as the same, whatever stands before and behind it."""
    from pyagent.runtime.environment_files import _parsed

    settings, _ = _parsed(text)
    again, left_out = _parsed("".join(f"{one.text}\n" for one in settings))
    assert [(one.name, one.value) for one in again] == [(one.name, one.value) for one in settings]
    assert left_out == []


def test_it_needs_the_standard_library_alone() -> None:
    program = (
        "import sys, pyagent.runtime.environment_files; print([n for n in sys.modules if n.startswith('pyagent')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (
        done.stdout.strip() == "['pyagent', 'pyagent.runtime', 'pyagent.reading', 'pyagent.runtime.environment_files']"
    )


def test_the_files_of_an_instance(tmp_path: Path) -> None:
    assert [str(file) for file in environment_files("ram", str(tmp_path))] == [
        f"{tmp_path}/etc/telegraf/telegraf-ram.env (not there)",
        f"{tmp_path}/etc/pyagent/ram.env (not there)",
    ]
