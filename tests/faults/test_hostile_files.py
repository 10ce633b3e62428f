"""Files that a configuration may name and that never end: each is one error, within seconds and without taking memory."""

import os
from pathlib import Path

import pytest
from hostile import run

ENDLESS = ["/dev/zero", "/dev/urandom", "pipe", "socket", "link", "sparse"]
GATHER = """
from pyagent.api import PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.file import File

for data_format in ("influx", "csv", "json", "value"):
    options = {{"csv_header_row_count": 1}} if data_format == "csv" else {{}}
    try:
        make_input(File, {{"files": [{path!r}], "data_format": data_format, **options}}).gather(InputAccumulator())
    except PyagentError as error:
        assert "cannot read" in str(error), error
        print("told")
"""
LOAD = """
import subprocess, sys

done = subprocess.run([sys.executable, "-m", "pyagent", *{words!r}], capture_output=True, text=True)
assert done.returncode == 1, done
assert {path!r} in done.stderr + done.stdout, done
print("told")
"""
CERTIFICATE = """
[[outputs.influxdb_v2]]
  urls = ["https://127.0.0.1:1"]
  token = "t"
  organization = "o"
  bucket = "b"
  tls_ca = "{path}"
[[inputs.mem]]
"""


@pytest.fixture(params=ENDLESS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    import socket

    name: str = request.param
    place = tmp_path / name.strip("/").replace("/", "-")
    if name.startswith("/"):
        return name
    if name == "pipe":
        os.mkfifo(place)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(place))
    elif name == "link":
        place.symlink_to("/dev/zero")
    else:
        with place.open("wb") as file:
            file.truncate(1 << 42)
    return str(place)


def test_an_input_says_so(path: str) -> None:
    assert run(GATHER.format(path=path)).split() == ["told"] * 4


@pytest.mark.parametrize("words", [["--test", "--config"], ["config", "check", "--config"]], ids=" ".join)
def test_a_run_says_so_of_its_configuration(path: str, words: list[str]) -> None:
    assert run(LOAD.format(words=[*words, path], path=path), PYAGENT_STATE_DIRECTORY="") == "told"


def test_an_output_says_so_of_its_certificates(path: str, tmp_path: Path) -> None:
    if path.endswith("sparse"):
        pytest.skip("OpenSSL reads a certificate's file line by line, and stops at the first that is too long")
    config = tmp_path / "agent.conf"
    config.write_text(CERTIFICATE.format(path=path))
    assert run(LOAD.format(words=["config", "check", "--config", str(config)], path=path)) == "told"
