"""Makes the manual page and the completions of the command line, from its own parser: documents.py FOLDER.

They lie in FOLDER as in a `share` folder: man/man1/pyagent.1, bash-completion/completions/pyagent,
zsh/site-functions/_pyagent and fish/vendor_completions.d/pyagent.fish.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from pyagent import __version__
from pyagent.cli import COMMANDS
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.run_flags import whole_parser
from pyagent.plugin_kinds import KINDS

COMPLETIONS = {
    "bash": "bash-completion/completions/pyagent",
    "zsh": "zsh/site-functions/_pyagent",
    "fish": "fish/vendor_completions.d/pyagent.fish",
}
INSTANCES = shtab.cmd("ls /run/pyagent 2>/dev/null")
PLUGINS = shtab.cmd("pyagent plugins 2>/dev/null | cut -d ' ' -f 1")
CHOICES = {"COMMAND": list(COMMANDS), "KIND": [*sorted(KINDS), "show", "page"]}
COMPLETED = {
    "FILE": shtab.FILE,
    "FILE_OR_URL": shtab.FILE,
    "DIR": shtab.DIRECTORY,
    "INSTANCE": INSTANCES,
    "KIND.NAME": PLUGINS,
}
"""How a value is completed, by what the help calls it."""
SECTIONS = {
    "EXIT STATUS": """\
.TP
0
success
.TP
1
failure, with one line on standard error that begins with E!
.TP
2
.BR "pyagent status" ,
.B buffer
and
.BR quarantine :
the agent answers that something is wrong;
.BR "pyagent write" :
a mistake in the flags""",
    "ENVIRONMENT": """\
A variable that stands in brackets behind a flag sets it where the flag is not given.
.TP
.BR PYAGENT_CONFIG ", " TELEGRAF_CONFIG
the configurations where
.B \\-\\-config
is not given, separated by commas
.TP
.B INFLUX_TOKEN
the token for a configuration's URL
.TP
.BR NO_COLOR ", " FORCE_COLOR
no colours, or colours also where the output is no terminal""",
    "FILES": """\
.TP
.IR /etc/pyagent/NAME.env ", " /etc/telegraf/telegraf\\-NAME.env
the environment of the service pyagent@NAME
.TP
.I /etc/telegraf/telegraf.conf
the configuration where no other is named
.TP
.I /etc/pyagent/plugins.d
plugins of your own
.TP
.I /var/lib/pyagent/NAME
the buffer and the last good configuration of pyagent@NAME""",
    "SEE ALSO": """\
.BR systemctl (1),
.BR journalctl (1)""",
}


def manual_page() -> str:
    """The manual page, in man(7)'s macros."""
    parser = whole_parser()
    # The library would call the examples COMMENTS; it leaves out those of commands, and says twice what they do.
    examples, parser.epilog = parser.epilog, None
    for one in _commands(parser):
        one.description = f"Examples:\n{one.epilog}" if one.epilog else None
    for one in (parser, *_commands(parser)):
        for action in one.words:
            if isinstance(action.choices, Choices):
                action.metavar = "|".join(action.choices)
                action.help = "; ".join(f"{name}: {text}" for name, text in action.choices.texts.items())
        # Texts are not wrapped: no line begins with a character that means something to roff but where one text does.
        one.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=10_000)  # type: ignore[assignment]
    about = {
        "project_name": "pyagent",
        "version": __version__,
        "manual_title": "pyagent",
        "description": "gather metrics and write them to InfluxDB, as Telegraf does",
    }
    page = Manpage(parser, about, format="single-commands-section")
    page.add_section("EXAMPLES", ">", f".nf\n{examples}\n.fi".replace("-", "\\-"))
    for heading, text in SECTIONS.items():
        page.add_section(heading, ">", text)
    return _mended(str(page))


def _mended(page: str) -> str:
    """Without blank lines, dates that are no dates, and texts that roff takes for requests."""
    head, _, rest = page.partition("\n")
    rest = re.sub(r"^(?='|\.(?!(SH|SS|TP|RS|RE|PP|BR?|IR?|nf|fi)\b))", r"\\&", rest, flags=re.MULTILINE)
    rest = re.sub(r"\n\n+(?=\.)", "\n", rest)
    return head.replace("\\-", "-") + "\n" + re.sub(r"\n\n+", "\n.PP\n", rest)


def completion(shell: str) -> str:
    """The script that completes `pyagent` in a shell, one of COMPLETIONS."""
    parser = whole_parser()
    for one in (parser, *_commands(parser)):
        for action in (*one.words, *(flag for flags in one.groups.values() for flag in flags)):
            name = str(action.metavar)
            if "|" in name:
                action.choices = name.split("|")
            elif name in CHOICES:
                action.choices = CHOICES[name]
            elif name in COMPLETED:
                action.complete = COMPLETED[name]  # type: ignore[attr-defined]  # as shtab wants it
    script: str = shtab.complete(parser, shell)
    return script


def _commands(parser: CommandParser) -> Iterator[CommandParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def main() -> None:
    folder = Path(sys.argv[1])
    documents = {"man/man1/pyagent.1": manual_page()}
    documents |= {path: completion(shell) for shell, path in COMPLETIONS.items()}
    for path, text in documents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
