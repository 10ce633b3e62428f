"""Reads whole files at each gather and parses them.

As in Telegraf 1.40 a pattern that matches nothing stops the gather before anything is read, and the first file that
cannot be read or parsed ends it: what earlier files gave is kept. A file that two patterns match is read twice.
"""

import os
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Input,
    Measurement,
    ParseError,
    ParserOptions,
    PyagentError,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.api.files import read_file, without_mark
from pyagent.kit.globpath import match_files
from pyagent.kit.shown import quoted

__all__ = ["File", "FileOptions"]


class FileOptions(ParserOptions, frozen=True):
    files: Annotated[list[str], option("files to read; wildcards, ** goes into folders", reads_path=True)] = []
    file_tag: Annotated[str, option("tag for the file's name; empty: none")] = ""
    file_path_tag: Annotated[str, option("tag for the file's absolute path; empty: none")] = ""
    character_encoding: Annotated[
        str, option("utf-8, utf-16le, utf-16be; empty: by its byte order mark, else as it is")
    ] = ""


_ENCODINGS = {"": "", "none": "", "utf-8": "utf-8", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}


class File(Input[FileOptions]):
    measurements = (Measurement("file", "what the files hold, where they give it no name of its own", open=True),)

    def setup(self) -> None:
        encoding = self.options.character_encoding
        if encoding not in _ENCODINGS:
            problem = f"cannot read the character encoding {encoding!r}; use utf-8, utf-16le or utf-16be"
            raise ConfigError(problem, option="character_encoding")
        self._encoding = _ENCODINGS[encoding]

    def gather(self, acc: Accumulator) -> None:
        for path in self._paths():
            data = self._read(path)
            try:
                acc.add_data(data, self.new_parser(), self._tags(path))
            except (ParseError, TooMuch, ValueError) as error:
                raise PyagentError(f"cannot parse {quoted(path)}: {error}") from None

    def _paths(self) -> list[str]:
        paths: list[str] = []
        for pattern in self.options.files:
            try:
                matching = match_files(pattern)
            except ValueError as error:
                raise PyagentError(str(error)) from None
            if not matching:
                raise PyagentError(f"cannot find file(s): {pattern}; nothing has this name, or may be read there")
            # A pattern may match folders on its way.
            paths += [path for path in matching if path == pattern or not os.path.isdir(path)]
        return paths

    def _read(self, path: str) -> bytes:
        try:
            data = read_file(path)
        except OSError as error:
            raise PyagentError(f"cannot read {quoted(path)}: {error.strerror}") from None
        if self._encoding:
            data = data.decode(self._encoding, "replace").encode()
        return without_mark(data)

    def _tags(self, path: str) -> dict[str, str]:
        tags = {}
        if self.options.file_tag:
            tags[self.options.file_tag] = os.path.basename(path)
        if self.options.file_path_tag:
            tags[self.options.file_path_tag] = os.path.abspath(path)
        return tags
