"""One instance: what there is of it at the server and on this host."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from pyagent.cli.instances import SettingsFile, settings_file
from pyagent.cli.provision.access import (
    admin,
    host_name,
    same_server,
    server_of,
    settings_directory,
    url_of_configuration,
)
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.steps import NOT_KEPT, description_of
from pyagent.cli.provision.values import ProvisionError
from pyagent.cli.terminal import harmless, some_of
from pyagent.influxdb import Authorization, Hosted, Management, Organization

__all__ = ["InstanceState", "server"]


class InstanceState:
    """What there is of one instance: here, and at the server."""

    def __init__(
        self, name: str, arguments: argparse.Namespace, management: Management, org: Organization | None
    ) -> None:
        self.name = name
        self.file = settings_file(name, settings_directory(arguments))
        self.management = management
        self.description = description_of(host_name(arguments, self.file), name)
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
            names = sorted({one.name for one in self.management.configurations()})
            raise ProvisionError(
                f"cannot find a configuration {self.name!r} at {self.management.url}: there are "
                f"{some_of(names, self.name) or 'none'}; "
                "see pyagent provision list"
            )
        return self.hosted

    def tokens(self, org: str) -> list[Authorization]:
        """Those of this instance."""
        every = self.management.authorizations(Organization(org, ""))
        ours = (self.description, self.description + NOT_KEPT)
        return [one for one in every if one.description in ours or one.id == self.file.token_id]


@contextmanager
def server(
    arguments: argparse.Namespace, questions: Questions, file: SettingsFile | None = None
) -> Iterator[Management]:
    """The server that is meant, called as somebody who may change things there. Raises PyagentError."""
    management, _ = admin(arguments, questions, server_of(arguments, questions, file))
    with management:
        yield management
