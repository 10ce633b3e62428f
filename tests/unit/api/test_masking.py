"""How URLs are shown: without what is secret in them, and with all the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import redact
from pyagent.api.masking import mask_url, mask_urls, secret_values


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:8086/api?org=o&bucket=b", "http://h:8086/api?org=o&bucket=b"),
        ("http://user:s3cret@h:8086/x", "http://***@h:8086/x"),
        ("http://s3cret@h", "http://***@h"),
        ("http://u:s3c@ret@h/x", "http://***@h/x"),
        ("http://u:s3/cret@h/x", "http://***@h/x"),
        ("http://u:s3?cret#@h/x", "http://***@h/x"),
        ("http://u:s3'cr\"et@h/x", "http://***@h/x"),
        ("http://h/write?db=d&u=me&p=s3cret", "http://h/write?db=d&u=me&p=***"),
        ("http://h/?password=s3cret&x=1", "http://h/?password=***&x=1"),
        ("http://h/?p%61ssword=s3cret", "http://h/?p%61ssword=***"),
        ("http://h/?TOKEN=s3cret;x=1", "http://h/?TOKEN=***;x=1"),
        ("http://h/?access_token=s3cret&token_type=x#f", "http://h/?access_token=***&token_type=***#f"),
        ("http://h/#access_token=s3cret", "http://h/#access_token=***"),
        ("http://h/?apikey=s3cret", "http://h/?apikey=***"),
        ("http://h/?api-key=s3cret&subscription-key=s3cret", "http://h/?api-key=***&subscription-key=***"),
        ("http://h/?sv=1&se=2&sig=s3cret%3D", "http://h/?sv=1&se=2&sig=***"),
        ("https://h/?X-Amz-Signature=s3cret&X-Amz-Date=1", "https://h/?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://h/?auth=s3cret&client_secret=s3cret&key=s3cret", "https://h/?auth=***&client_secret=***&key=***"),
        ("postgres://u:s3cret@h/d?sslpassword=s3cret&sslmode=x", "postgres://***@h/d?sslpassword=***&sslmode=x"),
        ("http://[::1]:8086/x@y", "http://[::1]:8086/x@y"),
        ("http://h/people/@me?page=1&keyboard=qwerty", "http://h/people/@me?page=1&keyboard=qwerty"),
        ("http://h/?token=", "http://h/?token="),
        ("unix:///run/x.sock", "unix:///run/x.sock"),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert mask_urls(f"cannot read {url} now") == f"cannot read {shown} now"
    assert redact(f"cannot read {url} and {url}") == f"cannot read {shown} and {shown}"


def test_a_place_in_a_masked_url_stays() -> None:
    shown = mask_url("http://u:s3cret@h/c?token=s3cret") + ":13: mistake"
    assert redact(shown) == shown == "http://***@h/c?token=***:13: mistake"


def test_a_url_between_quotes() -> None:
    assert mask_urls("cannot use 'http://h/?p=s3cret', \"http://h/?p=s3cret\".") == (
        "cannot use 'http://h/?p=***', \"http://h/?p=***\"."
    )


@pytest.mark.parametrize(
    "text", ["://" * 100_000, "http" * 100_000, "http://" + "a" * 400_000, "http://h/?" + "p" * 400_000]
)
def test_long_texts_take_linear_time(text: str) -> None:
    assert mask_urls(text) == text


@given(st.text("abc:/@?&=#p'. "))
def test_any_text_without_an_at_sign_and_a_parameter_stays(text: str) -> None:
    if "@" not in text and "=" not in text:
        assert mask_urls("http://" + text) == "http://" + text


def test_variables_whose_names_promise_a_secret() -> None:
    environ = {
        "INFLUX_TOKEN": "one",
        "AWS_SECRET_ACCESS_KEY": "two-two",
        "DB_PASSWORD": "three-three",
        "API_KEY": "four-four",
        "PWD": "/home/someone",
        "OLDPWD": "/home/someone",
        "CREDENTIALS_DIRECTORY": "/run/credentials/x",
        "TOKEN_FILE": "/etc/token",
        "HOME": "/home/someone",
    }
    assert list(secret_values(environ)) == ["two-two", "three-three", "four-four"]
