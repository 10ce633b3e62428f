"""Keys and tokens of NATS, made and used by the program openssl: what the library nkeys does, which has no wheel.

`from_seed` is that library's; the rest makes what its tools make.
"""

import base64
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
_SEED = 18 << 3
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")


class KeyPair:
    """Of Ed25519."""

    def __init__(self, raw: bytes, kind: int) -> None:
        self._raw = raw
        self._kind = kind
        public = _openssl("pkey", "-pubout", "-outform", "DER", key=_PKCS8 + raw)[-32:]
        self.public_key = _encoded(bytes([kind]) + public)

    @property
    def seed(self) -> bytes:
        prefix = bytes([_SEED | self._kind >> 5, (self._kind & 31) << 3])
        return _encoded(prefix + self._raw)

    def sign(self, data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return _openssl("pkeyutl", "-sign", "-rawin", "-in", file.name, key=_PKCS8 + self._raw)

    def wipe(self) -> None:
        """There is nothing to wipe."""


def new_key(kind: int) -> KeyPair:
    with open("/dev/urandom", "rb") as random:
        return KeyPair(random.read(32), kind)


def from_seed(seed: bytes | bytearray) -> KeyPair:
    text = bytes(seed).strip()
    data = base64.b32decode(text + b"=" * (-len(text) % 8))
    return KeyPair(data[2:34], (data[0] & 7) << 5 | data[1] >> 3)


def token(signer: KeyPair, subject: KeyPair, name: str, claims: dict[str, Any]) -> str:
    """A JWT as NATS has them."""
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": name, "iat": int(time.time()), "iss": signer.public_key.decode(), "name": name}
    body |= {"sub": subject.public_key.decode(), "nats": claims | {"version": 2}}
    signed = f"{_url64(json.dumps(head).encode())}.{_url64(json.dumps(body).encode())}"
    return f"{signed}.{_url64(signer.sign(signed.encode()))}"


def credentials(jwt: str, user: KeyPair) -> str:
    """The text of a file of credentials."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded(data: bytes) -> bytes:
    return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).rstrip(b"=")


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _openssl(*arguments: str, key: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key.der")
        path.write_bytes(key)
        option = "-inkey" if arguments[0] == "pkeyutl" else "-in"
        command = ["openssl", *arguments, option, str(path), "-keyform" if option == "-inkey" else "-inform", "DER"]
        return subprocess.run(command, check=True, capture_output=True).stdout
