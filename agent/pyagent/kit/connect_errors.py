"""Why there is no connection, in words that say what to do about it."""

import errno
import os
import re
import socket
import ssl

__all__ = ["SPEAKS_HTTP", "SPEAKS_HTTPS", "cause_and_advice", "explained", "is_lasting", "not_http", "wants_https"]

SPEAKS_HTTP = "this port speaks http: write http:// in place of https://"
SPEAKS_HTTPS = "this port speaks https: write https:// in place of http://"
_ADVICE = {
    errno.ECONNREFUSED: "is it running, and is this its port?",
    errno.EHOSTUNREACH: "is the host up, and the address right?",
    errno.ENETUNREACH: "is the network up, and the address right?",
    errno.ETIMEDOUT: "a firewall drops it, or the host is down",
    errno.EACCES: "a firewall of this host forbids it, or the file of the socket may not be opened",
    errno.ENOENT: "is it running, and is this the path of its socket?",
    errno.ENOTSOCK: "this is no socket",
}
# OpenSSL's numbers of what is wrong with a certificate.
_CERTIFICATE = {
    9: "is the clock of this host right?",
    10: "renew it on the server; if it is not old, the clock of this host is wrong",
    62: "it must be in the certificate's subjectAltName, or give one that is as tls_server_name",
    64: "it must be in the certificate's subjectAltName, or give one that is as tls_server_name",
} | dict.fromkeys(
    (2, 18, 19, 20, 21), "give the file of its authority as tls_ca, or add it to the system's authorities"
)
_WANTS_HTTPS = re.compile(
    rb"HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL-enabled"
)
_PLAIN = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)
_TLS = {
    "CERTIFICATE_REQUIRED": "the server wants a client's certificate: tls_cert and tls_key",
    "BAD_CERTIFICATE": "the server does not take the client's certificate: tls_cert and tls_key",
    "UNKNOWN_CA": "the server does not take the client's certificate: tls_cert and tls_key",
    "PROTOCOL_VERSION": "the server has other versions of TLS: tls_min_version",
    "UNSUPPORTED_PROTOCOL": "the server has older versions of TLS only: tls_min_version",
    "HANDSHAKE_FAILURE": "the two have no cipher suite or version in common, or it wants a client's certificate",
}


def explained(reason: OSError) -> str:
    """What the system or OpenSSL says, and what to do. `reason`: as asyncio raises it where it cannot connect."""
    said, advice = cause_and_advice(reason)
    return f"{said}; {advice}" if advice else said


def cause_and_advice(reason: OSError) -> tuple[str, str]:
    """The same, each on its own; the advice may be empty."""
    advice = ""
    if isinstance(reason, ssl.SSLCertVerificationError):
        advice = _CERTIFICATE.get(reason.verify_code, "")
    elif isinstance(reason, ssl.SSLError):
        name = reason.reason or ""
        advice = SPEAKS_HTTP if name in _PLAIN else next((text for end, text in _TLS.items() if name.endswith(end)), "")
    elif isinstance(reason, socket.gaierror):
        again = reason.errno == socket.EAI_AGAIN
        advice = "does the name server answer? see /etc/resolv.conf" if again else "check the name of the host"
    elif reason.errno:
        advice = _ADVICE.get(reason.errno, "")
    return _said(reason), advice


def is_lasting(reason: OSError) -> bool:
    """Whether nothing but a person's work will change it: a certificate that is not good, a port that speaks http."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return True
    return isinstance(reason, ssl.SSLError) and reason.reason in _PLAIN


def not_http(url: str) -> str:
    """What is wrong where the answer from `url` does not begin as one of HTTP does, and what to do."""
    secure = url.partition("://")[0].lower() == "https"
    return f"it does not answer in HTTP; {'it may be another program' if secure else 'it may speak TLS: try https://'}"


def wants_https(status: int, body: bytes) -> bool:
    """Whether an answer to a request in clear text is that of a server that speaks https there: Go's, nginx's, Apache's."""
    return status in (400, 497) and _WANTS_HTTPS.search(body[:2000]) is not None


def _said(reason: OSError) -> str:
    if isinstance(reason, ssl.SSLError):
        # Without OpenSSL's name of it, and Python's file.
        return re.sub(r"^\[[A-Z0-9]+(: \w+)?\] | \(_ssl\.c:\d+\)$", "", reason.strerror or str(reason))
    # asyncio puts the address where the system's words should be; a resolver's own numbers are negative.
    words = os.strerror(reason.errno) if reason.errno and reason.errno > 0 else reason.strerror
    if not words and not str(reason) and isinstance(reason, TimeoutError):
        return "no answer in time"
    # asyncio has no words for a handshake that the server ends by going away.
    return words or str(reason) or "the server closed the connection in the TLS handshake; does this port speak https?"
