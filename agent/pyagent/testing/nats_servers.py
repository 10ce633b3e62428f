"""nats-server, alone and as a cluster of three."""

import contextlib
import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pyagent.testing.server_process import LOOPBACK, Server, ServerError, find_program, free_port, kill_child

__all__ = ["NatsCluster", "NatsServer"]


class NatsServer(Server):
    """nats-server at `url`, with JetStream, for the user `mon` with the password `monpw`. What streams hold survives `kill`.

    `monitoring` is the address of its pages, such as `/varz`.
    """

    name = "nats-server"

    def __init__(
        self, tls: Path | None = None, *, node: str = "n1", routes: Sequence[int] = (), authorization: str = ""
    ) -> None:
        """`tls`: a folder with server.pem, key.pem and ca.pem. `routes`: the ports of the cluster that it is one `node` of, its
        own first. `authorization`: in place of the user, as its configuration has it."""
        super().__init__()
        self._tls = tls
        self.node = node
        self._routes = routes
        self._authorization = authorization
        self._monitoring_port = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitoring(self) -> str:
        return f"http://127.0.0.1:{self._monitoring_port}"

    def prepare(self) -> None:
        self._monitoring_port = free_port()

    def command(self) -> list[str]:
        program = find_program("nats-server", self.name, "nats-server")
        config = self.directory / "nats.conf"
        accounts = "accounts { A { jetstream: enabled, users: [ {user: mon, password: monpw} ] } }"
        lines = [
            f"port: {self.port}",
            "host: 127.0.0.1",
            f"http: 127.0.0.1:{self._monitoring_port}",
            f"server_name: {self.node}",
            f'jetstream {{ store_dir: "{self.directory}/streams" }}',
            self._authorization or accounts,
        ]
        if self._tls is not None:
            files = (
                f'cert_file: "{self._tls}/server.pem", key_file: "{self._tls}/key.pem", ca_file: "{self._tls}/ca.pem"'
            )
            lines.append(f"tls {{ {files} }}")
        if self._routes:
            own, *others = self._routes
            routes = ", ".join(f"nats://127.0.0.1:{port}" for port in others)
            lines.append(f"cluster {{ name: C, listen: 127.0.0.1:{own}, routes: [{routes}] }}")
        config.write_text("\n".join(lines) + "\n")
        return [program, "-c", str(config)]

    @property
    def leader(self) -> str:
        """The node that leads the cluster's JetStream; empty where none does, as far as this node knows."""
        with contextlib.suppress(OSError), LOOPBACK.open(f"{self.monitoring}/jsz", timeout=5) as answer:
            cluster: dict[str, Any] = json.load(answer).get("meta_cluster", {})
            return str(cluster.get("leader", "")) if cluster.get("cluster_size") == len(self._routes) else ""
        return ""

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            return connection.recv(4) == b"INFO"
        return False

    def kill(self) -> None:
        """End it at once, in the middle of what it does; its folder stays."""
        assert self._process is not None
        kill_child(self._process, "nats-server")
        self._end()

    def start_again(self) -> None:
        """On the same port, with what it had. Raises ServerError."""
        self._launch()
        if not self._wait_until_it_answers():
            raise ServerError(f"cannot start {self.name} again; its last words:\n{self.log_tail()}")


class NatsCluster:
    """Three of nats-server, `nodes`, whose streams may have three replicas: one of them may be gone. A context manager."""

    def __init__(self, tls: Path | None = None) -> None:
        ports = [free_port() for _ in range(3)]
        self.nodes = [
            NatsServer(tls, node=f"n{index + 1}", routes=(ports[index], *ports[:index], *ports[index + 1 :]))
            for index in range(3)
        ]

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def start(self) -> None:
        """Return when the three have found each other. Raises ServerMissing, ServerError."""
        try:
            for node in self.nodes:
                node.start()
            self.wait_for_leader()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def wait_for_leader(self) -> str:
        """The node that leads, as soon as there is one. Raises ServerError."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for node in self.nodes:
                if leader := node.leader:
                    return leader
            time.sleep(0.05)
        raise ServerError(
            f"cannot start a cluster of nats-servers: it has no leader; its last words:\n{self.nodes[0].log_tail()}"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
