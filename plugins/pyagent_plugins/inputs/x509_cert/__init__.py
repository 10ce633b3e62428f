"""How long certificates are valid, and if trusted."""

import asyncio
import os
import ssl
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    PyagentError,
    Secret,
    fields,
    option,
)
from pyagent.api.files import path_of, read_file
from pyagent.api.masking import mask_url
from pyagent.kit.each import for_each
from pyagent.kit.globpath import match_files
from pyagent.kit.libraries import missing_library
from pyagent.kit.tls import TlsOptions, client_context

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from pyagent_plugins.inputs.x509_cert.chains import Authorities

__all__ = ["X509Cert", "X509CertOptions"]

_SERVERS = ("tcp", "tcp4", "tcp6", "https", "smtp")
_STORES = ("jks", "pkcs12")


def _is_file(source: str) -> bool:
    return source.startswith(("file://", "/")) or (os.sep in source and "://" not in source)


def _files_of(source: str) -> list[str]:
    """The files that a source names; none where it is a server."""
    if _is_file(source):
        return [source.removeprefix("file://")]
    scheme, _, rest = source.partition("://")
    return ["/" + rest.partition("/")[2]] if scheme in _STORES else []


class X509CertOptions(TlsOptions, frozen=True):
    sources: Annotated[
        list[str],
        option(
            "what to look at: tcp://HOST:PORT, https://HOST, smtp://HOST:PORT, paths of PEM files with wildcards, jks:///PATH,"
            " pkcs12:///PATH",
            reads_path=_files_of,
        ),
    ] = []
    timeout: Annotated[Duration, option("longest time until a server has shown its certificate", gt=0)] = Duration("5s")
    server_name: Annotated[str, option("as tls_server_name")] = ""
    password: Annotated[Secret, option("password of JKS and PKCS#12 files")] = Secret("")
    exclude_root_certs: Annotated[bool, option("only the first certificate of each source")] = False
    pad_serial_with_zeroes: Annotated[bool, option("serial numbers have 16 digits at least")] = False
    use_proxy: Annotated[bool, option("servers are asked without a proxy", no_effect=True)] = False
    proxy_url: Annotated[str, option("servers are asked without a proxy", no_effect=True)] = ""


