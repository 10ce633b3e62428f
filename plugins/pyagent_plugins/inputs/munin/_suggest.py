"""Which plugins of Munin suit this host: `autoconf` and `suggest` of each, as munin-node-configure asks them."""

import os
import re
import shlex
from typing import Any

from pyagent.api import PyagentError
from pyagent.api.files import read_file

from ._configuration import read_configuration
from ._folder import Folder, Program

__all__ = ["suggestions"]

_CAPABILITIES = re.compile(rb"#%#\s+capabilities\s*=\s*(.+)")
_ANSWER = re.compile(r"(yes)|no(?:\s+\((.*)\))?")
_INSTANCE = re.compile(r"[-\w.:]+", re.ASCII)
_SECONDS = 10.0
_LINKS = "/etc/munin/plugins"


def suggestions(options: Any, links: str = _LINKS) -> list[str]:
    """Lines for a shell: a link for each plugin that suits and is not linked, and comments with what others say."""
    library = os.path.join(options.library, "plugins")
    complaints: list[str] = []
    folder = Folder(
        library,
        options.configuration,
        library=options.library,
        state=options.state,
        timeout=_SECONDS,
        complain=complaints.append,
    )
    settings = read_configuration(options.configuration, complaints.append)
    lines, used = [], []
    for name in folder.names():
        path = os.path.join(library, name)
        capabilities = _capabilities(path)
        if b"autoconf" not in capabilities:
            continue
        try:
            suits, reason, instances = _ask(folder.program(path, settings(name)), b"suggest" in capabilities)
        except PyagentError as error:
            lines.append(f"# {name}: {_one_line(str(error))}")
            continue
        if not suits:
            lines.append(f"# {name}: no{f' ({reason})' if reason else ''}")
            continue
        for link in [name + instance for instance in instances] if name.endswith("_") else [name]:
            used.append(link)
            where = os.path.join(links, link)
            lines.append(
                f"# {link}: yes, and linked"
                if os.path.lexists(where)
                else f"ln -s {shlex.quote(path)} {shlex.quote(where)}"
            )
    lines += [f"# {_one_line(text)}" for text in complaints]
    return [*lines, "#", "# [[inputs.munin]]", f'#   directory = "{links}"'] if used else lines


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


def _capabilities(path: str) -> list[bytes]:
    try:
        match = _CAPABILITIES.search(read_file(path))
    except OSError:
        return []
    return match[1].split() if match else []


def _one_line(text: str) -> str:
    return " ".join(text.split())
