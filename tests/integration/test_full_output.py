"""Standard output that takes nothing, such as a file on a full disk: one line, and exit status 1."""

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
PYAGENT = Path(sys.executable).with_name("pyagent")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("plugins",),
        ("config", "create"),
        ("config", "show", "--config", "FILE"),
        ("doctor", "--config", "FILE"),
        ("--test", "--quiet", "--config", "FILE"),
    ],
    ids=" ".join,
)
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = tmp_path / "a.conf"
    config.write_text("[[inputs.mem]]\n[[outputs.discard]]\n")
    arguments = [str(config) if word == "FILE" else word for word in words]
    with FULL.open("w") as out:
        done = subprocess.run([PYAGENT, *arguments], stdout=out, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "E! cannot write what is to be printed: No space left on device\n"


def test_what_plugins_print_is_not_in_the_document(tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text(
        "import os\n"
        "from pyagent.api import Accumulator, Input\n"
        "print('at the import')\n"
        "class Talker(Input):\n"
        "    def gather(self, acc: Accumulator) -> None:\n"
        "        print('printed')\n"
        "        os.write(1, b'written')\n"
        "        raise ValueError('told')\n"
    )
    config = tmp_path / "a.conf"
    config.write_text("[[inputs.talker]]\n[[outputs.discard]]\n")
    flags = ["--json", "--config", str(config), "--plugin-directory", str(tmp_path)]
    for command in (["doctor"], ["config", "show"]):
        done = subprocess.run([PYAGENT, *command, *flags], capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith("{"), command
        assert done.stdout.endswith("}\n"), command
        assert "cannot gather" not in done.stderr, command
