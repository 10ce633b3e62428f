"""Configurations at InfluxDB: listed, shown and deleted."""

import argparse
import json
from pathlib import Path
from typing import Any

from pyagent.api import PyagentError
from pyagent.cli.instances import DIRECTORY, settings_file
from pyagent.cli.provision import unit
from pyagent.cli.provision.access import (
    choose_organization,
    same_server,
    settings_directory,
    url_of_configuration,
)
from pyagent.cli.provision.found import InstanceState, server
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.values import ProvisionError
from pyagent.cli.terminal import aligned, harmless
from pyagent.influxdb import Authorization, Hosted, Management, Organization

__all__ = ["delete", "list_all", "show"]


def list_all(arguments: argparse.Namespace, questions: Questions) -> int:
    """All that the token may read, with the instances of this host that use them. Raises PyagentError."""
    with server(arguments, questions) as management:
        org = choose_organization(management, arguments.org, questions) if arguments.org else None
        every = management.configurations(org)
        here = _instances_here(arguments, management.url)
        if arguments.json:
            print(json.dumps([{**_document(one, management), "here": here.get(one.id, [])} for one in every]))
            return 0
        if not every:
            print(f"There are no configurations at {management.url}.")
            return 0
        rows = [["NAME", "ID", "BUCKETS", "HERE", "DESCRIPTION"]]
        for one in sorted(every, key=lambda one: (one.name, one.id)):
            cells = (one.name, one.id, ", ".join(one.buckets), ", ".join(here.get(one.id, [])), one.description)
            rows.append([harmless(cell) or "-" for cell in cells])
        for line in aligned(rows, left=range(5)):
            print(line)
    return 0


def show(name: str, arguments: argparse.Namespace, questions: Questions) -> int:
    """One configuration, its tokens without themselves, its file without values. Raises PyagentError."""
    file = settings_file(name, settings_directory(arguments))
    with server(arguments, questions, file) as management:
        found = InstanceState(name, arguments, management, None)
        hosted = found.required()
        tokens = found.tokens(hosted.org_id)
        variables = sorted(found.file.values) if found.file.exists else []
        if arguments.json:
            listed = [{"id": one.id, "active": one.is_active, "rights": _rights(one)} for one in tokens]
            document = {**_document(hosted, management), "tokens": listed, "text": hosted.text}
            print(json.dumps({**document, "file": str(found.file.path), "variables": variables}))
            return 0
        rows = [
            ["name", hosted.name],
            ["url", management.url_of(hosted.id)],
            ["description", hosted.description or "-"],
        ]
        rows.append(["buckets", ", ".join(hosted.buckets) or "-"])
        rows += [["token", f"{one.id}: {_rights(one)}{'' if one.is_active else ' (switched off)'}"] for one in tokens]
        rows.append(
            ["settings", f"{found.file.path}: {', '.join(variables)}" if variables else f"{found.file.path}: not there"]
        )
        for line in aligned([[key, harmless(value)] for key, value in rows], left=(0, 1)):
            print(line)
        print(f"\n{harmless(hosted.text, chr(10) + chr(9)).rstrip()}")
    return 0


def delete(name: str, arguments: argparse.Namespace, questions: Questions) -> int:
    """Undo: the instance is stopped, its token, configuration and file go; the bucket stays. Raises PyagentError."""
    file = settings_file(name, settings_directory(arguments))
    with server(arguments, questions, file) as management:
        org = choose_organization(management, arguments.org, questions) if arguments.org else None
        found = InstanceState(name, arguments, management, org)
        if org is None and found.hosted is not None:
            org = Organization(found.hosted.org_id, "")
        if org is None:
            org = choose_organization(management, "", questions)
        hosted = found.hosted if found.is_own or not found.file.exists else None
        if found.hosted is not None and not found.is_own and hosted is found.hosted:
            raise ProvisionError(
                f"cannot delete the configuration {name!r}: it was not made here ({harmless(found.hosted.description)}); "
                "delete it in InfluxDB, or give --host"
            )
        tokens = found.tokens(org.id)
        removes_file = found.file.exists and found.file.is_ours
        if hosted is None and not tokens and not removes_file:
            raise ProvisionError(f"cannot delete {name!r}: there is no configuration, token or file of this instance")
        if hosted is not None:
            _check_others(management, hosted, tokens, arguments)
        what = [f"configuration {hosted.id}"] if hosted else []
        what += [f"token {one.id}" for one in tokens] + ([str(found.file.path)] if removes_file else [])
        is_unsure = not found.file.exists and not arguments.host
        where = f"there is no {found.file.path} here, so it may be another host's of the same name"
        if arguments.check:
            print(f"would be removed {', '.join(what)}")
            return 0
        if is_unsure and (arguments.force or not questions.terminal):
            raise ProvisionError(f"cannot delete {', '.join(what)}: {where}; add --host NAME to say whose it is")
        if not arguments.force:
            if is_unsure:
                questions.say(f"{where[0].upper()}{where[1:]}.")
            if not questions.terminal:
                raise ProvisionError(f"cannot ask whether to delete {', '.join(what)}; add --force")
            if not questions.yes(f"Delete {', '.join(what)}?", default=False):
                raise ProvisionError("nothing was deleted")
        if removes_file and unit.stop(name):
            print(f"stopped          pyagent@{name}")
        if hosted is not None:
            management.delete_configuration(hosted)
            print(f"removed          configuration {hosted.id}")
        for one in tokens:
            management.delete_authorization(one.id)
            print(f"removed          token {one.id}")
        if removes_file:
            found.file.remove()
            print(f"removed          {found.file.path}")
        elif found.file.exists:
            print(f"kept             {found.file.path} (it was not made by this command)")
        if hosted is not None and hosted.buckets:
            print(f"kept             bucket {harmless(', '.join(hosted.buckets))}, with its points")
    return 0


def _check_others(
    management: Management, hosted: Hosted, tokens: list[Authorization], arguments: argparse.Namespace
) -> None:
    """Raises ProvisionError where other agents read the configuration."""
    own = {one.id for one in tokens}
    readers = [
        one
        for one in management.authorizations(Organization(hosted.org_id, ""))
        if one.id not in own and ("read", "telegrafs", hosted.id) in one.rights
    ]
    if readers and not arguments.force:
        names = ", ".join(harmless(one.description) or one.id for one in readers)
        raise ProvisionError(
            f"cannot delete the configuration {hosted.name!r}: others read it, too ({names}); add --force to delete it anyway"
        )


def _instances_here(arguments: argparse.Namespace, url: str) -> dict[str, list[str]]:
    """The instances of this host by the configuration that they use; those whose files may not be read are left out."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(settings_directory(arguments) or DIRECTORY).glob("*.env")):
        try:
            where, id = url_of_configuration(settings_file(path.stem, str(path.parent)).source)
        except PyagentError:
            continue
        if id and same_server(where, url):
            found.setdefault(id, []).append(f"pyagent@{path.stem}")
    return found


def _document(one: Hosted, management: Management) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "url": management.url_of(one.id),
        "buckets": one.buckets,
    }


def _rights(one: Authorization) -> str:
    return ", ".join(f"{action} {kind}{f' {id}' if id else ' (all)'}" for action, kind, id in sorted(one.rights))
