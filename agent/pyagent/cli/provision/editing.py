"""`pyagent provision edit`: the text in an editor; what cannot be used is not sent."""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomli

from pyagent.api import PyagentError, redact
from pyagent.api.units import joined
from pyagent.cli.flags import plugin_directories
from pyagent.cli.instances import settings_file
from pyagent.cli.provision.access import settings_directory
from pyagent.cli.provision.checking import Checked, check, environment_of
from pyagent.cli.provision.found import InstanceState, server
from pyagent.cli.provision.questions import Questions
from pyagent.cli.provision.values import ProvisionError, cause_of
from pyagent.cli.terminal import harmless

__all__ = ["edit"]


def edit(name: str, arguments: argparse.Namespace, questions: Questions) -> int:
    """The text in an editor; it is sent when it can be used. Raises PyagentError."""
    file = settings_file(name, settings_directory(arguments))
    with server(arguments, questions, file) as management:
        found = InstanceState(name, arguments, management, None)
        hosted = found.required()
        environ = environment_of(name, found.file)
        directories = plugin_directories(arguments, os.environ)
        folder = Path(tempfile.mkdtemp(prefix="pyagent-edit-"))
        copy = folder / f"{name}.conf"
        sent = False
        copy.write_bytes(hosted.text.encode("utf-8", "surrogateescape"))
        try:
            while True:
                _open_editor(copy)
                text = _edited(copy)
                where = management.url_of(hosted.id)
                checked = Checked([], []) if text == hosted.text else check(text, where, environ, directories)
                if not checked.mistakes:
                    break
                for line in checked.mistakes:
                    questions.say(f"E! {redact(line)}")
                if not (questions.terminal and questions.yes("Edit it again?", default=True)):
                    raise ProvisionError(f"nothing was changed: the text has mistakes; it is kept in {copy}")
            # Without its file nothing is known of what it has.
            for warning in checked.warnings if found.file.exists else ():
                questions.say(f"W! {redact(warning)}")
            if text == hosted.text:
                print("as it was")
            else:
                now = management.configuration(hosted.id)
                if now is None or now.text != hosted.text:
                    raise ProvisionError(
                        f"cannot change the configuration {name!r}: somebody else changed it meanwhile; "
                        f"your text is kept in {copy}, begin anew"
                    )
                management.change_configuration(hosted, text, {**hosted.metadata, "buckets": _buckets(text)})
                sent = True
                print(f"changed          configuration {harmless(hosted.name)}")
                print(f"Running agents take it over within a minute; at once: systemctl reload pyagent@{name}")
        except PyagentError as error:
            if _is_edited(copy, hosted.text) and str(copy) not in str(error):
                raise ProvisionError(joined(str(error), f"your text is kept in {copy}")) from None
            raise
        except KeyboardInterrupt:
            if _is_edited(copy, hosted.text):
                questions.say(f"\nYour text is kept in {copy}")
            raise
        finally:
            if not _is_edited(copy, hosted.text) or sent:
                shutil.rmtree(folder, ignore_errors=True)
    return 0


def _open_editor(path: Path) -> None:
    command = (
        os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, ("editor", "nano", "vi")), "")
    )
    if not command:
        raise ProvisionError("cannot edit: there is no editor; set EDITOR")
    try:
        with _interrupts_left_to_it():
            status = subprocess.run([*shlex.split(command), str(path)]).returncode  # noqa: S603
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ProvisionError(f"cannot start the editor {command!r}: {reason.lower()}; set EDITOR") from None
    if status:
        raise ProvisionError(f"nothing was changed: the editor {command!r} ended with status {status}")


@contextmanager
def _interrupts_left_to_it() -> Iterator[None]:
    """Ctrl-C goes to the editor and to this process, and means something to the editor alone."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # an ignored one would be ignored by the editor as well
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_edited(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode("utf-8", "surrogateescape")
    except OSError:
        return False


def _edited(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise ProvisionError(f"cannot read what was edited in {path}: {cause_of(error)}") from None


def _buckets(text: str) -> list[str]:
    """The buckets that a text writes to: InfluxDB's page looks for data in the first of them."""
    written = tomli.loads(text).get("outputs", {}).get("influxdb_v2", [])
    outputs = written if isinstance(written, list) else [written]
    names = [output.get("bucket") for output in outputs if isinstance(output, dict)]
    return [name.replace("$$", "$") for name in names if isinstance(name, str) and name]
