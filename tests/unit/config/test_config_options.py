"""A plugin's own options: types, unknown names, what is missing, what a URL may not set."""

from typing import Any

import pytest
from loading import Load

from pyagent.api import Duration, Secret, Size
from pyagent.config import SourceText


def options(load: Load, text: str, **settings: Any) -> Any:
    return load(f"[[inputs.full]]\n{text}", **settings).inputs[0].options


def refused(load: Load, text: str, **settings: Any) -> str:
    message = load.refused(f"[[inputs.full]]\n{text}", **settings)
    return message.replace(": inputs.full: ", ": ")


def test_every_type(load: Load) -> None:
    given = options(
        load,
        """
        flag = true
        count = 7
        share = 2
        text = "t"
        texts = ["a", "b"]
        wait = "1.5"
        room = "2KiB"
        token = "secret-token"
        mode = "fast"
        either = 5
        headers = {A = "one", B = "two"}
        server = {host = "h"}
        [[inputs.full.servers]]
        host = "i"
        port = 8080
        """,
    )
    assert (given.flag, given.count, given.share, given.text, given.texts) == (True, 7, 2.0, "t", ["a", "b"])
    assert (given.wait, given.room, given.token, given.mode) == (
        Duration("1500ms"),
        2048,
        Secret("secret-token"),
        "fast",
    )
    assert isinstance(given.share, float)
    assert isinstance(given.wait, Duration)
    assert isinstance(given.room, Size)
    assert (given.server.host, given.server.port) == ("h", 80)
    assert [(server.host, server.port) for server in given.servers] == [("i", 8080)]
    assert given.headers["B"].reveal() == "two"
    assert given.either == 5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('flag = "true"', "a.conf:2: the option 'flag' must be a boolean (true or false), not a string"),
        ("count = 1.0", "a.conf:2: the option 'count' must be an integer, not a float"),
        ("count = true", "a.conf:2: the option 'count' must be an integer, not a boolean"),
        ("\ncount = 99999999999999999999", "a.conf:3: the option 'count': 99999999999999999999 is out of range"),
        ('share = "x"', "a.conf:2: the option 'share' must be a number, not a string"),
        ("text = 1979-05-27", "a.conf:2: the option 'text' must be a string, not a date or a time"),
        ('texts = "a"', "a.conf:2: the option 'texts' must be a list, not a string"),
        ('texts = ["a",\n1]', "a.conf:3: the option 'texts[1]' must be a string, not an integer"),
        ('headers = "a"', "a.conf:2: the option 'headers' must be a table, not a string"),
        ('headers = {A = "a", B = 1.5}', "a.conf:2: the option 'headers.B': expected a string"),
        ("either = 1.5", "a.conf:2: the option 'either' must be an integer or a string, not a float"),
        ('wait = "5 seconds"', "a.conf:2: the option 'wait': cannot read the duration '5 seconds': expected numbers"),
        ("wait = true", "a.conf:2: the option 'wait': expected a duration such as '10s', got a boolean"),
        ('room = "5 MB"', "a.conf:2: the option 'room': cannot read the size '5 MB'"),
        ('mode = "quick"', "a.conf:2: the option 'mode' cannot be 'quick'; use one of 'fast', 'safe'"),
        ("server = {}", "a.conf:2: the option 'server.host' is missing; it has no default"),
        ("server = 5", "a.conf:2: the option 'server' must be a table, not an integer"),
        ('servers = [{host = "h"},\n{hosts = "h"}]', "a.conf:3: unknown option 'hosts'; did you mean 'host'?"),
        ("contu = 5", "a.conf:2: unknown option 'contu'; did you mean 'count'?"),
        ("\n\nColour = 5", "a.conf:4: unknown option 'Colour'; it knows flag, count, "),
        ("Flag = true", "a.conf:2: unknown option 'Flag'; did you mean 'flag'?"),
        ("intervall = 5", "a.conf:2: unknown option 'intervall'; did you mean 'interval'?"),
        ("[inputs.full.extra]\nx = 1", "a.conf:2: unknown option 'extra'; it knows "),
        ("flag = true\ncount = 101", "a.conf:1: count and text do not go together"),
        ('token = "x@{store:key}"', "a.conf:2: the option 'token' refers to the secret store 'store', which is not"),
    ],
)
def test_what_is_refused(load: Load, text: str, wanted: str) -> None:
    assert refused(load, text).startswith(wanted)


