"""What the flags of `pyagent write` say of the inputs, and mistakes in them, which end the program."""

import argparse
import os
import re
import sys
from typing import NoReturn, cast

from pyagent.cli.terminal import harmless
from pyagent.cli.tokens import looks_like_token
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.reading import Format, ReadingOptions
from pyagent.importer.sources import Source, checked_encoding
from pyagent.importer.time_column import Given
from pyagent.importer.times import reader_of, zone_of
from pyagent.lineprotocol import Precision
from pyagent.lineprotocol.results import unit_ns

__all__ = ["mistake", "parse_rate", "reading_options_of", "sources_of"]

_RATE = re.compile(r"([0-9]*)\s*(B|kB|MB)\s*/\s*([0-9]*)\s*(s|sec|m|min)")
_SIZES = {"B": 1, "kB": 1024, "MB": 1024 * 1024}
_LP = re.compile(r"[^\s,=#]\S*(?<!\\)\s+\S+=\S")


def mistake(given: argparse.Namespace, message: str) -> NoReturn:
    """End the program."""
    given.parser.error(message)
    raise AssertionError


def sources_of(given: argparse.Namespace, words: list[str]) -> list[Source]:
    """The inputs, in their order; standard input where none is named."""
    if any(map(looks_like_token, words)):
        mistake(given, "cannot take a token as an argument: write it into a file and name that with --token-file")
    sources = [Source("file", path) if path != "-" else Source("stdin", "-") for path in given.file]
    for url in given.url:
        if not re.match(r"https?://[^/]", url, re.IGNORECASE):
            mistake(given, f"cannot read from {harmless(url)!r}: it is no address of http or https")
        if re.fullmatch(r"https?://[^/?]*/?", url, re.IGNORECASE):
            mistake(given, f"{harmless(url)} names a server and no file; the server that is written to is --host")
        sources.append(Source("url", url, given.tls_ca))
    for word in words:
        if word == "-":
            sources.append(Source("stdin", word))
        elif word.startswith("@"):
            sources.append(Source("file", word[1:]))
        elif _LP.search(word) and not os.path.exists(word):
            sources.append(Source("text", word))
        else:
            sources.append(Source("file", word))
    if sum(source.kind == "stdin" for source in sources) > 1:
        mistake(given, "standard input can be read once only")
    if not sources and sys.stdin.isatty():
        mistake(given, "no file is given; name one, or - for standard input")
    return sources or [Source("stdin", "-")]


def reading_options_of(given: argparse.Namespace, *, dry: bool) -> ReadingOptions:
    """How all inputs are read. Raises ImportFailure."""
    separator = _unescaped(given.separator)
    for name, value, known in (
        ("--format", given.format, ("csv", "lp")),
        ("--compression", given.compression, ("none", "gzip")),
        ("--precision", given.precision, ("ns", "us", "ms", "s")),
        ("--decimal", given.decimal, (".", ",")),
    ):
        if value and value not in known:
            mistake(given, f"invalid value {harmless(value)!r} for {name}: write {' or '.join(known)}")
    if given.skipHeader < 0 or given.max_line_length < 0:
        mistake(given, "--skipHeader and --max-line-length take no negative numbers")
    if len(separator) > 1:
        mistake(given, f"invalid value {harmless(separator)!r} for --separator: write one character")
    precision = cast("Precision", given.precision or "ns")
    headers = tuple(given.header)
    longest = given.max_line_length
    try:
        zone = zone_of(given.timezone)
    except ValueError as error:
        raise ImportFailure(f"cannot use --timezone: {error}; write one like Europe/Berlin or +0200") from None
    csv = CsvOptions(
        headers=headers,
        skip=given.skipHeader,
        separator=separator.encode(),
        longest=0 if dry else longest,
        most_held=max(longest, 16_000_000),
        ignore_types_in_header=given.xIgnoreDataTypeInColumnName,
        keep_duplicates=given.keep_duplicates,
        zone=zone,
    )
    return ReadingOptions(
        format=cast("Format", given.format),
        encoding=checked_encoding(given.encoding),
        compression=given.compression,
        csv=csv,
        given=_about_columns(given, separator),
        precision=precision,
        unit=unit_ns(precision),
        dry=dry,
    )


def _about_columns(given: argparse.Namespace, separator: str) -> Given:
    types: dict[str, str] = {}
    for text in given.type:
        name, equals, kind = text.rpartition("=")
        if not equals:
            mistake(given, f"invalid value {harmless(text)!r} for --type: write NAME=TYPE")
        types[name] = kind
    if given.time_format:
        reader_of(given.time_format, zone_of(""))
    tags = [*given.tag, *(name for name in given.tag_columns.split(",") if name)]
    return Given(
        measurement=given.measurement,
        time=given.time_column,
        tags=tags,
        types=types,
        form=given.time_format,
        zone=given.timezone,
        decimal=given.decimal,
        separator=separator,
        unit=unit_ns(given.precision or "ns"),
        precise=bool(given.precision),
    )


def parse_rate(text: str) -> tuple[int, float] | None:
    """`5 MB / 5 min` as bytes and seconds; None for an empty text. Raises ImportFailure."""
    if not text:
        return None
    match = _RATE.fullmatch(text.strip())
    size = int(match[1] or 1) * _SIZES[match[2]] if match else 0
    seconds = int(match[3] or 1) * (60 if match[4].startswith("m") else 1) if match else 0
    if not size or not seconds:
        raise ImportFailure(
            f"cannot use --rate-limit {harmless(text)!r}: write one like '5 MB / 5 min', with B, kB or MB in s, sec, m or min"
        )
    return size, float(seconds)


def _unescaped(text: str) -> str:
    return {"\\t": "\t", "tab": "\t"}.get(text, text)