class X509Cert(Input[X509CertOptions]):
    measurements = (
        Measurement(
            "x509_cert",
            "A certificate of a source, the server's own one first.",
            tags={
                "source": "where it is from",
                "common_name": "its name",
                "serial_number": "in hexadecimal digits",
                "san": "names and addresses that it is for",
                "type": "leaf, intermediate or root",
                "verification": "valid or invalid",
                "signature_algorithm": "of its signature",
                "public_key_algorithm": "of its key",
                "organization": "of the subject",
                "organizational_unit": "of the subject",
                "country": "of the subject",
                "province": "of the subject",
                "locality": "of the subject",
                "issuer_common_name": "name of its issuer",
                "issuer_serial_number": "serial number in the issuer's name",
                "ocsp_stapled": "no: it is not asked for",
            },
            fields=fields(
                "int",
                "s",
                age="since it became valid",
                expiry="until it expires; negative after that",
            )
            | {
                "startdate": Field("int", "s", "when it became valid, in seconds since 1970"),
                "enddate": Field("int", "s", "when it expires, in seconds since 1970"),
                "public_key_length": Field("uint", "1", "bits of its key"),
                "verification_code": Field("int", "1", "0: valid; 1: invalid"),
                "verification_error": Field("str", "", "why it is not valid"),
            },
            charts=(Chart("Time until they expire", ("expiry",)),),
        ),
    )

    def setup(self) -> None:
        options = self.options
        if not options.sources:
            raise ConfigError("there is no source; give a server or a file", option="sources")
        if options.server_name and options.tls_server_name:
            raise ConfigError("cannot use both server_name and tls_server_name: give one of them", option="server_name")
        self._name = options.server_name or options.tls_server_name
        for source in options.sources:
            if _is_file(source):
                continue
            try:
                parts = urlsplit(source)
                _ = parts.port  # it raises ValueError
            except ValueError as error:
                raise ConfigError(f"cannot use the source {mask_url(source)!r}: {error}", option="sources") from None
            if parts.scheme in _SERVERS and not parts.hostname:
                raise ConfigError(f"cannot use the source {source!r}: it names no host", option="sources")
        if find_spec("cryptography") is None:
            raise ConfigError(f"cannot read certificates: {missing_library('cryptography')}")
        context = options.ssl_context() or client_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # they are judged here, with words for each
        self._context = context
        self._roots: Authorities | None = None

    async def gather(self, acc: Accumulator) -> None:
        if self._roots is None:
            from pyagent_plugins.inputs.x509_cert.chains import system_or

            self._roots = await asyncio.to_thread(system_or, self.options.tls_ca)
        await for_each(self.options.sources, lambda source: self._source(source, acc))

    async def _source(self, source: str, acc: Accumulator) -> None:
        if not _is_file(source):
            await self._one(source, acc)
            return
        pattern = path_of(source.removeprefix("file://"), source)
        try:
            found = await asyncio.to_thread(match_files, pattern)
        except ValueError as error:
            raise PyagentError(f"cannot find certificates: {error}") from None
        if not found:
            raise PyagentError(f"cannot find a certificate: no file is {pattern}")
        await for_each([path_of(f"file://{path}", path) for path in found], lambda one: self._one(one, acc))

    async def _one(self, source: str, acc: Accumulator) -> None:
        from pyagent_plugins.inputs.x509_cert import sources
        from pyagent_plugins.inputs.x509_cert.chains import joined

        scheme, _, rest = source.partition("://")
        rest = path_of(rest, source)
        roots = self._roots
        assert roots is not None
        name = self._name
        shown = mask_url(source)
        try:
            if scheme in _SERVERS:
                parts = urlsplit(source)
                name = name or parts.hostname or ""
                port = parts.port or (443 if scheme == "https" else 25 if scheme == "smtp" else None)
                if scheme == "https" and parts.port is None:
                    source = parts._replace(netloc=f"{parts.netloc}:443").geturl()
                if port is None:
                    raise ValueError("it has no port")
                asked = sources.from_server(
                    scheme, parts.hostname or "", port, self._context, name, self.options.timeout.seconds
                )
                certificates = await asked
            elif scheme == "file":
                source = f"file://{quote(rest, safe='/$&+,:;=@')}"
                certificates = await asyncio.to_thread(lambda: sources.from_pem(read_file(rest)))
            elif scheme in _STORES:
                name = name or urlsplit(source).hostname or ""
                read = sources.from_jks if scheme == "jks" else sources.from_pkcs12
                password = self.options.password.reveal()
                path = path_of(_files_of(source)[0], source)
                certificates = await asyncio.to_thread(lambda: read(read_file(path), password))
                # What a store holds is trusted, beside tls_ca.
                roots = joined(roots if self.options.tls_ca else None, certificates[scheme == "pkcs12" :])
            else:
                raise ValueError(
                    f"there is no source {scheme!r}; use one of {', '.join((*_SERVERS, 'file', *_STORES))}"
                )
        except OSError as error:
            raise PyagentError(f"cannot read {shown}: {error.strerror or error}") from None
        except ValueError as error:
            raise PyagentError(f"cannot read {shown}: {error}") from None
        rows = await asyncio.to_thread(self._rows, certificates, roots, name, shown if source == shown else source)
        for tags, found in rows[:1] if self.options.exclude_root_certs else rows:
            acc.add("x509_cert", found, tags)

    def _rows(
        self, certificates: Sequence["Certificate"], roots: "Authorities", name: str, source: str
    ) -> list[tuple[dict[str, str], dict[str, object]]]:
        from pyagent_plugins.inputs.x509_cert.chains import Judge
        from pyagent_plugins.inputs.x509_cert.describe import described

        now = time.time()
        judge = Judge(roots, certificates[1:], now)
        problems = [judge.problem(one, "" if index else name) for index, one in enumerate(certificates)]
        rows = []
        for certificate, problem in zip(certificates, problems, strict=True):
            tags, found = described(certificate, now, padded=self.options.pad_serial_with_zeroes)
            tags |= {
                "source": source,
                "ocsp_stapled": "no",
                "type": judge.type_of(certificate),
                "verification": "invalid" if problem else "valid",
            }
            found["verification_code"] = int(bool(problem))
            if problem:
                found["verification_error"] = problem
            rows.append((tags, found))
        return rows
