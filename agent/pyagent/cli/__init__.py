"""The command line. One file per command; what a command needs is imported when it runs.

A command's module has `configure(parser)` and `run(arguments) -> exit status`.
"""

import errno
import os
import sys
from collections.abc import Sequence

from pyagent import __version__

COMMANDS = {
    "buffer": "list the queues on disk, give one to another output, or drop it",
    "config": "make a configuration, check one, or show what it means",
    "dashboards": "make dashboards and alert rules for Grafana",
    "demo": "run agents against an embedded InfluxDB 2 and show what arrives",
    "doctor": "look for what keeps data from arriving, and say what to do",
    "help": "show the help of the agent or of a command",
    "link": "make a telegraf command that is this agent",
    "new": "write a plugin to begin with, its options, a case and a test",
    "plugins": "list the plugins, or show what one measures and its options",
    "provision": "set up InfluxDB and this host for an agent",
    "quarantine": "list the metrics that receivers refused, retry or drop them",
    "query": "run a Flux query and show, draw or export what it gives",
    "reload": "let a running agent read its configuration anew",
    "sandbox": "run an embedded server that answers as InfluxDB 2 does",
    "secrets": "list, read, set or remove secrets in secret stores",
    "status": "show what a running agent gathers, writes, and what fails",
    "version": "print the version",
    "write": "write files of CSV or line protocol to InfluxDB",
}
"""Modules of this package and what each is for; `version` has no module, for it must not even cost an import."""

_CHANGING = frozenset(("buffer", "dashboards", "link", "new", "provision", "quarantine", "reload", "secrets"))
"""Commands that change something: whoever reads what they print may go, and the work is done to its end."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Of a file that standard output was led to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, the agent itself where they name none; returns the exit status.

    0 is success, 1 any failure, with one line on standard error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _dispatched(words)
        finally:
            # What fails at Python's own end is told with a traceback.
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`pyagent ... | head`); Python must not complain at the end.
        sys.stderr.close()
        _drop_output()
        return 1
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        print(f"E! cannot write what is to be printed: {error.strerror}", file=sys.stderr)
        _drop_output()
        return 1


def _drop_output() -> None:
    """What is left of the output would be tried again at the end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _dispatched(words: Sequence[str]) -> int:
    if words and words[0].lstrip("-") == "version":
        print(f"pyagent {__version__}")
        return 0
    if not words or words[0].startswith("-"):
        from pyagent.cli import run

        return run.main(words)
    return command(words[0], words[1:])


def command(name: str, words: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    import importlib

    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        print(f"E! unknown command {name!r}; {hint}see pyagent --help", file=sys.stderr)
        return 1
    try:
        module = importlib.import_module(f"pyagent.cli.{name}")
    except ImportError as error:
        print(f"E! cannot run {name!r}: {error}{how_to_install(error)}", file=sys.stderr)
        return 1
    from pyagent.cli.arguments import CommandParser

    parser = CommandParser(prog=f"pyagent {name}", description=sentence(COMMANDS[name]))
    module.configure(parser)
    parsed = parser.parse_args(words)
    if name not in _CHANGING:
        return int(module.run(parsed))
    from pyagent.cli.kept_output import output_may_end

    with output_may_end():
        status: int = module.run(parsed)
    return status


def how_to_install(error: ImportError) -> str:
    """The end of a message about a library that is missing; empty where none is."""
    from pyagent.kit import libraries

    library = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not library or library.startswith("pyagent"):
        return ""
    return f"; install it with: {libraries.how_to_install(library)}"


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
