"""The actions of `pyagent provision`."""

import argparse
import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from pyagent.api import ConfigError, redact
from pyagent.api.units import joined
from pyagent.cli.flags import catalog, commas, plugin_directories
from pyagent.cli.instances import SettingsError, checked_instance, settings_file
from pyagent.cli.provision import ACTIONS, hosted, unit
from pyagent.cli.provision.access import (
    admin,
    choose_organization,
    host_name,
    server_of,
    settings_directory,
    state_of,
)
from pyagent.cli.provision.checking import Checked, check, environment_of
from pyagent.cli.provision.editing import edit
from pyagent.cli.provision.first import set_up, set_up_here
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.steps import ALLOWS, Provisioning, Step, Wanted
from pyagent.cli.provision.text import (
    Chosen,
    check_option,
    choose,
    configuration_text,
    is_secret_text,
    parse_choice,
    plugin_options,
)
from pyagent.cli.provision.values import ProvisionError, checked_bucket, retention_seconds
from pyagent.cli.terminal import harmless, some_of
from pyagent.cli.tokens import looks_like_token
from pyagent.config.catalog import Catalog
from pyagent.config.options import suggest
from pyagent.influxdb import Bucket, Management, Organization

__all__ = ["run"]

DEFAULT_NAME = "ram"


def run(words: Sequence[str], arguments: argparse.Namespace) -> int:
    """Raises PyagentError; returns the exit status."""
    given = [*words, *arguments.set, *(value for value in vars(arguments).values() if isinstance(value, str))]
    if any(map(looks_like_token, given)):
        raise ProvisionError(
            "cannot take a token as an argument: everybody on this host sees the arguments of a process, and the shell "
            "remembers them; write it into a file and name that with --token-file, or set INFLUX_TOKEN"
        )
    questions = Questions()
    action, *rest = words or [""]
    if action not in ACTIONS:
        if rest:
            raise ProvisionError(
                f"cannot use {harmless(rest[0])!r} as well: one name is all; see pyagent provision --help"
            )
        return _Instance(arguments, questions, action).run()
    if action == "setup":
        if rest:
            raise ProvisionError(
                "cannot set up an instance and a server at once: write pyagent provision setup without a name"
            )
        return set_up(arguments, questions)
    if action == "list":
        if rest:
            raise ProvisionError("cannot list one instance: write pyagent provision show NAME")
        return hosted.list_all(arguments, questions)
    if len(rest) != 1:
        raise ProvisionError(f"no name is given; write pyagent provision {action} NAME")
    actions = {"show": hosted.show, "edit": edit, "delete": hosted.delete}
    try:
        name = checked_instance(rest[0])
    except SettingsError as error:
        raise ProvisionError(
            joined(str(error), "a configuration of another name is known by its ID, too: see pyagent provision list")
        ) from None
    return actions[action](name, arguments, questions)


_OFTEN = frozenset(["cpu", "disk", "diskio", "kernel", "mem", "net", "postgresql", "processes", "swap", "system"])
"""Inputs that are shown first: of the others there are many."""


