"""Secret stores: references are replaced where they may be, and nothing shows a value."""

from pathlib import Path
from typing import Any

import pytest

from pyagent import cli
from pyagent.api import ConfigError, Secret
from pyagent.config import SourceText, load_plan

OUTPUT = """
[[inputs.mem]]
[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:1"]
  token = "{token}"
  bucket = "@{{files:token}}"
"""
STORE = '[[secretstores.docker]]\n  id = "files"\n  path = "{path}"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("the-hidden-token\n")
    (tmp_path / "other").write_text("another-one")
    return tmp_path


def load(text: str, where: str = "a.conf") -> Any:
    return load_plan([SourceText(where, text)], environ={})


def token(plan: Any) -> str:
    secret: Secret = plan.outputs[0].options.token
    return secret.reveal()


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("@{files:token}", "the-hidden-token"),
        ("a @{files:token} and @{files:other}", "a the-hidden-token and another-one"),
        ("plain", "plain"),
    ],
)
def test_references_are_replaced_wherever_the_store_stands(folder: Path, reference: str, value: str) -> None:
    store = STORE.format(path=folder)
    for text in (OUTPUT.format(token=reference) + store, store + OUTPUT.format(token=reference)):
        plan = load(text)
        assert token(plan) == value
        # Only what is a secret is looked at.
        assert plan.outputs[0].options.bucket == "@{files:token}"


def test_what_only_looks_like_a_reference_stays_with_a_warning(folder: Path) -> None:
    plan = load(STORE.format(path=folder) + OUTPUT.format(token="@{vault}"))
    assert token(plan) == "@{vault}"
    assert any("'token': @{...} that is no reference" in warning for warning in plan.warnings)


def test_a_long_secret_that_is_named_often(folder: Path) -> None:
    (folder / "other").write_text("x" * 50_000)
    with pytest.raises(ConfigError) as caught:
        load(STORE.format(path=folder) + OUTPUT.format(token="@{files:other}" * 20_000))
    message = str(caught.value)
    assert message.startswith("a.conf:8: ")
    assert "the option 'token': the secret 'other' of the store 'files', of 50,000 characters, does not fit" in message
    assert len(message) < 500


def test_a_plan_changes_when_its_secret_does(folder: Path) -> None:
    text = STORE.format(path=folder) + OUTPUT.format(token="@{files:token}")
    before = load(text)
    assert load(text).outputs[0].identity == before.outputs[0].identity
    (folder / "token").write_text("a-new-token")
    assert load(text).outputs[0].identity != before.outputs[0].identity
    assert load(text).inputs[0].identity == before.inputs[0].identity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OUTPUT.format(token="@{files:token}"),
            "a.conf:5: outputs.influxdb_v2: the option 'token' refers to the secret store",
        ),
        (STORE + OUTPUT.format(token="@{files:nothing}").replace("{", "{{").replace("}", "}}"), "does not have"),
        (
            '[[secretstores.docker]]\n  path = "{path}"\n' + "[[inputs.mem]]",
            "a.conf:1: secretstores.docker: a secret store needs an id",
        ),
        (
            '[[secretstores.docker]]\n  id = "a-b"\n  path = "{path}"\n',
            "a.conf:2: secretstores.docker: a secret store needs an id",
        ),
        (STORE + STORE, "a.conf:5: secretstores.docker: the id 'files' is taken"),
        (
            '[[secretstores.docker]]\n  id = "a"\n  path = "/nowhere/at/all"\n',
            "a.conf:3: secretstores.docker: cannot read the secrets",
        ),
        ('[[secretstores.systemd]]\n  id = "a"\n', "CREDENTIALS_DIRECTORY is not set"),
        (
            '[[secretstores.docker]]\n  id = "a"\n  pth = "x"\n',
            "a.conf:3: secretstores.docker: unknown option 'pth'; did you mean 'path'?",
        ),
        ('[[secretstores.doker]]\n  id = "a"\n', "undefined but requested secretstore: doker; did you mean 'docker'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    folder: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError) as caught:
        load(text.replace("{path}", str(folder)).replace("{{", "{").replace("}}", "}"))
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_systemd_credentials_with_a_prefix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyagent.token").write_text("by-systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    store = '[[secretstores.systemd]]\n  id = "sd"\n  prefix = "pyagent."\n'
    assert token(load(store + OUTPUT.format(token="@{sd:token}"))) == "by-systemd"


def test_without_a_prefix_telegrafs_is_tried_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "telegraf.both").write_text("with the prefix")
    (folder / "both").write_text("without")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    store = '[[secretstores.systemd]]\n  id = "sd"\n'
    assert token(load(store + OUTPUT.format(token="@{sd:both}"))) == "with the prefix"
    assert token(load(store + OUTPUT.format(token="@{sd:other}"))) == "another-one"


