"""What a certificate says of itself, as tags and fields."""

import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from pyagent.api import Uint

__all__ = ["alternative_names", "described"]

# Old authorities have such certificates, of whom the agent's user is not the one to change them.
warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)

_SUBJECT = {
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "country": NameOID.COUNTRY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
}
_FAMILIES = {
    SignatureAlgorithmOID.RSASSA_PSS: "{}-RSAPSS",
    SignatureAlgorithmOID.ED25519: "Ed25519",
    **{
        getattr(SignatureAlgorithmOID, f"RSA_WITH_{one}"): "{}-RSA"
        for one in ("MD5", "SHA1", "SHA256", "SHA384", "SHA512")
    },
    **{
        getattr(SignatureAlgorithmOID, f"ECDSA_WITH_{one}"): "ECDSA-{}"
        for one in ("SHA1", "SHA256", "SHA384", "SHA512")
    },
    **{getattr(SignatureAlgorithmOID, f"DSA_WITH_{one}"): "DSA-{}" for one in ("SHA1", "SHA256")},
}
"""Those that Go knows; others are "0"."""


def described(certificate: x509.Certificate, now: float, *, padded: bool) -> tuple[dict[str, str], dict[str, object]]:
    start = int(certificate.not_valid_before_utc.timestamp())
    end = int(certificate.not_valid_after_utc.timestamp())
    subject, issuer = certificate.subject, certificate.issuer
    algorithm, bits = _key(certificate)
    names, emails, addresses, uris = alternative_names(certificate)
    number = certificate.serial_number
    tags = {
        "common_name": _value(subject, NameOID.COMMON_NAME, last=True),
        "serial_number": f"{number:016x}" if padded else f"{number:x}",
        "signature_algorithm": _signature(certificate),
        "public_key_algorithm": algorithm,
        "issuer_common_name": _value(issuer, NameOID.COMMON_NAME, last=True),
        "issuer_serial_number": _value(issuer, NameOID.SERIAL_NUMBER, last=True),
        "san": ",".join((*names, *emails, *addresses, *uris)),
    } | {tag: _value(subject, oid) for tag, oid in _SUBJECT.items()}
    found: dict[str, object] = {"age": int(now - start), "expiry": int(end - now), "startdate": start, "enddate": end}
    if bits:
        found["public_key_length"] = Uint(bits)
    return {name: value for name, value in tags.items() if value}, found


def alternative_names(certificate: x509.Certificate) -> tuple[list[str], list[str], list[str], list[str]]:
    """DNS names, addresses of mail, IP addresses and URIs that it is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return [], [], [], []
    return (
        found.get_values_for_type(x509.DNSName),
        found.get_values_for_type(x509.RFC822Name),
        [str(one) for one in found.get_values_for_type(x509.IPAddress)],
        found.get_values_for_type(x509.UniformResourceIdentifier),
    )


def _value(name: x509.Name, oid: x509.ObjectIdentifier, *, last: bool = False) -> str:
    found = name.get_attributes_for_oid(oid)
    if not found:
        return ""
    value = found[-1 if last else 0].value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _signature(certificate: x509.Certificate) -> str:
    family = _FAMILIES.get(certificate.signature_algorithm_oid, "0")
    try:
        algorithm = certificate.signature_hash_algorithm
    except ValueError:
        return "0"
    return family.format(algorithm.name.upper() if algorithm else "")


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    """Its algorithm, and the bits that count."""
    try:
        key = certificate.public_key()
    except ValueError:
        return "0", 0
    match key:
        case rsa.RSAPublicKey():
            return "RSA", (key.key_size + 7) // 8 * 8
        case ec.EllipticCurvePublicKey():
            return "ECDSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case dsa.DSAPublicKey():
            return "DSA", 0
    return "0", 0
