"""The name server that recordings of inputs.dns_query were made with."""

import contextlib
import socket

from pyagent.testing.server_process import Server, find_program

_RECORDS = """
--address=/host.test/192.0.2.10 --address=/host.test/2001:db8::10 --host-record=multi.test,192.0.2.11
--mx-host=mail.test,mx.mail.test,10 --txt-record=txt.test,hello --cname=alias.test,multi.test
--srv-host=_s._tcp.test,host.test,99 --ptr-record=1.2.0.192.in-addr.arpa,host.test --local=/test/ --local-ttl=60
"""


class RecordedDnsmasq(Server):
    """dnsmasq, beside a UDP port that never answers."""

    name = "dnsmasq"
    _silent: socket.socket | None = None

    def prepare(self) -> None:
        self._silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._silent.bind(("127.0.0.1", 0))

    def command(self) -> list[str]:
        program = find_program("dnsmasq", self.name, "dnsmasq-base")
        plain = f"-k -C /dev/null -p {self.port} -a 127.0.0.1 --bind-interfaces -R -h --no-poll -x {self.directory}/pid"
        return [program, *plain.split(), *_RECORDS.split()]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def stop(self) -> None:
        super().stop()
        if self._silent is not None:
            self._silent.close()

    def recorded(self) -> dict[str, str]:
        assert self._silent is not None
        return {"18580": str(self.port), "18581": str(self._silent.getsockname()[1])}
