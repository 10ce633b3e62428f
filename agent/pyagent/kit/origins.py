"""Where code of others is from: texts for `Input.origins`. None of it is imported or run for that; arguments are not told."""

import os
import shlex
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.metadata import Distribution
from itertools import dropwhile

__all__ = ["module_file", "origin_of_module", "program_of"]

_RUNS_ANOTHER = ("sudo", "doas", "env", "nice", "ionice", "timeout")


def program_of(words: Sequence[str]) -> str:
    """The program that a command runs: behind variables, and behind what runs it (`sudo -n -u nagios`). Empty where there is
    none."""
    if list(words[:2]) == ["/bin/sh", "-c"] and len(words) > 2:
        try:
            words = shlex.split(words[2])
        except ValueError:  # only a shell knows
            return ""
    words = list(dropwhile(lambda word: "=" in word, words))
    if words and os.path.basename(words[0]) in _RUNS_ANOTHER:
        words = [word for word in words[1:] if word.startswith("/")] or words
    return words[0] if words else ""


def origin_of_module(name: str, folders: Sequence[str] = (), *, package: str = "") -> str:
    """`NAME: FILE (PACKAGE VERSION)`, as far as it is known. `folders`: where it is looked for before Python's own. `package`:
    what it may have been installed as; it counts where it lies beside the module. A name may end in that of a class."""
    file, module = module_file(name, folders)
    if not file or name.endswith(".py"):
        return name
    folder = file.removesuffix("__init__.py").rstrip("/")
    for _ in module.split("."):
        folder = os.path.dirname(folder)
    installed = next(iter(Distribution.discover(name=package, path=[folder])), None) if package else None
    version = f" ({installed.metadata['Name']} {installed.version})" if installed is not None else ""
    return f"{name}: {file}{version}"


def module_file(name: str, folders: Sequence[str] = ()) -> tuple[str, str]:
    """The file of a module, and its name without that of a class. An empty file: there is none."""
    if name.endswith(".py"):
        return name, name
    for module in filter(None, (name, name.rpartition(".")[0])):
        if file := _found(module, [*folders, *sys.path]):
            return file, module
    return "", name


def _found(name: str, folders: Sequence[str]) -> str:
    """The file of a module. Its parents may be in several folders, so they are not asked."""
    *above, _ = name.split(".")
    for folder in folders:
        place = os.path.join(folder, *above)
        try:
            spec = PathFinder.find_spec(name, [place]) if os.path.isdir(place) else None
        except (ImportError, ValueError, KeyError, OSError):
            continue
        if spec is not None and spec.has_location and spec.origin:
            return spec.origin
    return ""
