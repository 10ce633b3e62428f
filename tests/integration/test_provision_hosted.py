"""`pyagent provision list|show|edit|delete`, and the questions at a terminal."""

import asyncio
import json
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, pyagent
from provisioning import PASSWORD, Host, background, host, new_server

from pyagent.influxdb import InfluxDBError, Management

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """$EDITOR is a shell script; `$1` is the file."""

    def make(script: str) -> Path:
        path = tmp_path / "an editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("EDITOR", f"'{path}'")
        return path

    return make


def config(host: Host) -> str:
    (found,) = host.all("telegrafs")
    return str(found["config"])


# list and show --------------------------------------------------------------------------------------------------------


def test_list_of_nothing(host: Host) -> None:
    done = host.provision("list")
    assert done.status == 0
    assert "no configurations" in done.out
    assert json.loads(host.provision("list", "--json").out) == []


def test_list_names_the_instances_of_this_host(host: Host) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    done = host.provision("list")
    assert done.out.splitlines()[1].split() == [
        "ram", one["id"], "monitoring-system", "pyagent@ram", "pyagent:", "web1", "ram",
    ]  # fmt: skip
    (document,) = json.loads(host.provision("list", "--json").out)
    assert document["here"] == ["pyagent@ram"]
    assert document["url"] == f"{host.server.url}/api/v2/telegrafs/{one['id']}"


def test_names_of_strangers_cannot_steer_the_terminal(host: Host) -> None:
    state = host.server.state
    one = {"id": "0000000000000a01", "orgID": host.server.org_id, "name": "\x1b[2J\nx", "description": "\x07"}
    state.documents.put("telegrafs", one["id"], {**one, "config": "\x1b[2J\n", "metadata": {"buckets": ["\x1b"]}})
    for done in (host.provision("list"), host.provision("show", one["id"])):
        assert done.status == 0, done.err
        assert "\x1b" not in done.out + done.err
        assert "\x07" not in done.out