@pytest.mark.parametrize("key", ["../elsewhere", "..", ".", "a/b", "/etc/passwd", ""])
def test_no_key_leaves_the_folder(folder: Path, key: str) -> None:
    from pyagent.api import SecretFolder

    (folder.parent / "elsewhere").write_text("not for you")
    with pytest.raises(ConfigError, match="it is no name of a file"):
        SecretFolder(folder).get(key)
    with pytest.raises(ConfigError, match="it is no name of a file"):
        SecretFolder(folder, "../").get("elsewhere")


@pytest.mark.parametrize(
    "store",
    [
        '[[secretstores.docker]]\n  id = "files"\n  path = "{path}"\n',
        '[[secretstores.systemd]]\n  id = "files"\n  path = "{path}"\n',
        '[[secretstores.systemd]]\n  id = "files"\n  prefix = "../"\n',
    ],
)
def test_a_text_from_a_url_reads_nothing_but_what_the_unit_was_handed(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    url = "http://127.0.0.1/api/v2/telegrafs/1"
    text = store.replace("{path}", str(folder)) + OUTPUT.format(token="@{files:token}")
    with pytest.raises(ConfigError, match="may only use the store systemd"):
        load(text, url)
    allowed = '[[secretstores.systemd]]\n  id = "files"\n' + OUTPUT.format(token="@{files:token}")
    assert token(load(allowed, url)) == "the-hidden-token"
    environ = {"PYAGENT_ALLOW_REMOTE_EXEC": "1"}
    if "prefix" not in store:
        assert token(load_plan([SourceText(url, text)], environ=environ)) == "the-hidden-token"


@pytest.fixture
def config(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("config") / "a.conf"
    path.write_text(STORE.format(path=folder) + OUTPUT.format(token="@{files:token}"))
    return str(path)


def test_the_command_lists_and_reads(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["secrets", "list", "--config", config]) == 0
    listed = capsys.readouterr().out
    assert listed.splitlines() == ["Known secrets for store 'files':", "    other", "    token"]
    assert cli.main(["secrets", "list", "--reveal-secret", "files", "--config", config]) == 0
    assert "the-hidden-token" in capsys.readouterr().out
    assert cli.main(["secrets", "get", "files", "token", "--config", config]) == 0
    assert capsys.readouterr().out == "files:token = the-hidden-token\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get", "files", "nothing"], "E! the store 'files' has no secret 'nothing'"),
        (["get", "vault", "token"], "E! there is no secret store 'vault'; there are files"),
        (["set", "files", "token", "x"], "E! cannot set files:token: this store can only be read"),
        (["remove", "files", "token"], "E! cannot remove files:token: this store can only be read"),
    ],
)
def test_the_command_says_what_it_cannot_do(
    config: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["secrets", *words, "--config", config]) == 1
    assert capsys.readouterr().err.strip() == message


def test_a_plan_that_is_shown_shows_no_secret(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "the-hidden-token" not in shown
    assert "bucket" in shown
