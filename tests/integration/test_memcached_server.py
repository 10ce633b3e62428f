"""The input memcached with a real memcached."""

import socket

from pyagent.testing import assert_declared, run_input
from pyagent.testing.servers import Memcached as MemcachedServer
from pyagent_plugins.inputs.memcached import Memcached


def test_what_is_stored_is_counted(memcached: MemcachedServer) -> None:
    [before] = run_input(Memcached, {"servers": [memcached.address]})
    with socket.create_connection(("127.0.0.1", memcached.port)) as client:
        client.sendall(b"set a 0 0 3\r\nxyz\r\nget a\r\nget nope\r\nquit\r\n")
        while client.recv(1000):
            pass
    [after] = run_input(Memcached, {"servers": [memcached.address]})
    assert_declared(Memcached, [after])
    assert after.tags == {"server": memcached.address}
    changed = {
        name: int(after.fields[name]) - int(before.fields[name]) for name in ("cmd_set", "get_hits", "get_misses")
    }
    assert changed == {"cmd_set": 1, "get_hits": 1, "get_misses": 1}
    assert after.fields["limit_maxbytes"] == 16 << 20


def test_a_unix_socket(memcached: MemcachedServer) -> None:
    [metric] = run_input(Memcached, {"unix_sockets": [memcached.socket]})
    assert metric.tags == {"server": memcached.socket}
    assert metric.fields["accepting_conns"] == 1
