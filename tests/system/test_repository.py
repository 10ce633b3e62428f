"""The repository's own machinery: its commands are listed, its requirements pinned and complete, its modules small."""

import importlib.metadata
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins(path: Path) -> dict[str, str]:
    """The pinned versions of a requirement file, by name; every one must have a hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", path.read_text()):
        if not entry.startswith("#"):
            requirement = Requirement(entry.split("\\")[0])
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", entry
            assert "--hash=sha256:" in entry, entry
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def wanted(root: Path, name: str) -> list[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    build = project["build-system"]["requires"] + lines(root / "requirements" / "build.in")
    extras = project["project"]["optional-dependencies"]
    everything = [one for extra in extras.values() for one in extra]
    apart = extras["parquet"] + extras["collectd"] + extras["datadog"]
    run = project["project"]["dependencies"] + [one for one in everything if one not in apart]
    documents = lines(root / "requirements" / "documents.in")
    return {
        "build": build,
        "documents": documents,
        "run": run,
        "dev": build + run + apart + lines(root / "requirements" / "dev.in"),
    }[name]


@pytest.mark.parametrize("name", ["build", "documents", "run", "dev"])
def test_the_requirements_are_pinned_and_in_step(root: Path, name: str) -> None:
    pinned = pins(root / "requirements" / f"{name}.txt")
    for text in wanted(root, name):
        requirement = Requirement(text)
        if requirement.name != "pyagent-telemetry":
            version = pinned.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not in requirements/{name}.txt; run make requirements"
            assert requirement.specifier.contains(version), f"{text}: {version} is pinned; run make requirements"


def test_what_the_pinned_need_is_pinned(root: Path) -> None:
    """pip refuses the whole file otherwise, but only where such a package is not installed yet."""
    pinned = {"setuptools"} | pins(root / "requirements" / "dev.txt").keys()
    missing = [
        f"{name} needs {text}"
        for name in sorted(pinned)
        for text in _needs(name)
        if (needed := Requirement(text)).marker is None or needed.marker.evaluate({"extra": ""})
        if canonicalize_name(needed.name) not in pinned
    ]
    assert missing == []


def _needs(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # pinned for other systems
        return []


def test_development_runs_what_is_installed(root: Path) -> None:
    dev = pins(root / "requirements" / "dev.txt")
    for name in ("build", "run"):
        assert pins(root / "requirements" / f"{name}.txt").items() <= dev.items()


def test_the_requirements_name_no_package_index(root: Path) -> None:
    for path in (root / "requirements").iterdir():
        assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|https?://", path.read_text()), path


def test_help_lists_every_target(root: Path) -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (root / "Makefile").read_text(), re.MULTILINE)
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    listed = [line.split()[1] for line in shown.splitlines()]
    assert sorted(listed) == sorted(set(targets) - {"test-packages", "always"})


def test_the_versions_of_python_are_the_same_everywhere(root: Path) -> None:
    """What the package says, what the documentation says is tried, and what the tests run with."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    said = re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)
    assert said == ["3.11", "3.12", "3.13", "3.14"]
    assert project["requires-python"] == f">={said[0]}"
    assert re.findall(r"^\| (3\.\d+) \|", (root / "docs/installation.md").read_text(), re.MULTILINE) == said
    assert re.findall(r"python(3\.\d+)", (root / "scripts/unit-elsewhere").read_text())[: len(said)] == said


def test_modules_stay_small(root: Path) -> None:
    long = {
        str(path.relative_to(root)): count
        for folder in ("agent", "plugins")
        for path in (root / folder).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_no_two_files_of_tests_have_one_name(root: Path) -> None:
    """Tests are in no packages: pytest takes the second for the first, and runs none."""
    names = Counter(path.name for path in (root / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_the_shell_scripts_have_no_mistakes(root: Path) -> None:
    scripts = [
        *(root / "scripts").iterdir(),
        root / ".ci/run",
        root / "systemd/pyagent-environment",
        root / "tests/system/make-root",
        root / "tests/system/make-building-root",
    ]
    for script in scripts:
        if script.suffix == ".py" or script.is_dir():  # what Python keeps of it
            continue
        shell = script.read_text().splitlines()[0].removeprefix("#!")
        if shell.endswith("python3"):
            continue
        subprocess.run([shell, "-n", script], check=True, timeout=60)
        assert script.stat().st_mode & 0o111, f"{script} is not executable"
