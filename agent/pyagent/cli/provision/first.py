"""A new server's first set-up: its user, its organization and a bucket. It can be done once."""

import argparse
import contextlib
import json
import os
import shlex
from pathlib import Path

from pyagent.api import Secret
from pyagent.api.units import joined
from pyagent.cli.provision.access import password_of, server_of, state_of
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.values import (
    ProvisionError,
    checked_bucket,
    checked_name,
    checked_password,
    retention_seconds,
    retention_text,
)
from pyagent.cli.terminal import harmless, some_of
from pyagent.cli.tokens import token_of
from pyagent.influxdb import InfluxDBError, Management, server_state

__all__ = ["set_up", "set_up_here"]


def set_up(arguments: argparse.Namespace, questions: Questions) -> int:
    """`provision setup`: one that has been done is no mistake, as far as what is named is there. Raises PyagentError."""
    url = server_of(arguments, questions)
    state = state_of(arguments, url)
    if state.is_set_up:
        _check_named(arguments, questions, url)
    if state.is_set_up or arguments.check:
        if arguments.json:
            print(json.dumps({"url": url, "state": "as it was" if state.is_set_up else "would be set up"}))
        elif state.is_set_up:
            print(
                f"Nothing to do: InfluxDB {state.version} at {url} is set up. Go on: pyagent provision NAME --url {url}"
            )
        else:
            print(f"InfluxDB {state.version} at {url} would be set up.")
        return 0
    set_up_here(arguments, questions, url)
    if arguments.json:
        print(json.dumps({"url": url, "state": "created", "token_file": arguments.token_file}))
        return 0
    kept = f"--token-file {arguments.token_file}" if arguments.token_file else f"--user {shlex.quote(arguments.user)}"
    print(
        f"Next, on each host:\n    pyagent provision ram --url {url} {kept} --org {shlex.quote(arguments.org)} "
        f"--bucket {shlex.quote(arguments.bucket)} --input mem --start"
    )
    return 0


def _check_named(given: argparse.Namespace, questions: Questions, url: str) -> None:
    """Whether a server that is set up has what is named. Raises PyagentError with all that is missing."""
    has_password = given.user and (given.password_file or os.environ.get("INFLUX_PASSWORD"))
    missing = []
    if given.token_file not in ("", "-") and not os.path.exists(given.token_file):
        missing.append(
            f"the operator's token is not in {given.token_file}, and InfluxDB gives it at the first set-up alone: make "
            "one at InfluxDB, or leave --token-file out and sign in with --user"
        )
        token = ""
    else:
        token = token_of(given)
    if token:
        with Management(url, token=token, tls_ca=given.tls_ca) as management:
            missing += _missing(management, given)
    if has_password:
        password = password_of(given, questions, "")
        with Management(url, username=given.user, password=password, tls_ca=given.tls_ca) as management:
            found = _missing(management, given)
            missing += [] if token else found
    elif named := [f"the {what} {harmless(name)!r}" for what, name in _named(given) if what == "user" or not token]:
        questions.say(
            f"W! cannot check whether InfluxDB at {url} has {', '.join(named)}: no password is given; add --user NAME "
            "--password-file FILE"
        )
    if missing:
        raise ProvisionError(f"cannot set up InfluxDB at {url}: that is done already, and {'; '.join(missing)}")


def _named(given: argparse.Namespace) -> list[tuple[str, str]]:
    every = (("user", given.user), ("organization", given.org), ("bucket", given.bucket))
    return [(what, name) for what, name in every if name]


def _missing(management: Management, given: argparse.Namespace) -> list[str]:
    """What this caller does not see, each with what to do."""
    orgs = management.organizations()
    org = management.organization(given.org) if given.org else None
    if given.org and org is None:
        there = some_of([one.name for one in orgs], given.org) or "none that this caller may see"
        return [
            f"there is no organization {harmless(given.org)!r}: make it at InfluxDB, or name one (there is {there})"
        ]
    among = [org] if org else orgs
    if given.bucket and not any(management.bucket(one, given.bucket) for one in among):
        name = shlex.quote(given.bucket)
        return [
            f"there is no bucket {harmless(given.bucket)!r}: make it with pyagent provision NAME --url {management.url} "
            f"--bucket {name} --create-bucket"
        ]
    return []


