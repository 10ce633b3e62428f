"""The input libvirt over its transports: a real libvirtd with its test driver, TLS, TCP, and a program in place of ssh."""

import contextlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import libvirt_daemon as daemon
import pytest
from libvirt_daemon import ScriptedDaemon, guest, parameter, statistics
from real_servers import running

from pyagent.api import PyagentError
from pyagent.testing import assert_declared, lines, run_input
from pyagent.testing.servers import Server, find_program
from pyagent_plugins.inputs.libvirt import Libvirt

WEB = guest("web")
ANSWERS = {
    daemon.ALL_DOMAINS: daemon.domains(WEB),
    daemon.ALL_STATISTICS: statistics((WEB, [parameter("state.state", 1, 1)])),
}
STATE = ["libvirt_state,domain_name=web state=1i"]


class Libvirtd(Server):
    """Its driver for tests has one guest, `test`, with two processors."""

    name = "libvirtd"

    def __init__(self) -> None:
        super().__init__()
        if os.geteuid() == 0:  # of root it would be the daemon of the host
            self.user = "nobody"

    @property
    def socket(self) -> str:
        return f"{self.directory}/libvirt/libvirt-sock"

    def command(self) -> list[str]:
        program = find_program("libvirtd", self.name, "libvirt-daemon")
        return ["/usr/bin/env", f"XDG_RUNTIME_DIR={self.directory}", program]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            return True
        return False


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[Libvirtd]:
    yield from running(Libvirtd)


def test_a_real_daemon(libvirtd: Libvirtd) -> None:
    uri = f"test+unix:///default?socket={libvirtd.socket}"
    metrics = run_input(Libvirt, {"libvirt_uri": uri, "additional_statistics": ["vcpu_mapping"]})
    assert_declared(Libvirt, metrics)
    got = lines(metrics)
    assert "libvirt_state,domain_name=test reason=0i,state=1i" in got
    assert [one.partition(" ")[0] for one in got if "affinity" in one] == [
        f"libvirt_cpu_affinity,domain_name=test,vcpu_id={number}" for number in (0, 1)
    ]
    assert run_input(Libvirt, {"libvirt_uri": uri, "domains": ["absent"]}) == []


def test_a_real_daemon_without_the_driver(libvirtd: Libvirtd) -> None:
    with pytest.raises(PyagentError, match=r"no connection driver available.*; is libvirt's driver for it installed"):
        run_input(Libvirt, {"libvirt_uri": f"nonesuch+unix:///system?socket={libvirtd.socket}"})


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None = None, greeting: bytes = b"\1") -> Iterator[int]:
    """A scripted daemon at a port of loopback, for one client."""

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            if context is None:
                ScriptedDaemon(ANSWERS).serve(connection)
                return
            with context.wrap_socket(connection, server_side=True) as secured:
                if greeting:
                    secured.sendall(greeting)
                    ScriptedDaemon(ANSWERS).serve(secured)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_tcp() -> None:
    with listening() as port:
        assert lines(run_input(Libvirt, {"libvirt_uri": f"qemu+tcp://127.0.0.1:{port}/system"})) == STATE


@pytest.fixture
def pki(certificates: Path, tmp_path: Path) -> Path:
    for name, source in (("cacert", "ca"), ("clientcert", "server"), ("clientkey", "key")):
        (tmp_path / f"{name}.pem").write_bytes((certificates / f"{source}.pem").read_bytes())
    return tmp_path


def server_side(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    # From Python 3.13 on the default is stricter than libvirtd, and than what openssl makes by itself.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("parameters", ["pkipath={}", "no_verify=1"])
def test_tls(parameters: str, pki: Path, certificates: Path) -> None:
    with listening(server_side(certificates)) as port:
        uri = f"qemu+tls://127.0.0.1:{port}/system?{parameters.format(pki)}"
        assert lines(run_input(Libvirt, {"libvirt_uri": uri})) == STATE


def test_tls_that_takes_no_such_client(pki: Path, certificates: Path) -> None:
    cause = r"it does not take the certificate '.*/clientcert.pem' of this host"
    with listening(server_side(certificates), b"") as port, pytest.raises(PyagentError, match=cause):
        run_input(Libvirt, {"libvirt_uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={pki}"})


def test_tls_of_a_daemon_that_knows_another_authority(pki: Path, certificates: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "another-ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    cause = r"it does not take the certificate '.*/clientcert.pem' of this host; see ca_file and tls_allowed_dn_list"
    with listening(context) as port, pytest.raises(PyagentError, match=cause):
        run_input(Libvirt, {"libvirt_uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={pki}"})


def test_tls_of_a_server_that_nobody_vouches_for(pki: Path, certificates: Path) -> None:
    (pki / "cacert.pem").write_bytes((certificates / "another-ca.pem").read_bytes())
    cause = r"cannot connect to libvirt at qemu\+tls://.*certificate verify failed"
    with listening(server_side(certificates)) as port, pytest.raises(PyagentError, match=cause):
        run_input(Libvirt, {"libvirt_uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={pki}"})


def test_tls_without_certificates(tmp_path: Path) -> None:
    with listening() as port, pytest.raises(PyagentError, match=rf"{tmp_path}/cacert.pem"):
        run_input(Libvirt, {"libvirt_uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={tmp_path}"})


BRIDGE = """#!{python}
import json, os, socket, sys
json.dump(sys.argv[1:], open({log!r}, "w"))
connection = socket.create_connection(("127.0.0.1", {port}))
if os.fork() == 0:
    while data := os.read(0, 65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    os._exit(0)
while data := connection.recv(65536):
    os.write(1, data)
"""


def planted_ssh(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ssh").write_text(text)
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, log = tmp_path / "key", tmp_path / "log"
    key.write_text("a key")
    with listening() as port:
        planted_ssh(tmp_path, BRIDGE.format(python=sys.executable, log=str(log), port=port), monkeypatch)
        uri = f"qemu+ssh://mon@kvm.example:2222/system?keyfile={key}&known_hosts=/etc/known"
        assert lines(run_input(Libvirt, {"libvirt_uri": uri})) == STATE
    for text in (
        '"UserKnownHostsFile=\\"/etc/known\\""',
        '"StrictHostKeyChecking=yes"',
        '"BatchMode=yes"',
        f'"-i", "{key}"',
    ):
        assert text in log.read_text()
    assert '"-p", "2222", "-l", "mon", "--", "kvm.example", "sh -c' in log.read_text()
    assert "exec virt-ssh-helper -r qemu:///system; else exec nc -U /var/run/libvirt/libvirt-sock-ro" in log.read_text()


def test_ssh_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted_ssh(
        tmp_path, "#!/bin/sh\necho 'mon@kvm.example: Permission denied (publickey).' >&2\nexit 255\n", monkeypatch
    )
    with pytest.raises(
        PyagentError, match=r"ssh to kvm.example has ended, or has no answer: mon@kvm.example: Permission denied"
    ):
        run_input(Libvirt, {"libvirt_uri": "qemu+ssh://mon@kvm.example/system?no_verify=1"})


def test_a_host_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PyagentError, match="cannot run `ssh`: No such file or directory; apt install openssh-client"):
        run_input(Libvirt, {"libvirt_uri": "qemu+ssh://mon@kvm.example/system?no_verify=1"})


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PyagentError, match=r"cannot read the key .*/none. \(keyfile\) for ssh: No such file"):
        run_input(Libvirt, {"libvirt_uri": f"qemu+ssh://mon@kvm.example/system?keyfile={tmp_path}/none"})
