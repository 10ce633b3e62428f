"""Sending a query, and why a server does not answer it."""

import argparse
import difflib
import os
import shutil
from collections.abc import Iterator

from pyagent.api import PyagentError
from pyagent.cli.provision.access import caller, choose_organization, server_of
from pyagent.cli.provision.questions import Questions
from pyagent.cli.query.mistakes import explained
from pyagent.cli.query.text import QueryError, dashboard_variables, query_text
from pyagent.cli.terminal import harmless
from pyagent.cli.tokens import looks_like_token
from pyagent.influxdb import InfluxDBError, Management, server_state
from pyagent.influxdb.management import remedy
from pyagent.influxdb.queries import QueryFailed, answer_of

__all__ = ["answer"]

_NEEDED = "a token that may read the bucket"
_MOST_NAMES = 10


def answer(arguments: argparse.Namespace) -> Iterator[bytes]:
    """The annotated CSV that answers the query that is given. Raises PyagentError, at first or while it is read."""
    if any(looks_like_token(value) for value in vars(arguments).values() if isinstance(value, str)):
        raise QueryError(
            "cannot take a token as an argument: everybody on this host sees the arguments of a process, and the shell "
            "remembers them; write it into a file and name that with --token-file, or set INFLUX_TOKEN"
        )
    text = query_text(arguments)
    extern = dashboard_variables(text, arguments.range)
    questions = Questions()
    url = server_of(arguments, questions)
    with caller(arguments, questions, url, _NEEDED) as management:
        given = arguments.org or os.environ.get("INFLUX_ORG") or os.environ.get("INFLUX_ORG_ID") or ""
        org = given or choose_organization(management, "", questions).name
        try:
            yield from answer_of(management.connection, org, text, extern=extern, silence=arguments.timeout)
        except QueryFailed as error:
            said, places = explained(error.whole, text, _width())
            raise PyagentError(
                "\n".join([f"the query failed at {url}, what it gave is not all: {said}", *places])
            ) from None
        except InfluxDBError as error:
            raise PyagentError(_refusal(error, management, org, text)) from None


def _refusal(error: InfluxDBError, management: Management, org: str, text: str) -> str:
    url = management.url
    if not error.status:
        doing = "read the answer of" if "cut off" in str(error) else "query"
        return f"cannot {doing} InfluxDB at {url}: {error}"
    # InfluxDB 2 names its version in each answer.
    if (error.status in (401, 404) or not error.version) and (other := _other_server(url)):
        return other
    said, places = explained(error.whole or str(error), text, _width())
    hint = remedy(error) if error.status == 401 else _names(management, org, error.message)
    return "\n".join([f"cannot query InfluxDB at {url}: {error.status} {said}{hint}", *places])


def _other_server(url: str) -> str:
    """Whether it is no InfluxDB 2 that is set up, in words; empty where it is."""
    try:
        state = server_state(url)
    except InfluxDBError as found:
        return str(found)
    if state.is_set_up:
        return ""
    return (
        f"cannot use InfluxDB at {url}: it has no user, organization and bucket yet; make them: "
        f"pyagent provision setup --url {url}"
    )


def _names(management: Management, org: str, message: str) -> str:
    """What there is in place of what was not found: the end of a message."""
    try:
        if "could not find bucket" in message:
            found = management.organization(org)
            names = [bucket.name for bucket in management.buckets(found)] if found else []
            return _nearest(message, names, "the token may read no bucket")
        if "organization name" in message or "organization not found" in message:
            return _nearest(org, [one.name for one in management.organizations()], "write its name with --org")
    except InfluxDBError:
        pass
    return ""


def _nearest(wanted: str, names: list[str], otherwise: str) -> str:
    quoted = wanted.rpartition('bucket "')[2].rstrip('"')
    lower = {name.lower(): name for name in names}
    if near := difflib.get_close_matches(quoted.lower(), lower, n=1):
        return f"; did you mean {harmless(lower[near[0]])!r}?"
    if not names:
        return f"; {otherwise}"
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(map(harmless, names[:_MOST_NAMES]))}{more}"


def _width() -> int:
    return shutil.get_terminal_size().columns
