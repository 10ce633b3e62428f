"""Plugins that were written for the old paths go on, with a warning that names the new ones."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pyagent.api
from pyagent.kit import http_server

MOVED = {
    "connecting": "connect_errors",
    "connections": "connections",
    "gjson": "gjson",
    "glob": "glob",
    "host": "procfs",
    "http": "http_client",
    "http_connection": "http_connection",
    "inflate": "inflate",
    "libraries": "libraries",
    "listener": "http_server",
    "listening": "listen_address",
    "regex": "regex",
    "scratch": "scratch",
    "timestamps": "timestamps",
    "tls": "tls",
}


@pytest.mark.parametrize("old", MOVED)
def test_the_old_path_of_a_module_gives_its_names_and_warns(old: str) -> None:
    module = importlib.import_module(f"pyagent.api.{old}")
    assert module.__all__
    for name in module.__all__:
        with pytest.warns(DeprecationWarning, match=rf"pyagent\.api\.{old}\.{name} is now pyagent\.kit\.") as caught:
            found = getattr(module, name)
        assert str(caught[0].message).partition(" is now ")[2].startswith(f"pyagent.kit.{MOVED[old]}.{name}") or (
            (old, name) in [("http", "TlsOptions"), ("listener", "Answer"), ("listener", "Refused")]
        )
        assert caught[0].filename == __file__
        assert found is not None


@pytest.mark.parametrize(
    ("module", "name", "new"),
    [
        ("pyagent.api", "host_path", "pyagent.kit.procfs"),
        ("pyagent.api.files", "match_files", "pyagent.kit.globpath"),
        ("pyagent.api.http", "TlsOptions", "pyagent.kit.tls"),
        ("pyagent.api.http", "HttpClient", "pyagent.kit.http_client"),
    ],
)
def test_the_old_path_of_a_name_gives_what_the_new_one_does(module: str, name: str, new: str) -> None:
    with pytest.warns(
        DeprecationWarning, match=f"{module}.{name} is now {new}.{name}; the old path goes with the next"
    ):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(new), name)


def test_the_http_servers_answer_is_a_response_and_what_it_refuses_a_refusal() -> None:
    for old, new in (("Answer", "Response"), ("Refused", "HttpRefusal")):
        with pytest.warns(DeprecationWarning, match=f"{old} is now pyagent.kit.http_server.{new}"):
            assert getattr(http_server, old) is getattr(http_server, new)


def test_a_name_that_never_was_is_an_error_as_usual() -> None:
    with pytest.raises(AttributeError, match=r"'pyagent\.api' has no attribute 'host_paths'"):
        _ = pyagent.api.host_paths
    with pytest.raises(ImportError, match="cannot import name 'Client'"):
        exec("from pyagent.api.http import Client")


def test_an_old_plugin_runs_and_its_author_is_warned(tmp_path: Path) -> None:
    plugin = tmp_path / "old.py"
    plugin.write_text("from pyagent.api import Input, host_path\nfrom pyagent.api.glob import compile_patterns\n")
    command = [sys.executable, "-W", "default", "-c", f"import runpy; runpy.run_path({str(plugin)!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{plugin}:1: DeprecationWarning: pyagent.api.host_path is now pyagent.kit.procfs.host_path" in done.stderr
    assert f"{plugin}:2: DeprecationWarning: pyagent.api.glob.compile_patterns is now pyagent.kit.glob" in done.stderr


def test_the_contract_alone_brings_no_kit() -> None:
    code = "import sys, pyagent.api; print([name for name in sys.modules if name.startswith('pyagent.kit')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
