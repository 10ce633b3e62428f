"""The token that InfluxDB is called with: from a file or a variable, never from an argument."""

import argparse
import os
import re
import sys

from pyagent.api import Secret
from pyagent.cli.provision.values import ProvisionError, cause_of, read_text

__all__ = ["checked_token", "looks_like_token", "only_line", "token_of"]

# InfluxDB makes them of 64 bytes in base64.
_TOKEN = re.compile(r"(?:^-*|[=:@])[A-Za-z0-9_-]{86}==$")
_IN_FILE = re.compile(r"\s*(?:export\s+)?INFLUX_TOKEN\s*=\s*(['\"]?)(.*)\1\s*")


def looks_like_token(word: str) -> bool:
    return _TOKEN.search(word) is not None


def token_of(arguments: argparse.Namespace) -> str:
    """Of --token-file, else of INFLUX_TOKEN; empty where neither is there."""
    if arguments.token_file:
        text = only_line(arguments.token_file, "token", setting=_IN_FILE)
        match = _IN_FILE.fullmatch(text)
        return checked_token(match[2] if match else text, f"in {arguments.token_file}")
    return checked_token(os.environ.get("INFLUX_TOKEN", "").strip(), "in INFLUX_TOKEN")


def checked_token(token: str, where: str) -> str:
    Secret(token)
    if token and (not token.isascii() or not token.isprintable() or " " in token):
        raise ProvisionError(f"cannot use the token {where}: it has characters that no token has; copy it again")
    return token


def only_line(path: str, what: str, *, setting: re.Pattern[str] | None = None) -> str:
    """The one line of a file that is not a comment; `-` is standard input. Of several, the one that is a `setting`: the file
    is one of settings. Raises ProvisionError where there is none, or several.
    """
    if looks_like_token(path):
        raise ProvisionError(f"cannot use a {what} as the name of a file: write it into one, and name that")
    try:
        text = sys.stdin.read() if path == "-" else read_text(path)
    except (OSError, ValueError) as error:
        raise ProvisionError(f"cannot read the {what} in {path}: {cause_of(error)}") from None
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise ProvisionError(f"cannot read the {what} in {path}: the file is empty")
    if setting is not None and len(found := [line for line in lines if setting.fullmatch(line)]) == 1:
        return found[0]
    if len(lines) > 1:
        raise ProvisionError(
            f"cannot read the {what} in {path}: it has more than one line; keep the {what} alone in it"
        )
    return lines[0]
