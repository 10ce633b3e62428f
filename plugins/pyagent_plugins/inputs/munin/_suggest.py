"""Which plugins of Munin suit this host: `autoconf` and `suggest` of each, as munin-node-configure asks them."""

import os
import re
import shlex
import time
from collections.abc import Callable
from typing import Any

from pyagent.api import PyagentError
from pyagent.api.files import read_file
from pyagent.kit.each import for_each_in_threads

from ._configuration import read_configuration
from ._folder import Folder, Program

__all__ = ["suggestions"]

_MAGIC = re.compile(rb"#%#\s+(family|capabilities)\s*=\s*(.+)")
_ANSWER = re.compile(r"(yes)|no(?:\s+\((.*)\))?", re.DOTALL)
_INSTANCE = re.compile(r"[-\w.:]+", re.ASCII)
_SECONDS = 10.0
"""For each question."""
_SECONDS_IN_ALL = 120.0
_AT_ONCE = 8
_MOST_INSTANCES = 100
_LONGEST_REASON = 200
_LINKS = "/etc/munin/plugins"


def suggestions(
    options: Any, links: str = _LINKS, *, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """Lines for a shell: a link for each plugin that suits and is not linked, and comments with what others say. `seconds`: for
    each question to a plugin. `clock`: seconds that never go back."""
    library = os.path.join(options.library, "plugins")
    complaints: list[str] = []
    folder = Folder(
        library,
        options.configuration,
        library=options.library,
        state=options.state,
        timeout=seconds,
        complain=complaints.append,
    )
    settings = read_configuration(options.configuration, complaints.append)
    magic = {name: _magic(os.path.join(library, name)) for name in folder.names()}
    # As munin-node-configure: those of other families are for whoever chooses them.
    names = [name for name, (family, able) in magic.items() if family == b"auto" and b"autoconf" in able]
    manual = sum(family == b"manual" for family, _ in magic.values())
    found: dict[str, list[str]] = {}
    deadline = clock() + _SECONDS_IN_ALL

    def ask(name: str) -> None:
        path = os.path.join(library, name)
        if clock() > deadline:
            found[name] = [f"# {name}: not asked, as the others took longer than {_SECONDS_IN_ALL:g} s"]
            return
        try:
            suits, reason, instances = _ask(folder.program(path, settings(name)), b"suggest" in magic[name][1])
        except PyagentError as error:
            found[name] = [f"# {name}: {_one_line(str(error))}"]
            return
        found[name] = _links(path, links, instances) if suits else [f"# {name}: no{f' ({reason})' if reason else ''}"]

    for_each_in_threads(names, ask, at_once=_AT_ONCE)
    lines = [line for name in names for line in found[name]]
    lines += [f"# {_one_line(text)}" for text in complaints]
    some = any(not line.startswith("#") or line.endswith(_LINKED) for line in lines)
    if some:
        lines += ["#", "# [[inputs.munin]]", f'#   directory = "{links}"']
    if manual:
        lines.append(
            f"# plugins of the family manual, which are not asked: {manual}; link what you want of them yourself"
        )
    return lines


_LINKED = ": yes, and linked"


def _links(path: str, folder: str, instances: list[str]) -> list[str]:
    """What to do with a plugin that suits."""
    name = os.path.basename(path)
    if name.endswith("_") and not instances:
        return [f"# {name}: yes; it names no instance, so link it as {name}INSTANCE yourself"]
    lines = []
    for link in [name + instance for instance in instances[:_MOST_INSTANCES]] if name.endswith("_") else [name]:
        where = os.path.join(folder, link)
        is_there = os.path.lexists(where)
        lines.append(f"# {link}{_LINKED}" if is_there else f"ln -s {shlex.quote(path)} {shlex.quote(where)}")
    more = len(instances) - _MOST_INSTANCES
    return [*lines, f"# {name}: {more} more instances"] if more > 0 else lines


def _ask(program: Program, suggests: bool) -> tuple[bool, str, list[str]]:
    """Whether it suits, why not, and its instances."""
    text = program.ask("autoconf", may_fail=True).strip()  # old ones end with 1 to say no
    match = _ANSWER.fullmatch(text)
    if match is None:
        raise PyagentError(f"its answer to autoconf is neither yes nor no: {text[:80]!r}")
    if not match[1]:
        return False, _one_line(match[2] or ""), []
    found = program.ask("suggest").split() if suggests else []
    return True, "", [one for one in found if _INSTANCE.fullmatch(one)]


def _magic(path: str) -> tuple[bytes, list[bytes]]:
    """Its family and what it can do, as it says itself."""
    try:
        said = dict(_MAGIC.findall(read_file(path)))
    except OSError:
        said = {}
    return said.get(b"family", b"").strip(), said.get(b"capabilities", b"").split()


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
