"""Configurations at InfluxDB: listed, shown, edited and deleted."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli

from pyagent.api import PyagentError, redact
from pyagent.cli.flags import plugin_directories
from pyagent.cli.instances import DIRECTORY, SettingsFile, settings_file
from pyagent.cli.provision import unit
from pyagent.cli.provision.access import (
    admin,
    choose_organization,
    host_name,
    same_server,
    server_of,
    settings_directory,
    url_of_configuration,
)
from pyagent.cli.provision.checking import mistakes
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.steps import description_of
from pyagent.cli.provision.values import ProvisionError, cause_of
from pyagent.cli.terminal import aligned, harmless
from pyagent.influxdb import Authorization, Hosted, Management, Organization

__all__ = ["delete", "edit", "list_all", "show"]


class _Found:
    """What there is of one instance: here, and at the server."""

    def __init__(
        self, name: str, arguments: argparse.Namespace, management: Management, org: Organization | None
    ) -> None:
        self.name = name
        self.file = settings_file(name, settings_directory(arguments))
        self.management = management
        self.description = description_of(host_name(arguments), name)
        self.hosted = self._configuration(org)
        self.is_own = self.hosted is not None and self.hosted.description == self.description

    def _configuration(self, org: Organization | None) -> Hosted | None:
        url, id = url_of_configuration(self.file.source)
        if id and same_server(url, self.management.url) and (found := self.management.configuration(id)):
            return found
        every = self.management.configurations(org)
        for ours in (
            [one for one in every if one.description == self.description],
            [one for one in every if one.name == self.name or one.id == self.name],
        ):
            if len(ours) > 1:
                ids = ", ".join(f"{one.id} ({harmless(one.description)})" for one in ours)
                raise ProvisionError(
                    f"cannot tell which configuration {self.name!r} is: {ids}; give its ID as the name"
                )
            if ours:
                return ours[0]
        return None

    def required(self) -> Hosted:
        if self.hosted is None:
            names = ", ".join(sorted({harmless(one.name) for one in self.management.configurations()})) or "none"
            raise ProvisionError(
                f"cannot find a configuration {self.name!r} at {self.management.url}: there are {names}; "
                "see pyagent provision list"
            )
        return self.hosted

    def tokens(self, org: str) -> list[Authorization]:
        """Those of this instance."""
        every = self.management.authorizations(Organization(org, ""))
        return [one for one in every if one.description == self.description or one.id == self.file.token_id]


def list_all(arguments: argparse.Namespace, questions: Questions) -> int:
    """All that the token may read, with the instances of this host that use them. Raises PyagentError."""
    with _server(arguments, questions) as management:
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
    with _server(arguments, questions, file) as management:
        found = _Found(name, arguments, management, None)
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


def edit(name: str, arguments: argparse.Namespace, questions: Questions) -> int:
    """The text in an editor; it is sent when it can be used. Raises PyagentError."""
    file = settings_file(name, settings_directory(arguments))
    with _server(arguments, questions, file) as management:
        found = _Found(name, arguments, management, None)
        hosted = found.required()
        environ = {**os.environ, **found.file.values, "INFLUX_TOKEN": "a-token-of-this-configuration"}
        folder = Path(tempfile.mkdtemp(prefix="pyagent-edit-"))
        copy = folder / f"{name}.conf"
        copy.write_bytes(hosted.text.encode("utf-8", "surrogateescape"))
        while True:
            _open_editor(copy)
            text = _edited(copy)
            where = management.url_of(hosted.id)
            wrong = (
                [] if text == hosted.text else mistakes(text, where, environ, plugin_directories(arguments, os.environ))
            )
            if not wrong:
                break
            for line in wrong:
                questions.say(f"E! {redact(line)}")
            if not (questions.terminal and questions.yes("Edit it again?", default=True)):
                raise ProvisionError(f"nothing was changed: the text has mistakes; it is kept in {copy}")
        if text == hosted.text:
            print("as it was")
        else:
            now = management.configuration(hosted.id)
            if now is None or now.text != hosted.text:
                raise ProvisionError(
                    f"cannot change the configuration {name!r}: somebody else changed it meanwhile; "
                    f"your text is kept in {copy}, begin anew"
                )
            _upload(management, hosted, text, copy)
            print(f"changed          configuration {harmless(hosted.name)}")
            print(f"Running agents take it over within a minute; at once: systemctl reload pyagent@{name}")
        # Whatever fails before leaves it where it is.
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def delete(name: str, arguments: argparse.Namespace, questions: Questions) -> int:
    """Undo: the instance is stopped, its token, configuration and file go; the bucket stays. Raises PyagentError."""
    file = settings_file(name, settings_directory(arguments))
    with _server(arguments, questions, file) as management:
        org = choose_organization(management, arguments.org, questions)
        found = _Found(name, arguments, management, org)
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
        if arguments.check:
            print(f"would be removed {', '.join(what)}")
            return 0
        if not arguments.force:
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


@contextmanager
def _server(
    arguments: argparse.Namespace, questions: Questions, file: SettingsFile | None = None
) -> Iterator[Management]:
    management, _ = admin(arguments, questions, server_of(arguments, questions, file))
    with management:
        yield management


def _instances_here(arguments: argparse.Namespace, url: str) -> dict[str, list[str]]:
    """The instances of this host by the configuration that they use; those whose files may not be read are left out."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(settings_directory(arguments) or DIRECTORY).glob("*.env")):
        try:
            server, id = url_of_configuration(settings_file(path.stem, str(path.parent)).source)
        except PyagentError:
            continue
        if id and same_server(server, url):
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


def _open_editor(path: Path) -> None:
    command = (
        os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, ("editor", "nano", "vi")), "")
    )
    if not command:
        raise ProvisionError("cannot edit: there is no editor; set EDITOR")
    try:
        status = subprocess.run([*shlex.split(command), str(path)]).returncode  # noqa: S603
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ProvisionError(f"cannot start the editor {command!r}: {reason.lower()}; set EDITOR") from None
    if status:
        raise ProvisionError(
            f"nothing was changed: the editor {command!r} ended with status {status}; its text is in {path}"
        )


def _edited(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise ProvisionError(f"cannot read what was edited in {path}: {cause_of(error)}") from None


def _upload(management: Management, hosted: Hosted, text: str, copy: Path) -> None:
    try:
        management.change_configuration(hosted, text, {**hosted.metadata, "buckets": _buckets(text)})
    except PyagentError as error:
        raise ProvisionError(f"{error}; your text is kept in {copy}") from None


def _buckets(text: str) -> list[str]:
    """The buckets that a text writes to: InfluxDB's page looks for data in the first of them."""
    written = tomli.loads(text).get("outputs", {}).get("influxdb_v2", [])
    outputs = written if isinstance(written, list) else [written]
    names = [output.get("bucket") for output in outputs if isinstance(output, dict)]
    return [name.replace("$$", "$") for name in names if isinstance(name, str) and name]