def test_show_has_all_but_secrets(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_ADDRESS", "host=h password=s3cret")
    words = ("db", "--bucket", "monitoring-system", "--input", "postgresql")
    assert host.provision(*words, "--set", "postgresql.address=@env:PG_ADDRESS").status == 0
    (authorization,) = host.all("authorizations")
    for words in (("show", "db"), ("show", "db", "--json")):
        done = host.provision(*words)
        assert done.status == 0, done.err
        assert "s3cret" not in done.out
        assert authorization["id"] in done.out
        assert "PG_ADDRESS" in done.out
        assert "[[inputs.postgresql]]" in done.out
        assert host.server.token not in done.out


def test_show_of_what_is_not_there(host: Host) -> None:
    host.ram()
    done = host.provision("show", "db")
    assert done.status == 1
    assert "cannot find a configuration 'db'" in done.err
    assert "there are ram" in done.err


# edit -----------------------------------------------------------------------------------------------------------------


def test_edit_changes_the_text_and_nothing_else(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    (before,) = host.all("telegrafs")
    editor('sed -i \'s/interval = "10s"/interval = "15s"/; s/bucket = .*/bucket = "other$$x"/\' "$1"')
    done = host.provision("edit", "ram")
    assert done.status == 0, done.err
    assert "within a minute" in done.out
    (after,) = host.all("telegrafs")
    assert 'interval = "15s"' in after["config"]
    assert [after[name] for name in ("id", "name", "description")] == [before[n] for n in ("id", "name", "description")]
    # InfluxDB's page looks for data there.
    assert after["metadata"]["buckets"] == ["other$x"]


def test_edit_tells_what_is_not_set(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    editor('printf \'  name_override = "$NAME_OF_IT"\\n\' >>"$1"')
    done = host.provision("edit", "ram")
    assert done.status == 0, done.err
    assert "the variable NAME_OF_IT is not set" in done.err
    assert done.err.count("\n") == 1


def test_edit_without_a_change(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    text = one["config"].replace("\n", "\r\n")
    host.server.state.documents.put("telegrafs", one["id"], {**one, "config": text})
    before = host.all("telegrafs")
    editor("true")
    done = host.provision("edit", "ram")
    assert (done.status, done.out) == (0, "as it was\n")
    assert host.all("telegrafs") == before


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sed -i 's/inputs.mem/inputs.mam/' \"$1\"", "inputs.mam"),
        ("echo 'a = b' >\"$1\"", ":1: "),
        (': >"$1"', "no inputs"),
        ("printf '\\377' >\"$1\"", "no text in UTF-8"),
        ('echo \'[[inputs.exec]]\' >>"$1"; echo \'commands = ["date"]\' >>"$1"', "runs commands"),
        ('rm "$1"', "no such file"),
        ("exit 3", "ended with status 3"),
    ],
)
def test_edit_sends_nothing_that_cannot_be_used(
    host: Host, editor: Callable[[str], Path], script: str, message: str
) -> None:
    host.ram()
    before = config(host)
    editor(script)
    done = host.provision("edit", "ram")
    assert done.status == 1
    assert message in done.err
    assert config(host) == before
    assert "Traceback" not in done.err


def test_edit_keeps_the_text_that_was_not_sent(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    editor("echo 'wrong text' >\"$1\"")
    done = host.provision("edit", "ram")
    kept = Path(done.err.rstrip().rpartition(" ")[2])
    assert kept.read_text() == "wrong text\n"
    assert kept.stat().st_mode & 0o077 == 0 or kept.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["false", "/nowhere/an-editor"])
def test_edit_leaves_nothing_behind_where_nothing_was_edited(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    host.ram()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", command)
    done = host.provision("edit", "ram")
    assert done.status == 1
    assert command in done.err
    assert list(folder.iterdir()) == []


def test_edit_keeps_what_was_edited_before_the_editor_failed(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    editor("echo '# more' >>\"$1\"; exit 3")
    done = host.provision("edit", "ram")
    assert "ended with status 3" in done.err
    assert Path(done.err.rstrip().rpartition(" ")[2]).read_text().endswith("# more\n")


def test_edit_does_not_overwrite_what_somebody_else_wrote_meanwhile(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    url = f"{host.server.url}/api/v2/telegrafs/{one['id']}"
    headers = {"Authorization": f"Token {host.server.token}"}
    put = f"""
from urllib.request import Request, urlopen
urlopen(Request({url!r}, b'{{"config": "# theirs"}}', {headers}, method="PUT")).close()
"""
    editor(f'{sys.executable} -c {shlex.quote(put)}; echo "# mine" >>"$1"')
    done = host.provision("edit", "ram")
    assert done.status == 1
    assert "somebody else changed it meanwhile" in done.err
    assert config(host) == "# theirs"


def test_an_interrupt_is_the_editors(host: Host, editor: Callable[[str], Path]) -> None:
    """Ctrl-C goes to both; vi and nano mean something by it."""
    host.ram()
    editor('kill -INT $PPID; sed -i \'s/interval = "10s"/interval = "15s"/\' "$1"')
    done = subprocess.run(
        [sys.executable, "-m", "pyagent", "provision", "edit", "ram", *host.flags()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'interval = "15s"' in config(host)


@pytest.mark.parametrize("how", [KeyboardInterrupt, InfluxDBError])
def test_what_was_edited_is_kept_whatever_comes_then(
    host: Host, editor: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, how: type[BaseException]
) -> None:
    host.ram()
    editor("echo '# mine' >>\"$1\"")

    def breaks_off(*_: object) -> None:
        raise how("cannot change it: the connection is gone")

    monkeypatch.setattr(Management, "change_configuration", breaks_off)
    done = host.provision("edit", "ram")
    assert done.status == (130 if how is KeyboardInterrupt else 1)
    (kept,) = re.findall(r"kept in (\S+)", done.err)
    assert Path(kept).read_text().endswith("# mine\n")


def test_no_editor(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.ram()
    monkeypatch.setenv("EDITOR", "/nowhere/ed")
    done = host.provision("edit", "ram")
    assert done.status == 1
    assert "cannot start the editor '/nowhere/ed': no such file or directory; set EDITOR" in done.err


# delete ---------------------------------------------------------------------------------------------------------------


def test_delete_is_the_undo(host: Host) -> None:
    host.ram()
    done = host.provision("delete", "ram")
    assert done.status == 1
    assert "add --force" in done.err
    assert "removed" not in host.provision("delete", "ram", "--check").out.replace("would be removed", "")
    assert len(host.all("telegrafs")) == 1
    done = host.provision("delete", "ram", "--force")
    assert done.status == 0, done.err
    assert host.all("telegrafs") == host.all("authorizations") == []
    assert [one["name"] for one in host.all("buckets")] == ["monitoring-system"]
    assert os.listdir(host.settings) == []
    done = host.provision("delete", "ram", "--force")
    assert done.status == 1
    assert "there is no configuration, token or file" in done.err


def test_delete_takes_nothing_from_another_host_of_the_same_name(
    host: Host, monkeypatch: pytest.MonkeyPatch, pyagent: Callable[..., Done]
) -> None:
    host.ram()
    monkeypatch.setattr("socket.gethostname", lambda: "web1")
    flags = ("--url", host.server.url, "--token-file", str(host.token_file), "--settings-directory")
    done = pyagent("provision", "delete", "ram", "--force", *flags, str(host.folder / "second"))
    assert done.status == 1
    assert "it may be another host's of the same name; add --host NAME to say whose it is" in done.err
    assert len(host.all("telegrafs")) == len(host.all("authorizations")) == 1
    # With its file it is known, and by its name.
    assert pyagent("provision", "delete", "ram", "--force", *flags, str(host.settings)).status == 0
    host.ram()
    (host.settings / "ram.env").unlink()
    assert pyagent("provision", "delete", "ram", "--force", "--host", "web1", *flags, str(host.settings)).status == 0
    assert host.all("telegrafs") == host.all("authorizations") == []


def test_delete_keeps_what_others_read(host: Host) -> None:
    host.ram()
    (one,) = host.all("telegrafs")
    settings, host.settings = host.settings, host.folder / "other"
    words = ("ram", "--bucket", "monitoring-system", "--configuration", one["id"], "--host", "web2")
    assert host.provision(*words).status == 0
    # The other host's instance goes without the configuration, which is not its own.
    assert host.provision("delete", "ram", "--force", "--host", "web2").status == 0
    assert len(host.all("telegrafs")) == len(host.all("authorizations")) == 1
    assert host.provision(*words).status == 0
    host.settings = settings
    done = host.provision("delete", "ram")
    assert done.status == 1
    assert "others read it, too (pyagent: web2 ram)" in done.err


def test_delete_leaves_a_configuration_of_the_page_and_a_file_of_a_person(host: Host) -> None:
    one = {"id": "0000000000000a01", "orgID": host.server.org_id, "name": "ram", "description": ""}
    host.server.state.documents.put("telegrafs", one["id"], {**one, "config": "", "metadata": {}})
    done = host.provision("delete", "ram", "--force")
    assert done.status == 1
    assert "was not made here" in done.err
    host.settings.mkdir()
    (host.settings / "db.env").write_text("A=1\n")
    assert host.provision("delete", "db", "--force").status == 1
    assert (host.settings / "db.env").exists()
    assert len(host.all("telegrafs")) == 1


# Questions ------------------------------------------------------------------------------------------------------------


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyagent", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""

    def answer(self, question: str, answer: str) -> None:
        """Wait for a question behind what was answered before, and answer it."""
        self._read_until(question)
        os.write(self._ours, f"{answer}\n".encode())

    def press(self, question: str, keys: str) -> None:
        self._read_until(question)
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        self._read_until(None)
        os.close(self._ours)
        return self._process.wait(30)

    def _read_until(self, question: str | None) -> None:
        start = len(self.said)
        while question is None or question not in self.said[start:]:
            ready, _, _ = select.select([self._ours], [], [], 60)
            assert ready, f"waited for {question!r}; it said:\n{self.said}"
            try:
                data = os.read(self._ours, 4096)
            except OSError:
                data = b""
            if not data:
                assert question is None, f"ended before {question!r}; it said:\n{self.said}"
                return
            self.said += data.decode()


def test_without_options_it_asks_step_by_step(new_server: Host) -> None:
    """From a server that nobody has set up to an instance."""
    terminal = Terminal(["provision", "--settings-directory", str(new_server.settings)], {"INFLUX_HOST": ""})
    terminal.answer("Name of the instance [ram]", "a/b")
    terminal.answer("Name of the instance [ram]", "")
    terminal.answer("Address of InfluxDB [http://localhost:8086]", new_server.server.url)
    terminal.answer("User [admin]", "")
    terminal.answer("Organization [home]", "")
    terminal.answer("Bucket [monitoring-system]", "")
    terminal.answer("How long it keeps points (30d, 1y, inf) [inf]", "")
    terminal.answer("Password of admin", "short")
    terminal.answer("Password of admin", PASSWORD)
    terminal.answer("The same again", "another-horse")
    terminal.answer("Password of admin", PASSWORD)
    terminal.answer("The same again", PASSWORD)
    terminal.answer("Inputs [mem]", "mem, postgresql")
    terminal.answer("mem.", "interval=30s")
    terminal.answer("mem.", "")
    terminal.answer("postgresql.", "adress=x")
    terminal.answer("postgresql.", "address=host=h password=s3cret")
    terminal.answer("postgresql.", "address=@prompt")
    terminal.answer("postgresql.", "")
    terminal.answer("postgresql.address", "host=h password=s3cret")
    terminal.answer("Start it, now and at every boot? (y/n)", "n")
    assert terminal.end() == 0, terminal.said
    assert "did you mean postgresql.address?" in terminal.said
    assert PASSWORD not in terminal.said
    (one,) = new_server.all("telegrafs")
    assert 'interval = "30s"' in one["config"]
    assert 'address = "${POSTGRESQL_ADDRESS}"' in one["config"]
    assert "s3cret" not in one["config"]
    assert "host=h password=s3cret" in new_server.file


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("nonsense", "write INPUT.OPTION=VALUE"),
        ("nosuch.x=1", "nosuch"),
        ("mem.nosuch=1", "nosuch"),
        ("agent.nosuch=1", "nosuch"),
        ("postgresql.address=@env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE"),
    ],
)
def test_a_wrong_setting_of_the_command_is_told_before_anything_is_asked(host: Host, setting: str, said: str) -> None:
    """Other answers do not mend it: it was asked for inputs again and again."""
    words = ["provision", "ram", "--settings-directory", str(host.settings), "--set", setting]
    terminal = Terminal(words, {})
    assert terminal.end() != 0
    assert said in terminal.said
    assert "Address of InfluxDB" not in terminal.said


@pytest.mark.parametrize("setting", ["postgresql.address=host=h", "mem.interval=soon"])
def test_a_setting_of_the_command_that_is_found_wrong_at_the_end_ends_the_questions(host: Host, setting: str) -> None:
    """Of an input that is not chosen; one that does not load."""
    words = ["provision", "ram", "--url", host.server.url, "--settings-directory", str(host.settings)]
    terminal = Terminal([*words, "--bucket", "monitoring-system", "--set", setting], {})
    terminal.answer("Sign in with user and password?", "n")
    terminal.answer("Token", host.server.token)
    terminal.answer("Inputs", "mem")
    terminal.answer("mem.", "")
    assert terminal.end() != 0
    assert setting.partition(".")[0] in terminal.said
    assert host.all("telegrafs") == []


def test_it_lists_what_the_server_has(host: Host) -> None:
    words = ["provision", "ram", "--url", host.server.url, "--settings-directory", str(host.settings)]
    terminal = Terminal(words, {})
    terminal.answer("Sign in with user and password?", "n")
    terminal.answer("Token", host.server.token)
    terminal.answer("Bucket", "new one")
    terminal.answer("How long it keeps points", "30")
    terminal.answer("How long it keeps points", "30d")
    terminal.answer("Inputs", "999")
    terminal.answer("Inputs", "")
    terminal.answer("mem.", "")
    terminal.answer("Start it", "n")
    assert terminal.end() == 0, terminal.said
    assert host.server.token not in terminal.said
    assert "monitoring-system" in terminal.said
    assert {one["retention"] for one in host.all("buckets")} == {0, 30 * 86400}


def test_what_was_mistyped_is_asked_for_again(host: Host) -> None:
    """An address where nobody listens, one of another server, a token and a password with a slip."""
    words = ["provision", "ram", "--settings-directory", str(host.settings)]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        terminal = Terminal(words, {})
        terminal.answer("Address of InfluxDB", f"http://127.0.0.1:{taken.getsockname()[1]}")
    terminal.answer("Address of InfluxDB", f"{host.server.url}/api/v2")
    terminal.answer("Address of InfluxDB", host.server.url.removeprefix("http://"))
    terminal.answer("Sign in", "n")
    terminal.answer("Token: ", "a slip")
    terminal.answer("Token: ", "aslip")
    terminal.answer("Token: ", host.server.token)
    terminal.answer("Bucket (", "monitoring-sistem")
    terminal.answer("How long", "")
    terminal.answer("Inputs [mem]", "mam")
    terminal.answer("Inputs [mem]", "")
    terminal.answer("mem.:", "")
    terminal.answer("Start it", "n")
    assert terminal.end() == 0, terminal.said
    for said in (
        "nothing listens on port",
        f"write the address without a path: {host.server.url}",
        "it has characters that no token has",
        "401 unauthorized access",
        "'monitoring-sistem' will be new; there is 'monitoring-system'",
        "Memory of the host.",
        "'mam' is none of them",
        "It has collect_extended;",
    ):
        assert said in " ".join(terminal.said.split())
    terminal = Terminal([*words, "--url", host.server.url, "--host", "other"], {})
    terminal.answer("Sign in", "")
    terminal.answer("User [admin]", "")
    terminal.answer("Password of admin: ", "wrong-horse")
    terminal.answer("User [admin]", "")
    terminal.answer("Password of admin: ", PASSWORD)
    terminal.press("Bucket (", "\x04")
    assert terminal.end() == 1


def test_inputs_that_cannot_be_used_are_asked_for_again(host: Host) -> None:
    terminal = Terminal(["provision", *host.flags(), "ram", "--bucket", "monitoring-system"], {})
    terminal.answer("Inputs [mem]", "exec")
    terminal.answer("exec.:", "commands=date")
    terminal.answer("exec.:", "")
    terminal.answer("Inputs [mem]", "")
    terminal.answer("mem.:", "")
    terminal.answer("Start it", "n")
    assert terminal.end() == 0, terminal.said
    assert "runs commands or code" in terminal.said
    assert "exec" not in config(host)


def test_of_very_many_names_some_are_shown(host: Host) -> None:
    for number in range(30):
        asyncio.run(host.server.add_bucket(f"b{number:02}"))
    words = ["provision", *host.flags(), "ram"]
    terminal = Terminal(words, {})
    terminal.answer("and 11 more, by name", "b29")
    terminal.answer("Inputs", "mem")
    terminal.answer("mem.:", "")
    terminal.answer("Start it", "n")
    assert terminal.end() == 0, terminal.said
    assert "b29" not in terminal.said.partition("and 11 more")[0]
    assert 'bucket = "b29"' in config(host)


def test_whether_the_file_was_lost_or_the_host_is_another_is_asked(host: Host) -> None:
    host.ram()
    (before,) = host.all("authorizations")
    words = ["provision", *host.flags(), "ram", "--bucket", "monitoring-system"]
    (host.settings / "ram.env").unlink()
    for answer, status in (("", 1), ("y", 0)):
        terminal = Terminal(words, {})
        terminal.answer("Inputs", "")
        terminal.answer("mem.:", "")
        terminal.answer("Was the file lost? (y/n) [n]", answer)
        if not status:
            terminal.answer("Start it", "n")
        assert terminal.end() == status, terminal.said
        (after,) = host.all("authorizations")
        assert (after["id"] == before["id"]) == bool(status)


def test_the_end_of_the_input_is_one_line(host: Host) -> None:
    for question in ("Sign in", "Token"):
        terminal = Terminal(
            ["provision", "ram", "--url", host.server.url, "--settings-directory", str(host.settings)], {}
        )
        if question == "Token":
            terminal.answer("Sign in", "n")
        terminal.press(question, "\x04")
        assert terminal.end() == 1
        assert "the input has ended before all questions were answered" in terminal.said
        assert "Traceback" not in terminal.said


def test_an_edit_with_mistakes_goes_back_to_the_editor(host: Host, editor: Callable[[str], Path]) -> None:
    host.ram()
    path = editor(
        'grep -q inputs.mam "$1" && sed -i \'s/mam/mem/; s/10s/15s/\' "$1" || sed -i \'s/inputs.mem/inputs.mam/\' "$1"'
    )
    words = ["provision", "edit", "ram", *host.flags()]
    terminal = Terminal(words, {"EDITOR": f"'{path}'"})
    terminal.answer("Edit it again? (y/n) [y]", "")
    assert terminal.end() == 0, terminal.said
    assert "inputs.mam" in terminal.said
    assert 'interval = "15s"' in config(host)


def test_an_interrupt_is_one_line(host: Host) -> None:
    terminal = Terminal(["provision", "ram", "--url", host.server.url, "--settings-directory", str(host.settings)], {})
    terminal.answer("Sign in", "\x03")
    terminal._process.send_signal(2)
    assert terminal.end() == 130
    assert "interrupted; the same command again goes on" in terminal.said
    assert "Traceback" not in terminal.said
