"""What the README and the pages promise: the plugin shown works as it stands there, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_readmes_plugin_works(root: Path, tmp_path: Path) -> None:
    plugin, _ = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    (tmp_path / "load.py").write_text(plugin)
    configuration = tmp_path / "readme.conf"
    configuration.write_text("[[inputs.load]]\n")
    command = [sys.executable, "-m", "pyagent", "--config", str(configuration), "--plugin-directory", str(tmp_path)]
    done = subprocess.run([*command, "--test"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("> load,host=")


def test_the_readme_fits_a_terminal(root: Path) -> None:
    assert not [line for line in (root / "README.md").read_text().splitlines() if len(line) > 100]


def test_links_lead_somewhere(root: Path) -> None:
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]
    assert links
    assert not [(page.name, link) for page, link in links if not (page.parent / link).exists()]
