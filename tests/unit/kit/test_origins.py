"""Where code of others is from."""

import sys
from pathlib import Path

import pytest

from pyagent.kit.origins import origin_of_module, program_of


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["/bin/a", "-p", "secret"], "/bin/a"),
        (["/bin/sh", "-c", "PW='a secret' B=1 /bin/a secret | b"], "/bin/a"),
        (["/bin/sh", "-c", "PW='secret /bin/a"], ""),
        (["/bin/sh", "-c", "PW=secret"], ""),
        (["sudo", "-n", "-u", "nagios", "/bin/a", "secret"], "/bin/a"),
        (["/usr/bin/env", "PW=secret", "a"], "/usr/bin/env"),
        ([], ""),
    ],
)
def test_the_program_of_a_command_without_its_arguments(words: list[str], program: str) -> None:
    assert program_of(words) == program


def test_a_module_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its parents are in several folders; its package counts where it lies beside it."""
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "spaces").mkdir(parents=True)
    (first / "spaces" / "__init__.py").write_text("raise SystemExit(7)")
    (second / "spaces" / "thing").mkdir(parents=True)
    (second / "spaces" / "thing" / "__init__.py").write_text("raise SystemExit(7)")
    (second / "thing_spaces-1.2.dist-info").mkdir()
    (second / "thing_spaces-1.2.dist-info" / "METADATA").write_text("Name: thing-spaces\nVersion: 1.2\n")
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "none"), str(second)])
    file = f"{second}/spaces/thing/__init__.py"
    assert origin_of_module("spaces.thing") == f"spaces.thing: {file}"
    assert origin_of_module("spaces.thing", package="thing-spaces") == f"spaces.thing: {file} (thing-spaces 1.2)"
    assert origin_of_module("spaces.thing.Class") == f"spaces.thing.Class: {file}"
    assert origin_of_module("spaces", [str(second)], package="thing-spaces") == f"spaces: {first}/spaces/__init__.py"
    assert origin_of_module("/x/y.py") == "/x/y.py"
    assert origin_of_module("none.such.thing") == "none.such.thing"
    assert "spaces" not in sys.modules
