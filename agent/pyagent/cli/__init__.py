"""The command line. One file per command; what a command needs is imported when it runs.

A command's module has `configure(parser)` and `run(arguments) -> exit status`.
"""

import sys
from collections.abc import Sequence

from pyagent import __version__

COMMANDS = {
    "buffer": "list the queues on disk, give one to another output, or drop it",
    "config": "make a configuration, check one, or show what it means",
    "demo": "run agents against an embedded InfluxDB 2 and show what arrives",
    "doctor": "look for what keeps data from arriving, and say what to do",
    "help": "show the help of the agent or of a command",
    "link": "make a telegraf command that is this agent",
    "plugins": "list the plugins, or show what one measures and its options",
    "provision": "set up InfluxDB and this host for an agent",
    "quarantine": "list the metrics that receivers refused, retry or drop them",
    "reload": "let a running agent read its configuration anew",
    "sandbox": "run an embedded server that answers as InfluxDB 2 does",
    "secrets": "list, read, set or remove secrets in secret stores",
    "status": "show what a running agent gathers, writes, and what fails",
    "version": "print the version",
}
"""Modules of this package and what each is for; `version` has no module, for it must not even cost an import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, the agent itself where they name none; returns the exit status.

    0 is success, 1 any failure, with one line on standard error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0].lstrip("-") == "version":
        print(f"pyagent {__version__}")
        return 0
    try:
        if not words or words[0].startswith("-"):
            from pyagent.cli import run

            return run.main(words)
        return command(words[0], words[1:])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`pyagent ... | head`); Python must not complain at the end.
        sys.stderr.close()
        return 1


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
    from pyagent.cli.arguments import Parser

    parser = Parser(prog=f"pyagent {name}", description=sentence(COMMANDS[name]))
    module.configure(parser)
    status: int = module.run(parser.parse_args(words))
    return status


def how_to_install(error: ImportError) -> str:
    """The end of a message about a library that is missing; empty where none is."""
    from pyagent.api import libraries

    library = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not library or library.startswith("pyagent"):
        return ""
    return f"; install it with: {libraries.how_to_install(library)}"


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
