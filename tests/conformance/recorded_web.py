"""The small web server that recordings of inputs that ask over HTTP were made with, for HTTP and for HTTPS."""

import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from pyagent.testing.server_process import Server, ServerMissing, free_port

WEB = Path(__file__).resolve().parents[3] / "shared" / "golden" / "telegraf" / "services" / "_web"

_BOTH = """
cd "$1"
"$2" web.py "$3" & first=$!
"$2" web.py "$4" "$5/chain.pem" "$5/srv.key" & second=$!
trap 'kill $first $second' TERM
wait $first $second
"""


class RecordedWeb(Server):
    """On `port`, and by TLS on `tls_port`; `ca.pem` in its folder is the authority."""

    name = "the web server of the recordings"
    tls_port = 0

    def prepare(self) -> None:
        self.tls_port = free_port()
        (self.directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        for command in (
            f"req -x509 {new} -subj /CN=test -days 30 -keyout ca.key -out ca.pem",
            f"req {new} -subj /CN=localhost -keyout srv.key -out request",
            "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out chain.pem",
        ):
            self.run(["openssl", *command.split()])

    def command(self) -> list[str]:
        arguments = [str(WEB), sys.executable, str(self.port), str(self.tls_port), str(self.directory)]
        return ["/bin/sh", "-c", _BOTH, "both", *arguments]

    def answers(self) -> bool:
        return all(self._takes(f"{scheme}:{port}") for scheme, port in (("http", self.port), ("https", self.tls_port)))

    @staticmethod
    def _takes(place: str) -> bool:
        scheme, _, port = place.partition(":")
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{scheme}://127.0.0.1:{port}/ok").close()
        except urllib.error.URLError as error:
            return "certificate" in str(error.reason)  # it is there, and not trusted
        except OSError:
            return False
        return True

    def recorded(self) -> dict[str, str]:
        places = {f"{host}:18570": f"{host}:{self.port}" for host in ("127.0.0.1", "localhost")}
        places |= {f"{host}:18571": f"{host}:{self.tls_port}" for host in ("127.0.0.1", "localhost")}
        return places | {"DIR": os.fspath(self.directory)}


class RecordedCertificates(RecordedWeb):
    """The same, with certificates whose names and numbers are those of the recordings."""

    name = "the web server of the recordings, with their certificates"

    def prepare(self) -> None:
        self.tls_port = free_port()
        (self.directory / "names").write_text("subjectAltName=DNS:localhost,DNS:example.org,IP:127.0.0.1")
        authority, subject = (
            "/C=NL/O=Example Org/CN=Example Test CA",
            "/C=NL/ST=Utrecht/L=Utrecht/O=Example Org/OU=Testing",
        )
        new = "req -newkey rsa:2048 -nodes -days 30"
        self.run(["openssl", *f"{new} -x509 -keyout key -out ca.pem".split(), "-subj", authority])
        self.run(["openssl", *f"{new} -keyout srv.key -out request".split(), "-subj", f"{subject}/CN=localhost"])
        sign = "x509 -req -in request -CA ca.pem -CAkey key -set_serial 0x123ab -days 30 -extfile names -out srv.pem"
        self.run(["openssl", *sign.split()])
        (self.directory / "chain.pem").write_bytes(
            b"".join((self.directory / one).read_bytes() for one in ("srv.pem", "ca.pem"))
        )
        shutil.copy(WEB.parent / "_certs" / "old.pem", self.directory)


class RecordedPorts(RecordedWeb):
    """The same, beside a UDP port that gives back what it gets."""

    name = "the web server of the recordings and a UDP echo"
    _ECHO = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", int(sys.argv[1])))
    while True:
        data, where = s.recvfrom(2048)
        s.sendto(b"echo " + data, where)
"""

    def __init__(self) -> None:
        super().__init__()
        self.echo_port = free_port()

    def command(self) -> list[str]:
        shell, flag, script, *arguments = super().command()
        script = '"$2" -c "$6" "$7" & more=$!\n' + script.replace("kill $first", "kill $more $first")
        return [shell, flag, script, *arguments, self._ECHO, str(self.echo_port)]

    def recorded(self) -> dict[str, str]:
        return super().recorded() | {"18570": str(self.port), "18575": str(self.echo_port)}


class RecordedExporters(RecordedWeb):
    """The same, beside Debian's node exporter with the two sets of flags that it was recorded with."""

    name = "the web server of the recordings and prometheus-node-exporter"
    _FLAGS = (
        "loadavg meminfo filefd time stat --web.disable-exporter-metrics",
        "loadavg",
    )

    def __init__(self) -> None:
        super().__init__()
        self.exporter_ports = [free_port() for _ in self._FLAGS]

    def command(self) -> list[str]:
        program = shutil.which("prometheus-node-exporter")
        if program is None:
            raise ServerMissing("cannot start prometheus-node-exporter; apt install prometheus-node-exporter")
        lines = []
        for port, flags in zip(self.exporter_ports, self._FLAGS, strict=True):
            words = [flag if flag.startswith("--") else f"--collector.{flag}" for flag in flags.split()]
            listen = f"--web.listen-address=127.0.0.1:{port}"
            lines.append(f'{program} {listen} --collector.disable-defaults {" ".join(words)} & more="$more $!"')
        shell, flag, script, *arguments = super().command()
        script = "\n".join(lines) + script.replace("kill $first", "kill $more $first")
        return [shell, flag, script, *arguments]

    def answers(self) -> bool:
        return super().answers() and all(self._takes_path(port) for port in self.exporter_ports)

    @staticmethod
    def _takes_path(port: int) -> bool:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{port}/metrics"
            ).close()
        except OSError:
            return False
        return True

    def recorded(self) -> dict[str, str]:
        ports = zip(("18572", "18573"), self.exporter_ports, strict=True)
        return super().recorded() | {f"127.0.0.1:{old}": f"127.0.0.1:{port}" for old, port in ports}
