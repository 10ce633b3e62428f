"""Secrets in settings of others, which come back in messages in whatever form."""

import json
from urllib.parse import quote, quote_plus

import pytest

from pyagent import hooks
from pyagent.api import redact
from pyagent.kit.foreign_settings import mask_settings

SECRET = "o'neil \\ \u00e9/1"


@pytest.fixture(autouse=True)
def no_secrets() -> None:
    hooks.known_secrets.clear()


@pytest.mark.parametrize(
    "settings",
    [
        {"password": SECRET},
        [{"deep": [{"db": {"API_Token": SECRET}}]}],
        {"passwords": ["other", SECRET]},
        {"url": "http://me:o%27neil%20%5C%20%C3%A9%2F1@host/x"},
        {"pwd": SECRET},
        {"auth_token": {"reader": {"type": "file", "value": SECRET}}},
        {"community_string": SECRET},
        [{"Community": [SECRET]}],
        {"Args": ["--password", SECRET]},
        {"connection_string": f'Server=db;UID=me;Password="{SECRET}";Trusted=no'},
        {"connection_string": f"Server=db;UID=me;PWD={{{SECRET}}}"},
        {"url": ["x", "http://host/x?a=1&token=" + quote_plus(SECRET)]},
    ],
)
@pytest.mark.parametrize(
    "shown",
    [SECRET, repr(SECRET), json.dumps(SECRET), quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET)],
)
def test_a_secret_is_masked_in_any_form(settings: object, shown: str) -> None:
    mask_settings(settings)
    assert "neil" not in redact(f"cannot log in as me with {shown}!")


def test_lines_numbers_and_headers() -> None:
    mask_settings(
        {
            "private_key": "-----BEGIN KEY-----\nabcdefgh1\n  ijklmnop2\nq=\n-----END KEY-----\n",
            "pin_password": 123456789,
            "other_password": 987654321.0,
            "Authorization": "Bearer abcdef.ghi",
        }
    )
    text = redact("-----BEGIN KEY-----|abcdefgh1|ijklmnop2|q=|123456789|987654321|abcdef.ghi")
    assert text == "-----BEGIN KEY-----|***|***|q=|***|***|***"
    assert redact("-----BEGIN KEY----- abcdefgh1 ijklmnop2 q= -----END KEY-----") == "***"


@pytest.mark.parametrize(
    "text",
    [
        "--password=SECRET1",
        "-v --api-key SECRET1 -x",
        "Driver=x; Password = SECRET1;Port=1",
        "TOKEN=SECRET1 run",
        '<Module a>\n  Password "SECRET1"\n',
    ],
)
def test_secrets_within_a_text(text: str) -> None:
    mask_settings({"Args": text})
    assert redact("it said SECRET1") == "it said ***"
    assert len(hooks.known_secrets) == 1


def test_what_promises_no_secret_stays() -> None:
    mask_settings(
        {"user": "somebody", "url": "http://somehost:8080/path?x=yyyyy", "port": 8080, "session_timeout": 3600}
        | {"PWD": "/var/lib/x", "community": "public", "Args": "--token-file tokens.txt --password-file=/etc/x -t"}
        | {"text": "the password is wrong, no token there", "reader": {"value": "something"}}
        | {"password_file": "/etc/password", "is_token": True, "token": None, "secret": float("inf"), "key": 10**5000}
    )
    assert hooks.known_secrets == set()
