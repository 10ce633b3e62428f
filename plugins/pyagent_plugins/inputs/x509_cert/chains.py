"""Whether a certificate is trusted: by Go's rules, and in its words, which dashboards of Telegraf know.

Constraints on names in the certificates of authorities are not looked at.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from pyagent.api.files import read_file
from pyagent.kit.tls import client_context
from pyagent_plugins.inputs.x509_cert.describe import alternative_names
from pyagent_plugins.inputs.x509_cert.sources import from_pem, load

__all__ = ["Authorities", "Judge", "joined", "system_or"]

_UNKNOWN = "x509: certificate signed by unknown authority"
_NO_AUTHORITY = "x509: certificate is not authorized to sign other certificates"
_MOST_CHECKS = 100
_WEAK = ("md5", "sha1")


class Authorities:
    """Certificates in DER. Only those that are asked for are read: a system has hundreds."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self.certificates = list(certificates)
        self._known = set(self.certificates)

    def issuers(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """Those that may be its issuer, by their name."""
        name = certificate.issuer.public_bytes()
        found = []
        for one in self.certificates:
            if name in one:
                with suppress(ValueError):
                    found.append(load(one))
        return [one for one in found if one.subject == certificate.issuer]

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return _der(certificate) in self._known


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def system_or(path: str) -> Authorities:
    """Those of a PEM file, or of the system. Blocks for a moment. Raises OSError, ValueError."""
    if path:
        return joined(None, from_pem(read_file(path)))
    return Authorities(client_context().get_ca_certs(binary_form=True))


def joined(known: Authorities | None, more: Iterable[x509.Certificate]) -> Authorities:
    return Authorities([*(known.certificates if known else ()), *map(_der, more)])


class Judge:
    """Of the certificates of one source. `intermediates`: those that came with it. `now`: seconds since 1970."""

    def __init__(self, roots: Authorities, intermediates: Sequence[x509.Certificate], now: float) -> None:
        self._roots = roots
        self._intermediates = joined(None, intermediates)
        self._now = datetime.fromtimestamp(now, UTC)
        self._types: dict[bytes, str] = {}
        self._checks = 0

    def problem(self, certificate: x509.Certificate, name: str) -> str:
        """Why it is not valid, empty where it is. `name`: host that it has to be for, if any."""
        if _is_signed_by(certificate, certificate):
            self._types[certificate.signature] = "root"
        problem = self._time_problem(certificate) or (name and _name_problem(certificate, name))
        if problem:
            return problem
        if certificate in self._roots:
            return ""
        self._checks = 0
        problem, chain = self._chain([certificate])
        for one in chain[1:]:
            own = _is_signed_by(one, one)
            kind = ("root" if own else "intermediate") if _is_authority(one) else "unknown"
            self._types.setdefault(one.signature, kind)
        return problem

    def type_of(self, certificate: x509.Certificate) -> str:
        return self._types.get(certificate.signature, "leaf")

    def _chain(self, chain: list[x509.Certificate]) -> tuple[str, list[x509.Certificate]]:
        """A problem, or a chain to a root."""
        problem = ""
        for pool, is_root in ((self._roots, True), (self._intermediates, False)):
            for issuer in pool.issuers(chain[-1]):
                self._checks += 1
                if issuer in chain or self._checks > _MOST_CHECKS or not _signs(issuer, chain[-1]):
                    continue
                if found := self._time_problem(issuer) or (
                    "" if _is_authority(issuer, len(chain) - 1) else _NO_AUTHORITY
                ):
                    problem = found
                    continue
                if is_root:
                    return "", [*chain, issuer]
                found, whole = self._chain([*chain, issuer])
                if whole:
                    return "", whole
                problem = problem or (found if found != _UNKNOWN else "")
        return problem or _UNKNOWN, []

    def _time_problem(self, certificate: x509.Certificate) -> str:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if start <= self._now <= end:
            return ""
        when = f"is before {_shown(start)}" if self._now < start else f"is after {_shown(end)}"
        return f"x509: certificate has expired or is not yet valid: current time {_shown(self._now)} {when}"


def _shown(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_authority(certificate: x509.Certificate, below: int = 0) -> bool:
    """Whether it may sign others, with so many between it and the last one."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return certificate.version is x509.Version.v1
    return found.ca and (found.path_length is None or below <= found.path_length)


def _signs(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.key_cert_sign:
            return False
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        pass
    except ValueError:
        return False
    return _is_signed_by(certificate, issuer)


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Weak signatures count as none."""
    try:
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _name_problem(certificate: x509.Certificate, name: str) -> str:
    names, _, addresses, _ = alternative_names(certificate)
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        address = None
    if address is not None:
        if not addresses:
            return f"x509: cannot validate certificate for {name} because it doesn't contain any IP SANs"
        if address in map(ipaddress.ip_address, addresses):
            return ""
        return f"x509: certificate is valid for {', '.join(addresses)}, not {name}"
    wanted = name.lower().removesuffix(".")
    if any(_matches(one.lower(), wanted) for one in names):
        return ""
    if not names:
        return f"x509: certificate is not valid for any names, but wanted to match {name}"
    return f"x509: certificate is valid for {', '.join(names)}, not {name}"


def _matches(pattern: str, name: str) -> bool:
    first, dot, rest = name.partition(".")
    return pattern == name or (pattern.startswith("*.") and bool(first and dot and rest) and pattern[2:] == rest)
