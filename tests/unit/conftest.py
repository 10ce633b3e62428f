"""What unit tests share: certificates, made by the program openssl."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, another-ca.pem, server.pem (of 127.0.0.1 and influx.example), key.pem and locked.pem."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    try:
        for name in ("ca", "another-ca"):
            subject = f"-subj /CN={name} -days 30 -keyout {name}.key -out {name}.pem"
            openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes {subject}")
    except FileNotFoundError:
        pytest.skip("the program openssl is missing: apt install openssl")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:influx.example")
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout key.pem -out request")
    openssl("x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem")
    openssl("pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:open-sesame")
    return folder
