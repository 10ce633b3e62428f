"""The flags that say which InfluxDB is meant and as whom it is called. Secrets never are arguments."""

import argparse
from typing import Any

from pyagent.cli.arguments import CommandParser

__all__ = ["RefusedSecret", "add_server_flags"]


class RefusedSecret(argparse.Action):
    """A secret as an argument."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        name = self.option_strings[-1].lstrip("-")
        variable = name.upper().replace("-", "_") if name.startswith("grafana-") else f"INFLUX_{name.upper()}"
        parser.error(
            f"cannot take a {name} as an argument: everybody on this host sees the arguments of a process, and the shell "
            f"remembers them; write it into a file and name that with --{name}-file, or set {variable}"
        )


def add_server_flags(parser: CommandParser) -> None:
    """Those of commands that call InfluxDB for one organization, under the names that `influx` has for them, too."""
    parser.group("InfluxDB, and as whom it is called")

    def flag(*names: str, text: str, **settings: Any) -> None:
        parser.add_argument(*names, help=text, default="", **settings)

    flag("--host", "--url", dest="url", text="its address, such as http://localhost:8086 (INFLUX_HOST)", metavar="URL")
    flag(
        "-o",
        "--org-id",
        "--org",
        dest="org",
        text="organization, by name or ID (INFLUX_ORG; default: the only one)",
        metavar="NAME",
    )
    flag("--token-file", text="file with a token; - is standard input (else INFLUX_TOKEN, else asked for)",
         metavar="FILE")  # fmt: skip
    flag("--user", text="sign in as this user, without a token", metavar="NAME")
    flag("--password-file", text="file with the user's password (else INFLUX_PASSWORD, else asked for)", metavar="FILE")
    flag("--tls-ca", text="certificate authorities to trust, PEM", metavar="FILE")
    for names in (("-t", "--token"), ("--password",)):
        flag(*names, text=argparse.SUPPRESS, action=RefusedSecret)
