"""Where the bytes come from: files, standard input, URLs, text; whatever their compression and encoding, blocks of UTF-8."""

import codecs
import errno
import hashlib
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from pathlib import PurePath
from typing import BinaryIO
from urllib.parse import urlsplit

from pyagent.api.errors import TooMuch
from pyagent.api.masking import mask_url
from pyagent.importer.pieces import ImportFailure
from pyagent.kit.http_client import environment_proxy
from pyagent.kit.inflate import Inflater
from pyagent.kit.tls import client_context

__all__ = ["BLOCK", "Source", "Stream", "checked_encoding"]

BLOCK = 1 << 20
"""Bytes that are worked on at a time."""
_HEAD = 1 << 16
_GZIP = b"\x1f\x8b"
_ANY = 1 << 62
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FORMS = (
    (b"PK\x03\x04", "a ZIP archive, as spreadsheets are; save it as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; save it as CSV"),
    (b"PAR1", "a Parquet file; turn it into CSV"),
    (b"SQLite format 3", "an SQLite database; export a table as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
    (b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
"""What no text has, besides NUL."""
_URL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """One input. `kind`: file, stdin, url or text. `name`: as it is shown. `target`: path, URL, or the text itself."""

    kind: str
    target: str
    tls_ca: str = ""

    @property
    def name(self) -> str:
        if self.kind == "file":
            return self.target
        return {"stdin": "standard input", "text": "the argument"}.get(self.kind) or mask_url(self.target)

    @property
    def stem(self) -> str:
        """The file's name without its endings, for a measurement."""
        if self.kind not in ("file", "url"):
            return ""
        name = PurePath(self.target if self.kind == "file" else urlsplit(self.target).path).name
        for ending in (".gz", ".csv", ".tsv", ".txt", ".lp"):
            if name.lower().endswith(ending):
                name = name[: -len(ending)]
        return name

    @property
    def suffixes(self) -> list[str]:
        path = self.target if self.kind == "file" else urlsplit(self.target).path if self.kind == "url" else ""
        return [suffix.lower() for suffix in PurePath(path).suffixes]

    def check(self) -> None:
        """Raises ImportFailure for a file that is not there, or may not be read."""
        if self.kind != "file":
            return
        try:
            os.stat(self.target)
            problem = 0 if os.access(self.target, os.R_OK) else errno.EACCES
            problem = errno.EISDIR if os.path.isdir(self.target) else problem
        except OSError as error:
            problem = error.errno or errno.EIO
        except ValueError:  # a NUL in the name
            problem = errno.ENOENT
        if problem:
            reason = os.strerror(problem)
            raise ImportFailure(f"cannot read {self.name}: {reason[:1].lower()}{reason[1:]}")

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """The bytes as they are, and how many there are (0: that is not known). Raises ImportFailure."""
        try:
            if self.kind == "file":
                with open(self.target, "rb") as file:
                    yield file, os.fstat(file.fileno()).st_size
            elif self.kind == "stdin":
                yield sys.stdin.buffer, 0
            elif self.kind == "text":
                raw = self.target.encode("utf-8", "surrogateescape")
                yield BytesIO(raw), len(raw)
            else:
                with self._fetched() as (file, size):
                    yield file, size
        except OSError as error:
            if isinstance(error, urllib.error.URLError):
                reason = (
                    str(error.reason)
                    if not isinstance(error, urllib.error.HTTPError)
                    else f"{error.code} {error.reason}"
                )
            else:
                reason = error.strerror or str(error)
            raise ImportFailure(f"cannot read {self.name}: {reason[:1].lower()}{reason[1:]}") from None
        except HTTPException as error:
            raise ImportFailure(f"cannot read {self.name}: {type(error).__name__}, the answer is no HTTP") from None

    @contextmanager
    def _fetched(self) -> Iterator[tuple[BinaryIO, int]]:
        try:
            context = client_context(self.tls_ca) if self.target.startswith("https:") else None
        except ValueError as error:
            raise ImportFailure(f"cannot read {self.tls_ca}: {error}; name a PEM file") from None
        proxy = environment_proxy(self.target)
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
        ]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(self.target, timeout=_URL_SECONDS) as answer:
            length = answer.headers.get("Content-Length", "")
            yield answer, int(length) if length.isdecimal() else 0


class Stream:
    """The blocks of an opened source. `read`: bytes of the source so far. `digest`: of its head. `notes`: what was seen."""

    def __init__(self, file: BinaryIO, name: str, *, encoding: str = "", compression: str = "") -> None:
        """`encoding`: empty is UTF-8, or what a byte order mark says. `compression`: `gzip`, `none`, or empty, which looks at
        the content."""
        self.read = 0
        self.digest = ""
        self.notes: list[str] = []
        self._file = file
        self.name = name
        self._encoding = encoding
        self._compression = compression

    def blocks(self) -> Iterator[bytes]:
        """UTF-8 in blocks of about BLOCK bytes; the last one may be empty. Raises ImportFailure, OSError."""
        plain = self._inflated()
        head = self._head_of(plain)
        encoding = self._encoding
        for mark, name in _MARKS:
            if head.startswith(mark):
                if not encoding or name == "utf-8-sig":
                    self.notes.append(
                        "it begins with a byte order mark" + ("" if name == "utf-8-sig" else f" of {name.upper()}")
                    )
                if codecs.lookup(encoding or name).name in ("utf-8", "utf-8-sig"):
                    encoding, head = "", head[len(mark) :]
                else:
                    encoding = encoding or name
                break
        if not encoding or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
            self._refuse_binary(head)
            yield head
            yield from plain
        else:
            yield from self._decoded(head, plain, encoding)

    def _head_of(self, blocks: Iterator[bytes]) -> bytes:
        return next((block for block in blocks if block), b"")

    def _raw(self) -> Iterator[bytes]:
        while True:
            block = self._file.read(BLOCK)
            if not block:
                return
            if not self.read:
                self.digest = hashlib.sha256(block[:_HEAD]).hexdigest()
            self.read += len(block)
            yield block

    def _inflated(self) -> Iterator[bytes]:
        raw = self._raw()
        head = next(raw, b"")
        if self._compression == "none" or (self._compression != "gzip" and not head.startswith(_GZIP)):
            yield head
            yield from raw
            return
        inflater = Inflater(_ANY, padded=True)
        taken = 0
        parts: list[bytes] = []
        size = 0
        broken = ""
        try:
            for block in _behind(head, raw):
                for piece in inflater.feed(block):
                    parts.append(piece)
                    size += len(piece)
                    taken += len(piece)
                    if size >= BLOCK:
                        yield b"".join(parts)
                        parts, size = [], 0
            inflater.finish()
        except (ValueError, TooMuch) as error:
            broken = str(error)
        yield b"".join(parts)
        if broken:
            reason = f"it is damaged ({broken})" if broken.startswith("Error") else broken
            rest = "; what could be unpacked was taken" if taken else ""
            raise ImportFailure(f"{self.name}: cannot unpack the gzip file: {reason}{rest}")

    def _decoded(self, head: bytes, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)()
        line = 1
        try:
            first = True
            for block in _behind(head, blocks):
                text = decoder.decode(block)
                if first:
                    text, first = text.removeprefix("\ufeff"), False
                    self._refuse_binary(text.encode("utf-8", "surrogatepass"))
                line += text.count("\n")
                yield text.encode("utf-8", "surrogatepass")
            yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            good = error.object[: error.start]
            line += _decodable(good, encoding).count("\n")
            raise ImportFailure(
                f"{self.name}: line {line}: it is not {encoding}: {error.reason}; give the right --encoding"
            ) from None

    def _refuse_binary(self, head: bytes) -> None:
        for start, what in _FORMS:
            if head.startswith(start):
                raise ImportFailure(f"{self.name}: it is no text, but {what}")
        # One here and there costs its row alone; many are a file of another kind.
        first = head[:_HEAD]
        lines, many = first.count(b"\n"), first.count(b"\0")
        if (at := first.find(b"\0")) >= 0 and (
            at < first.find(b"\n") or many > max(lines // 10, 1) or _CONTROL.search(first)
        ):
            line, column = head.count(b"\n", 0, at) + 1, at - head.rfind(b"\n", 0, at)
            hint = "; it may be UTF-16: --encoding UTF-16LE" if head[1:2] == b"\0" or head[:1] == b"\0" else ""
            raise ImportFailure(f"{self.name}: line {line}, column {column}: it is no text, there is a NUL{hint}")


def _behind(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _decodable(data: bytes, encoding: str) -> str:
    return data.decode(encoding, "replace")


def checked_encoding(name: str) -> str:
    """An encoding by the name that IANA has for it; empty stays empty. Raises ImportFailure."""
    if not name:
        return ""
    try:
        info = codecs.lookup(name)
        if not getattr(info, "_is_text_encoding", True):
            raise LookupError
    except (LookupError, ValueError):
        raise ImportFailure(
            f"cannot use the encoding {name!r}: it is unknown; write one such as UTF-8, ISO-8859-1, windows-1252 or UTF-16"
        ) from None
    return info.name