class _Instance:
    """`pyagent provision NAME`. What is missing is asked for where there is a terminal."""

    def __init__(self, arguments: argparse.Namespace, questions: Questions, name: str) -> None:
        self._given = arguments
        self._questions = questions
        self._asks = questions.terminal and not (arguments.input or arguments.configuration)
        if self._asks:
            questions.explain(
                "Sets up an agent: its configuration and a place for its points at InfluxDB, its settings on this host. An "
                "empty answer takes what stands in brackets, Ctrl-C ends it."
            )
        if not name:
            if not questions.terminal:
                raise ProvisionError(
                    "no name is given; write pyagent provision NAME --url ... --bucket ... --input mem"
                )
            name = questions.text("Name of the instance", DEFAULT_NAME, check=checked_instance)
        if name in ACTIONS:
            raise ProvisionError(f"cannot use {name!r} as a name: it is an action of this command; choose another")
        self._name = checked_instance(name)
        self._file = settings_file(self._name, settings_directory(arguments))
        self._steps: list[Step] = []
        self._caller = ""
        """The kind of token that is called with; empty for a user, or where the server does not tell."""

    def run(self) -> int:
        given, questions = self._given, self._questions
        self._file.check_writable()
        retention = retention_seconds(given.retention) if given.retention else None
        plugins = catalog(given)
        if self._asks:
            self._check_settings(plugins)
        url = server_of(given, questions, self._file)
        if given.tls_ca:
            given.tls_ca = os.path.abspath(given.tls_ca)
        if self._asks and not state_of(given, url).is_set_up:
            set_up_here(given, questions, url)
        chosen = None if self._asks else self._chosen(plugins)
        management, _ = admin(given, questions, url)
        with management:
            org = choose_organization(management, given.org, questions)
            self._caller = "" if management.signs_in else management.token_kind(org)
            bucket = self._bucket(management, org)
            given_set = bool(given.set)
            while True:
                try:
                    settled = chosen or self._asked_for(plugins)
                    wanted = self._wanted(bucket, retention, settled, plugins, management.url)
                    provisioning = Provisioning(
                        management,
                        org,
                        wanted,
                        self._file,
                        partial(_as_token, management.url, given.tls_ca),
                        self._caller,
                    )
                    provisioning.look()
                    break
                except ConfigError as error:
                    if chosen is not None or given_set:
                        raise  # what stands in the command stays wrong, whatever is answered
                    # Nothing is made yet: other inputs or settings will do.
                    questions.say(f"  {redact(str(error))}")
                    given.set = []
            self._replaces(provisioning)
            if given.check:
                for step in provisioning.expected():
                    self._tell(step)
                return self._end("", started=False)
            provisioning.carry_out(self._tell)
            where = management.url_of(provisioning.hosted.id)
        return self._end(where, started=self._start())

    def _chosen(self, plugins: Catalog) -> Chosen:
        given = self._given
        inputs = commas(given.input)
        if given.configuration and inputs:
            raise ProvisionError("cannot choose inputs of a configuration that is used as it is; leave --input out")
        if not inputs and not given.configuration:
            raise ProvisionError("no input is given; add --input, such as --input mem")
        choices = [parse_choice(text) for text in given.set]
        return choose(plugins, inputs, choices, environ=os.environ, known=self._file.values, questions=self._questions)

    def _check_settings(self, plugins: Catalog) -> None:
        """Those of the command, before anything is asked. Raises ConfigError."""
        for choice in map(parse_choice, self._given.set):
            inputs = [] if choice.section == "agent" else [choice.section]
            if inputs:
                check_option(plugins, choice)
            if choice.value != "@prompt":
                choose(
                    plugins,
                    inputs,
                    [choice],
                    environ=os.environ,
                    known=self._file.values,
                    questions=self._questions,
                )

    def _asked_for(self, plugins: Catalog) -> Chosen:
        given, questions = self._given, self._questions
        entries = sorted(plugins.entries("inputs"), key=lambda entry: entry.name not in _OFTEN)
        questions.say("What it can gather:")
        notes = [plugins.summary(entry) for entry in entries]
        given.input = questions.choices("Inputs", [entry.name for entry in entries], "mem", notes)
        self._ask_settings(plugins)
        return self._chosen(plugins)

    def _ask_settings(self, plugins: Catalog) -> None:
        """Settings for the inputs that were chosen; a secret that is typed here becomes a reference."""
        questions = self._questions
        for name in self._given.input:
            questions.explain(
                f"Settings of {name}, one a line, such as interval=30s; an empty line ends them. OPTION=@prompt asks for a "
                f"secret. It has {', '.join(plugin_options(plugins, name))}; more in: pyagent plugins show {name}"
            )
            while True:
                line = questions.text(f"  {name}.", check=str)
                if not line:
                    break
                text = f"{name}.{line.removeprefix(f'{name}.')}"
                try:
                    choice = parse_choice(text)
                    if is_secret_text(choice.value):
                        raise ConfigError(f"this holds a secret; write {choice.option}=@prompt, and it is asked for")
                    check_option(plugins, choice)
                    if choice.value != "@prompt":
                        choose(
                            plugins, [name], [choice], environ=os.environ, known=self._file.values, questions=questions
                        )
                except ConfigError as error:
                    questions.say(f"  {error}")
                    continue
                self._given.set.append(text)

    def _bucket(self, management: Management, org: Organization) -> str:
        given, questions = self._given, self._questions
        if given.bucket:
            # An ID or a name that is there may look like anything.
            return checked_bucket(given.bucket)
        names = [bucket.name for bucket in management.buckets(org)]
        if not questions.terminal:
            there = some_of(names) or "none yet"
            raise ProvisionError(f"no bucket is given; add --bucket NAME (there are: {there})")
        default = names[0] if len(names) == 1 else "" if names else "monitoring-system"
        questions.say(f"Buckets of {harmless(org.name)}:" if names else f"{harmless(org.name)} has no bucket yet.")
        name = checked_bucket(questions.choice("Bucket", names, default, other="a new name makes one"))
        if name not in names:
            near = suggest(name, names)
            questions.say(f"  {harmless(name)!r} will be new" + (f"; there is {harmless(near)!r}" if near else ""))
            given.create_bucket = True
            if not given.retention:
                given.retention = questions.text("How long it keeps points (30d, 1y, inf)", "inf", check=_retention)
        return name

    def _wanted(self, bucket: str, retention: int | None, chosen: Chosen, plugins: Catalog, url: str) -> Wanted:
        given, host = self._given, host_name(self._given, self._file)
        variables = dict(chosen.variables)
        if given.tls_ca:
            # The text is fetched by these, before what it says itself can count.
            variables["SSL_CERT_FILE"] = given.tls_ca
        if given.configuration and os.environ.get(ALLOWS) == "1":
            variables[ALLOWS] = "1"  # nobody looks into a text that is used as it is
        if retention is None and given.retention:
            retention = retention_seconds(given.retention)

        def text(org: Organization, target: Bucket) -> str:
            made = configuration_text(
                plugins,
                chosen,
                title=f"pyagent@{self._name} on {host}, made by pyagent provision.",
                url=url,
                org=org.name,
                bucket=target.name,
                tls_ca=given.tls_ca,
            )
            where = f"{url}/api/v2/telegrafs/{self._name}"

            def checked_now() -> Checked:
                environ = environment_of(self._name, self._file, variables)
                return check(made, where, environ, plugin_directories(given, os.environ))

            checked = checked_now()
            needs_leave = any(f"{ALLOWS}=1" in mistake for mistake in checked.mistakes)
            if needs_leave and os.environ.get(ALLOWS) == "1":
                # The agent needs it, too; a text that does without gets no such leave.
                variables[ALLOWS] = "1"
                checked = checked_now()
            if checked.mistakes:
                hint = (
                    f"; set it for this command, and it goes into {self._file.path}: "
                    f"sudo {ALLOWS}=1 pyagent provision ..."
                    if f"{ALLOWS}=1" in checked.mistakes[0]
                    else ""
                )
                raise ConfigError(f"cannot make the configuration: {checked.mistakes[0]}{hint}")
            for warning in checked.warnings:
                self._questions.say(f"W! {redact(warning)}")
            return made

        return Wanted(
            name=self._name,
            host=host,
            bucket=bucket,
            retention=retention,
            create_bucket=given.create_bucket,
            change_retention=given.change_retention,
            read_bucket=given.read_bucket,
            configuration=given.configuration,
            replace=given.replace,
            force=given.force,
            text=text,
            variables=variables,
        )

    def _replaces(self, provisioning: Provisioning) -> None:
        """Whoever has a token of this name, and it is not in the file here, may be another host. Raises ProvisionError."""
        if not provisioning.others or self._given.force:
            return
        host, name = host_name(self._given, self._file), self._name
        what = f"there is a token of pyagent@{name} on a host {harmless(host)!r} already, and it is not in {self._file.path}"
        if not self._questions.terminal:
            raise ProvisionError(
                f"cannot make a token: {what}; if that is another host of the same name, add --host NAME for this one; if "
                "the file was lost, add --force, and a new token takes the other's place"
            )
        self._questions.say(
            f"{what[0].upper()}{what[1:]}. If the file was lost, a new token takes its place. If that is another host of "
            "the same name, its agent would be refused from then on."
        )
        if not self._questions.yes("Was the file lost?", default=False):
            raise ProvisionError("nothing was changed; for another host of the same name add --host NAME")

    def _start(self) -> bool:
        given, name = self._given, self._name
        changed = any(step.state != "as it was" for step in self._steps if step.what == str(self._file.path))
        if given.start or (self._asks and self._questions.yes("Start it, now and at every boot?", default=True)):
            status = unit.start(name, self._file.path, restart=changed)
            self._tell(Step(f"pyagent@{name}", "started", status))
            return True
        if not given.json:
            if changed and unit.is_active(name):
                print(f"It runs with the settings before; to take these: systemctl restart pyagent@{name}")
            else:
                print(
                    f"{'Later' if self._asks else 'Start it, now and at every boot'}:\n    {unit.enable_command(name)}"
                )
        return False

    def _tell(self, step: Step) -> None:
        self._steps.append(step)
        if not self._given.json:
            note = f" ({step.note})" if step.note else ""
            print(harmless(f"{step.state:<16} {step.what}{note}"), flush=True)

    def _end(self, where: str, *, started: bool) -> int:
        if self._given.json:
            steps = [{"what": step.what, "state": step.state, "note": step.note} for step in self._steps]
            document: dict[str, Any] = {"instance": self._name, "configuration": where, "file": str(self._file.path)}
            document["called_with"] = self._caller
            print(json.dumps({**document, "started": started, "steps": steps}))
        return 0


def _retention(text: str) -> str:
    retention_seconds(text)
    return text


def _as_token(url: str, tls_ca: str, token: str) -> Management:
    return Management(url, token=token, tls_ca=tls_ca)
