"""What one instance needs at the server and on this host: looked at first, then made, as far as it is not there.

Nothing is changed before everything was looked at. What is made is found again: the configuration and the token have a
description, `pyagent: HOST NAME`, and the file of settings is written last, at once.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import Secret
from pyagent.cli.instances import SettingsFile
from pyagent.cli.provision.access import same_server, url_of_configuration
from pyagent.cli.provision.values import ProvisionError, retention_text
from pyagent.cli.terminal import harmless, some_of
from pyagent.influxdb import CUSTOM, Authorization, Bucket, Hosted, InfluxDBError, Management, Organization, Rights

__all__ = ["ALLOWS", "NOT_KEPT", "Provisioning", "Step", "Wanted", "description_of", "rights_of"]

ALLOWS = "PYAGENT_ALLOW_REMOTE_EXEC"
"""What lets an agent run the commands of a configuration at InfluxDB."""
NOT_KEPT = " (not in use yet)"
"""Behind the description of a token until it stands in the file: what a run left that was broken off in between. Without it the
token is some host's."""
METADATA = "pyagent"
"""Where the metadata of a configuration say which text was made here: one that was edited since is left alone."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was found or done about one thing."""

    what: str
    state: str
    """`as it was`, `created`, `changed`, `removed`, or `kept`, which is not as asked."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    name: str
    host: str
    bucket: str
    retention: int | None = None
    """Seconds; 0: for ever; None: as it is."""
    create_bucket: bool = False
    change_retention: bool = False
    read_bucket: bool = False
    """The token may also read the bucket."""
    configuration: str = ""
    """The ID of one that is there and is used as it is; empty: one of our own."""
    replace: bool = False
    """A text that was edited at the server is replaced."""
    force: bool = False
    """Settings in the file that differ are replaced."""
    text: Callable[[Organization, Bucket], str] = field(repr=False, default=lambda org, bucket: "")
    """The text of the configuration."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further settings for the file."""


def description_of(host: str, name: str) -> str:
    """By which the configuration and the token of an instance are found again."""
    return f"pyagent: {host} {name}"


def rights_of(bucket: str, configuration: str, *, read_bucket: bool = False) -> Rights:
    """Write to the bucket, read the configuration, nothing else."""
    rights = {("write", "buckets", bucket), ("read", "telegrafs", configuration)}
    return frozenset(rights | {("read", "buckets", bucket)} if read_bucket else rights)