def test_a_plugin_without_options_says_so(load: Load) -> None:
    wanted = "a.conf:2: inputs.nothing: unknown option 'colour'; it has no options of its own"
    assert load.refused("[[inputs.nothing]]\ncolour = 1") == wanted


def test_a_secret_is_in_no_error(load: Load) -> None:
    assert "hush" not in refused(load, "token = ['hush-hush']")
    assert "hush" not in refused(load, 'count = "$TOKEN"', environ={"TOKEN": "hush-hush"})


def test_a_malformed_secret_reference_is_plain_text(load: Load) -> None:
    assert options(load, 'token = "@{vault} @{a:b c}"\ntext = "@{a:b}"').token.reveal() == "@{vault} @{a:b c}"


def test_a_secret_of_digits_needs_no_quotes(load: Load) -> None:
    assert options(load, "token = 12345").token == Secret("12345")


def test_the_ends_of_the_integers(load: Load) -> None:
    assert options(load, f"room = {-(2**63)}").room == -(2**63)
    assert options(load, f"room = {2**63 - 1}").room == 2**63 - 1
    assert "out of range" in refused(load, f"room = {2**63}")


def test_a_deprecated_option_warns_where_it_is_set(load: Load) -> None:
    plan = load('[[inputs.full]]\nold = "x"\n[[inputs.full]]\nold = ""\n')
    assert plan.warnings == ("a.conf:2: inputs.full: the option 'old' is deprecated; use text",)


def test_places_of_options_are_known(load: Load) -> None:
    plan = load('[[inputs.full]]\n\ntext = "x"\n').inputs[0]
    assert plan.locate("text") == "a.conf:3"
    assert plan.locate("count") == "a.conf:1"
    assert plan.locate(None) == "a.conf:1"


URL = "http://server/api/v2/telegrafs/1"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('command = "rm -r"', "the option 'command' runs commands or code, which a configuration from a URL may not"),
        ('files = ["stdout", "/etc/passwd"]', "the option 'files' writes outside of the state directory, which"),
        ('files = ["/var/lib/pyagent/ram/../x"]', "the option 'files' writes outside of the state directory, which"),
        (
            'files = ["/var/lib/pyagent/ram/buffer/x/1.seg"]',
            "the option 'files' writes outside of the state directory, which",
        ),
        (
            'files = ["/var/lib/pyagent/ram/out/../config/x"]',
            "the option 'files' writes outside of the state directory, which",
        ),
        ('files = ["/var/lib/pyagent/ram"]', "the option 'files' writes outside of the state directory, which"),
        ('files = ["/var/lib/pyagent/ramshackle"]', "the option 'files' writes outside of the state directory, which"),
    ],
)
def test_what_a_text_from_a_url_may_not_do(load: Load, text: str, wanted: str) -> None:
    source = SourceText(URL, f"[[inputs.full]]\n{text}")
    environ = {"STATE_DIRECTORY": "/var/lib/pyagent/ram"}
    message = load.refused(sources=[source], environ=environ)
    assert message.startswith(f"{URL}:2: inputs.full: {wanted}")
    assert "PYAGENT_ALLOW_REMOTE_EXEC=1" in message
    load(sources=[source], environ=environ | {"PYAGENT_ALLOW_REMOTE_EXEC": "1"})
    load(f"[[inputs.full]]\n{text}", environ=environ)


def test_what_a_text_from_a_url_may_do(load: Load) -> None:
    text = '[[inputs.full]]\ncommand = ""\nfiles = ["stdout", "/var/lib/pyagent/ram/out"]'
    load(sources=[SourceText(URL, text)], environ={"STATE_DIRECTORY": "/var/lib/pyagent/ram"})


def test_the_log_file_of_a_text_from_a_url(load: Load) -> None:
    source = SourceText(URL, '[agent]\nlogfile = "/etc/cron.d/x"\n[[inputs.nothing]]')
    assert load.refused(sources=[source]).startswith(f"{URL}:2: agent: the option 'logfile' writes outside")