def set_up_here(arguments: argparse.Namespace, questions: Questions, url: str) -> None:
    """Everything is checked before the one request, which cannot be repeated: a server that fails in the middle of it is
    spent. What was asked for stands in `arguments` then. Raises PyagentError.
    """
    given = arguments
    missing = [f"--{name}" for name in ("user", "org", "bucket") if not getattr(given, name)]
    if missing and not questions.terminal:
        raise ProvisionError(f"cannot set up InfluxDB at {url}: it is not said how; add {', '.join(missing)}")
    if missing:
        questions.say(f"InfluxDB at {url} is new: it gets its first user, organization and bucket.")
    given.user = given.user or questions.text("User", "admin", check=lambda text: checked_name(text, "user"))
    given.org = given.org or questions.text(
        "Organization", "home", check=lambda text: checked_name(text, "organization")
    )
    given.bucket = given.bucket or questions.text("Bucket", "monitoring-system", check=checked_bucket)
    checked_name(given.user, "user")
    checked_name(given.org, "organization")
    checked_bucket(given.bucket)
    if missing and not given.retention:
        given.retention = questions.text("How long it keeps points (30d, 1y, inf)", "inf", check=_retention)
    retention = retention_seconds(given.retention) if given.retention else 0
    password = _new_password(given, questions)
    token_file = _new_file(given.token_file) if given.token_file else None
    try:
        with Management(url, tls_ca=given.tls_ca) as management:
            token = management.set_up(
                username=given.user, password=password, org=given.org, bucket=given.bucket, retention=retention
            )
    except InfluxDBError as error:
        if token_file is not None:
            with contextlib.suppress(OSError):
                token_file.unlink()
        with contextlib.suppress(InfluxDBError):
            if server_state(url, tls_ca=given.tls_ca).is_set_up:
                raise ProvisionError(
                    joined(
                        str(error),
                        f"the user is made nevertheless: go on with pyagent provision NAME --user {given.user} "
                        "--create-bucket",
                    )
                ) from None
        raise
    # Whoever asks for the next token signs in with this.
    given.password_known = password
    Secret(token)
    told = [f"created          user {given.user}, organization {given.org}, bucket {given.bucket} ({_kept(retention)})"]
    if token_file is not None:
        token_file.write_text(f"{token}\n")
        told.append(
            f"created          {token_file} (the operator's token, which may do everything; for its owner alone)"
        )
        given.token_file = str(token_file)
    if not given.json:
        print("\n".join(told), flush=True)


def _new_password(given: argparse.Namespace, questions: Questions) -> str:
    """One that is typed is typed twice: nobody could sign in with a slip."""
    if given.password_file or os.environ.get("INFLUX_PASSWORD") or not questions.terminal:
        return checked_password(password_of(given, questions, ""))
    while True:
        try:
            password = checked_password(questions.secret(f"Password of {given.user} (8 to 72 characters)"))
        except ProvisionError as error:
            questions.say(f"  {error}")
            continue
        if questions.secret("The same again") == password:
            Secret(password)
            return password
        questions.say("  the two differ")


def _retention(text: str) -> str:
    retention_seconds(text)
    return text


def _kept(retention: int) -> str:
    text = retention_text(retention)
    return f"keeps points {text}" if not retention else f"keeps points for {text}"


def _new_file(path: str) -> Path:
    """An empty one for its owner alone: whether it can be written is known before there is a token to lose."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise ProvisionError(
            f"cannot write the operator's token to {path}: it is there already; name another"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProvisionError(f"cannot write the operator's token to {path}: {reason}; name another file") from None
    return Path(path)
