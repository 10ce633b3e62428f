"""A receiver of writes in threads of its own, for writers that run in this process or in others."""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pyagent.client import Writer

__all__ = ["MakeWriter", "Receiver", "making_writers"]

MakeWriter = Callable[..., Writer]
"""Of the fixture `make_writer`."""
Rule = Callable[[bytes], tuple[int, dict[str, Any]] | None]


class Receiver:
    """Stores bodies. `rule` gives the status and the document of a refusal; `hang` answers nothing until it is cleared."""

    def __init__(self, rule: Rule | None = None) -> None:
        self.rule = rule
        self.bodies: list[bytes] = []
        """Of all requests, refused ones, too."""
        self.stored: list[bytes] = []
        """Lines that were taken."""
        self.headers: list[dict[str, str]] = []
        self.hang = threading.Event()
        self._free = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.decode() for line in self.stored]

    def wait_for(self, count: int, seconds: float = 30.0) -> list[str]:
        """Return when so many lines are stored; the seconds are a guard against hanging."""
        deadline = time.monotonic() + seconds
        while len(self.stored) < count:
            assert time.monotonic() < deadline, f"{len(self.stored)} of {count} lines came"
            time.sleep(0.005)
        return self.lines

    def wait_for_requests(self, count: int, seconds: float = 30.0) -> None:
        """The same for requests, refused ones among them."""
        deadline = time.monotonic() + seconds
        while len(self.bodies) < count:
            assert time.monotonic() < deadline, f"{len(self.bodies)} of {count} requests came"
            time.sleep(0.005)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.hang.is_set():
            self._free.wait()
            return
        with self._lock:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            refusal = self.rule(body) if self.rule is not None else None
            if refusal is None:
                self.stored += body.splitlines()
        status, document = refusal or (204, {})
        answer = (
            json.dumps({key: value for key, value in document.items() if key != "headers"}).encode()
            if document
            else b""
        )
        request.send_response(status)
        for name, value in document.get("headers", {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)


@contextmanager
def making_writers(receiver: Receiver) -> Iterator[MakeWriter]:
    """Writers to the receiver, which send at flush() alone unless the test says otherwise; they are closed in the end."""
    made: list[Writer] = []

    def make(**options: Any) -> Writer:
        given = {
            "url": receiver.url,
            "token": "t",
            "org": "o",
            "bucket": "b",
            "flush_interval": 600.0,
            "sigterm": False,
        }
        made.append(Writer(**(given | options)))
        return made[-1]

    yield make
    for writer in made:
        writer.close(0)