class Provisioning:
    """One instance. `as_token` gives the same server as one sees it with a token; `caller` is what `management` calls it
    with, such as `operator token`. Everything raises ProvisionError, InfluxDBError or SettingsError."""

    def __init__(
        self,
        management: Management,
        org: Organization,
        wanted: Wanted,
        file: SettingsFile,
        as_token: Callable[[str], Management],
        caller: str = "",
    ) -> None:
        self._management = management
        self._org = org
        self._wanted = wanted
        self._file = file
        self._as_token = as_token
        self._caller = caller
        self._bucket: Bucket | None = None
        self._hosted: Hosted | None = None
        self._text = ""
        self._keeps_token = False
        self.token_id = ""
        self.others: list[Authorization] = []
        """Tokens of this instance that are not in the file, and that a new one takes the place of."""

    @property
    def hosted(self) -> Hosted:
        assert self._hosted is not None, "it is made first"
        return self._hosted

    def look(self) -> None:
        """What is there, and whether all that is asked for can be done; changes nothing."""
        self._file.check_writable()
        self._bucket = self._look_for_bucket()
        # The text needs nothing of a bucket that is still to be made but its name.
        bucket = self._bucket or Bucket("", self._org.id, self._wanted.bucket, self._wanted.retention or 0)
        self._hosted = self._look_for_configuration()
        if not self._wanted.configuration:
            self._text = self._wanted.text(self._org, bucket)
        self._keeps_token = self._has_working_token()
        if self._caller == CUSTOM and not self._keeps_token:
            raise ProvisionError(
                f"cannot make the agent's token with the {CUSTOM} that is given: it may not see the organization's tokens; "
                "use an operator or all-access token, or sign in with --user"
            )
        self._check_file()
        if not self._keeps_token and not self._file.values.get("INFLUX_TOKEN"):
            self.others = [one for one in self._tokens_of_instance() if not one.description.endswith(NOT_KEPT)]

    def expected(self) -> list[Step]:
        """What `carry_out` would do."""
        bucket = self._wanted.bucket
        steps = []
        if self._bucket is None:
            steps.append(Step(f"bucket {bucket}", "would be created"))
        elif self._new_retention() is not None:
            steps.append(Step(f"bucket {bucket}", "would be changed"))
        else:
            steps.append(Step(f"bucket {bucket}", "as it is"))
        state = "as it is" if self._hosted else "would be created"
        if self._hosted and not self._wanted.configuration and self._text_state() == "changed":
            state = "would be changed"
        steps.append(Step(f"configuration {self._wanted.name}", state))
        with_what = f"with the {self._caller} that is given" if self._caller and not self._keeps_token else ""
        steps.append(Step("token", "as it is" if self._keeps_token else "would be created", with_what))
        wanted = self._settings(self._file.values.get("INFLUX_TOKEN", "")) if self._hosted else {}
        complete = self._keeps_token and wanted.items() <= self._file.values.items()
        steps.append(Step(str(self._file.path), "as it is" if complete else "would be written", self._allowed()))
        return steps

    def carry_out(self, tell: Callable[[Step], None]) -> None:
        """Make what is missing, in an order in which every stop half way can be taken up again."""
        bucket = self._make_bucket(tell)
        hosted = self._make_configuration(bucket, tell)
        rights = rights_of(bucket.id, hosted.id, read_bucket=self._wanted.read_bucket)
        if self._keeps_token:
            token, self.token_id = self._file.values["INFLUX_TOKEN"], self._file.token_id
            if any(
                one.id == self.token_id and one.description != self._description for one in self._tokens_of_instance()
            ):
                self._management.describe_authorization(self.token_id, self._description)
            tell(Step("token", "as it was", "the one in the file works"))
        else:
            token = self._make_token(rights, bucket, tell)
        self._write_file(token, tell)
        if not self._keeps_token:
            self._management.describe_authorization(self.token_id, self._description)
            self._remove_other_tokens(tell)

    @property
    def _description(self) -> str:
        return description_of(self._wanted.host, self._wanted.name)

    # Bucket -----------------------------------------------------------------------------------------------------------

    def _look_for_bucket(self) -> Bucket | None:
        wanted = self._wanted
        bucket = self._management.bucket(self._org, wanted.bucket)
        shown = harmless(wanted.bucket)
        if bucket is None:
            if not wanted.create_bucket and wanted.retention is None:
                names = [one.name for one in self._management.buckets(self._org)]
                there = f"there are {some_of(names, wanted.bucket) or 'none'}"
                raise ProvisionError(
                    f"cannot find the bucket '{shown}' of the organization {self._org.name!r}: {there}; "
                    "add --create-bucket to make it"
                )
            return None
        if bucket.is_system:
            raise ProvisionError(f"cannot use the bucket '{shown}': it is InfluxDB's own; name another")
        if wanted.retention is not None and bucket.retention != wanted.retention and not wanted.change_retention:
            shorter = wanted.retention and (not bucket.retention or wanted.retention < bucket.retention)
            cost = ", which deletes older points" if shorter else ""
            raise ProvisionError(
                f"cannot use the bucket '{shown}' as asked: it exists and keeps points {_for(bucket.retention)}, not "
                f"{_for(wanted.retention)}; leave --retention out, or add --change-retention{cost}"
            )
        return bucket

    def _new_retention(self) -> int | None:
        """None: as it is."""
        wanted = self._wanted.retention
        return wanted if self._bucket and wanted is not None and wanted != self._bucket.retention else None

    def _make_bucket(self, tell: Callable[[Step], None]) -> Bucket:
        what = f"bucket {harmless(self._wanted.bucket)}"
        wanted = self._wanted.retention
        if self._bucket is None:
            self._bucket = self._management.create_bucket(self._org, self._wanted.bucket, wanted or 0)
            tell(Step(what, "created", f"keeps points {_for(self._bucket.retention)}"))
        elif (retention := self._new_retention()) is not None:
            before = self._bucket.retention
            self._bucket = self._management.change_retention(self._bucket, retention)
            tell(Step(what, "changed", f"keeps points {_for(retention)}, before {_for(before)}"))
        else:
            tell(Step(what, "as it was", f"keeps points {_for(self._bucket.retention)}"))
        if wanted is not None and self._bucket.retention != wanted:
            raise ProvisionError(
                f"cannot use the bucket {self._wanted.bucket!r}: it keeps points {_for(self._bucket.retention)} and not "
                f"{_for(wanted)}, as was asked; add --change-retention"
            )
        return self._bucket

    # Configuration ----------------------------------------------------------------------------------------------------

    def _look_for_configuration(self) -> Hosted | None:
        wanted, management = self._wanted, self._management
        if wanted.configuration:
            found = management.configuration(wanted.configuration)
            if found is None:
                raise ProvisionError(f"cannot find the configuration {wanted.configuration!r} at {management.url}")
            if found.org_id != self._org.id:
                raise ProvisionError(f"cannot use the configuration {found.id}: it is of another organization")
            return found
        every = management.configurations(self._org)
        description = self._description
        own = [one for one in every if one.description == description]
        url, id = url_of_configuration(self._file.source)
        named = [one for one in own if one.id == id and same_server(url, management.url)]
        if len(own) > 1 and not named:
            ids = ", ".join(one.id for one in own)
            raise ProvisionError(
                f"cannot tell which configuration is meant: {len(own)} are described as {description!r} ({ids}); "
                "delete the others in InfluxDB, or add --configuration ID"
            )
        if named or own:
            return (named or own)[0]
        others = [one for one in every if one.name == wanted.name and not one.description.startswith("pyagent: ")]
        if others:
            raise ProvisionError(
                f"cannot create the configuration {wanted.name!r}: there is one of this name that was not made here; "
                f"use it with --configuration {others[0].id}, or choose another name"
            )
        return None

    def _text_state(self) -> str:
        """`as it was`, `changed` where it is to be, `kept` where somebody else has changed it."""
        hosted = self.hosted
        if hosted.text == self._text:
            return "as it was"
        mark = hosted.metadata.get(METADATA)
        made_here = isinstance(mark, dict) and mark.get("sha256") == _digest(hosted.text)
        return "changed" if made_here or self._wanted.replace else "kept"

    def _make_configuration(self, bucket: Bucket, tell: Callable[[Step], None]) -> Hosted:
        wanted, management = self._wanted, self._management
        what = f"configuration {wanted.name}"
        if wanted.configuration:
            tell(Step(f"configuration {harmless(self.hosted.name)}", "as it was", management.url_of(self.hosted.id)))
            return self.hosted
        metadata: dict[str, Any] = {"buckets": [bucket.name], METADATA: {"sha256": _digest(self._text)}}
        if self._hosted is None:
            self._hosted = management.create_configuration(
                self._org, wanted.name, self._description, self._text, metadata
            )
            tell(Step(what, "created", management.url_of(self.hosted.id)))
            return self.hosted
        state = self._text_state()
        note = management.url_of(self.hosted.id)
        if state == "changed":
            self._hosted = management.change_configuration(self.hosted, self._text, metadata)
        elif state == "kept":
            note = f"its text was edited and is not what was asked for; add --replace to overwrite it: {note}"
        tell(Step(what, state, note))
        return self.hosted

    # Token ------------------------------------------------------------------------------------------------------------

    def _has_working_token(self) -> bool:
        """Whether the file has a token for this configuration and this bucket."""
        token = self._file.values.get("INFLUX_TOKEN", "")
        if not token or self._bucket is None or self._hosted is None:
            return False
        Secret(token)
        with self._as_token(token) as agent:
            if not agent.may_read(self._hosted.id) or not agent.may_write(self._org.id, self._bucket.id):
                return False
            return not self._wanted.read_bucket or agent.bucket(self._org, self._bucket.name) is not None

    def _make_token(self, rights: Rights, bucket: Bucket, tell: Callable[[Step], None]) -> str:
        authorization, token = self._management.authorize(self._org, self._description + NOT_KEPT, rights)
        Secret(token)
        self.token_id = authorization.id
        may = "write and read" if self._wanted.read_bucket else "write to"
        given = f"; the {self._caller} that made it is not stored" if self._caller else ""
        tell(
            Step(
                "token",
                "created",
                f"may {may} the bucket {harmless(bucket.name)} and read this configuration, nothing else{given}",
            )
        )
        return token

    def _tokens_of_instance(self) -> list[Authorization]:
        if self._hosted is None:
            return []
        descriptions = (self._description, self._description + NOT_KEPT)
        of_configuration = ("read", "telegrafs", self._hosted.id)
        every = self._management.authorizations(self._org)
        return [one for one in every if one.description in descriptions and of_configuration in one.rights]

    def _remove_other_tokens(self, tell: Callable[[Step], None]) -> None:
        """Those of this instance that the new one takes the place of."""
        for one in self._tokens_of_instance():
            if one.id != self.token_id:
                self._management.delete_authorization(one.id)
                tell(Step("token", "removed", f"an earlier one of this instance, {one.id}"))

    # File -------------------------------------------------------------------------------------------------------------

    def _settings(self, token: str) -> dict[str, str]:
        settings = {"INFLUX_TOKEN": token} if token else {}
        if self._hosted is not None:
            settings[self._file.source_variable] = self._management.url_of(self._hosted.id)
        return {**settings, **self._wanted.variables}

    def _check_file(self) -> None:
        """Raises ProvisionError where settings would be lost that nobody asked to replace."""
        file, wanted = self._file, self._settings("")
        if not file.exists or self._wanted.force:
            return
        values = file.values
        differing = file.differing(wanted)
        if self._hosted is None and file.source:
            differing.append(file.source_variable)
        if not self._keeps_token and values.get("INFLUX_TOKEN"):
            differing.insert(0, "INFLUX_TOKEN")
        missing = [name for name in wanted if name not in values]
        if differing:
            names = ", ".join(dict.fromkeys(differing))
            raise ProvisionError(
                f"cannot write {file.path}: it is there, with another {names}; add --force to replace that, other settings stay"
            )
        if not file.is_ours and (missing or not self._keeps_token):
            raise ProvisionError(
                f"cannot write {file.path}: it is there and was not made by this command; add --force to change it "
                f"(other settings stay, the file is kept as {file.path.name}.old)"
            )

    def _write_file(self, token: str, tell: Callable[[Step], None]) -> None:
        file, settings = self._file, self._settings(token)
        if file.exists and settings.items() <= file.values.items() and not file.differing(settings):
            tell(Step(str(file.path), "as it was"))
            return
        try:
            file.write(file.merged(self._wanted.name, settings, self.token_id, self._wanted.host))
        except Exception:
            if not self._keeps_token:
                # Nobody else knows it, and nobody will.
                with contextlib.suppress(InfluxDBError):
                    self._management.delete_authorization(self.token_id)
            raise
        note = "; ".join(filter(None, ("readable for its owner alone", self._allowed())))
        tell(Step(str(file.path), "changed" if file.exists else "created", note))

    def _allowed(self) -> str:
        """The note about a variable that lifts bounds."""
        return f"{ALLOWS}=1 lets this configuration run commands" if ALLOWS in self._wanted.variables else ""


def _for(retention: int) -> str:
    text = retention_text(retention)
    return text if not retention else f"for {text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
