"""What a stranger may post to a listener: no body holds up the agent, and none becomes more than there is room for.

Each case runs in a process of its own, which is ended after a minute of work and may not take half a gigabyte.
"""

import pytest
from hostile import run

SERVED = """
import asyncio, gzip, time, zlib
from serving import serving
from pyagent_plugins.inputs.http_listener_v2 import HTTPListenerV2
from pyagent_plugins.inputs.influxdb_listener import InfluxDBListener
from pyagent_plugins.inputs.influxdb_v2_listener import InfluxDBV2Listener

gaps = []

async def beating():
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - before)

async def main():
    {plugin}, path = {listener}
    async with serving(plugin, {settings}) as served:
        beat = asyncio.create_task(beating())
        {work}
        beat.cancel()
        # The loop came round all the time, as far as any machine's slowness lets it.
        assert max(gaps) < 10, max(gaps)
        assert (await served.post(path, b"m f=1 1")).status == 204
        print("served")

plugin = None
asyncio.run(main())
"""
LISTENERS = {
    "influxdb_listener": '(InfluxDBListener, "/write")',
    "influxdb_v2_listener": '(InfluxDBV2Listener, "/api/v2/write")',
    "http_listener_v2": '(HTTPListenerV2, "/telegraf")',
}


def serve(work: str, listener: str = "influxdb_v2_listener", settings: str = "{}", **environ: str) -> str:
    code = SERVED.replace("{plugin}", "plugin").replace("{listener}", LISTENERS[listener])
    return run(code.replace("{settings}", settings).replace("{work}", work.replace("\n", "\n        ")), **environ)


def post(body: str, *statuses: int) -> str:
    return f"answer = await served.post(path, {body})\nassert answer.status in {statuses}, answer\n"


MANY_FIELDS = post('b"m " + b",".join(b"f%d=1" % n for n in range(3_000_000))', 400)
BODIES = {
    "fields": MANY_FIELDS
    + post('b"m " + b",".join(b"f%d=1i" % n for n in range(2**20))', 204)
    + post('b"m " + b",".join([b"f=1.5"] * 2**20)', 204),
    "strings": post("""b'm f="' + b"x" * 30_000_000 + b'"'""", 204)
    + post("""b'm f="' + bytes([92, 34]) * 10_000_000 + b'"'""", 204)
    + post("""b'm f="' + b"x" * 30_000_000""", 400)
    + post("""b'm f="' + b'="' * 10_000_000""", 400),
    "lines": post(r'b"m f=1\n" * 4_000_000', 413)
    + post(r'b"m f=1\n" * 100_000', 204)
    + post(r'b"bad\n" * 1_500_000', 400)
    + post(r'b"#\n" * 5_000_000', 204),
    "nonsense": post('b"m f=" + b"1" * 10_000_000', 400)
    + post('b"m" * 10_000_000 + b" f=1"', 400)
    + post('b"m" + b",t=x" * 3_000_000 + b" f=1"', 400)
    + post('b" " * 10_000_000', 204),
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_holds_up_the_loop(name: str) -> None:
    assert serve(BODIES[name]) == "served"


@pytest.mark.parametrize("listener", ["influxdb_listener", "http_listener_v2"])
def test_nor_does_it_at_the_other_listeners(listener: str) -> None:
    assert serve(MANY_FIELDS, listener) == "served"


@pytest.mark.parametrize(
    "work",
    [
        MANY_FIELDS + post('b"m " + b",".join(b"f%d=1i" % n for n in range(2**20))', 204, 413),
        post(r'b"m f=1\n" * 4_000_000', 413) + post(r'b"m f=1\n" * 100_000', 204),
    ],
    ids=["fields", "lines"],
)
def test_nor_where_metrics_are_made_of_it(work: str) -> None:
    assert serve(work, settings='{}, name_prefix="x"') == "served"


@pytest.mark.parametrize("settings", ["{}", '{}, name_prefix="x"'], ids=["text", "metrics"])
def test_nor_with_the_core_in_python(settings: str) -> None:
    work = post('b"m " + b",".join(b"f%d=1" % n for n in range(200_000))', 204)
    work += post(r'b"m f=1\n" * 40_000', 204)
    work += post("""b'm f="' + b"x" * 5_000_000 + b'"'""", 204) + post(r'b"bad\n" * 60_000', 400)
    assert serve(work, settings=settings, PYAGENT_NATIVE="0") == "served"


BOMB = r"""
def bomb(line, count, members=1):
    packer, packed = zlib.compressobj(9, wbits=31), []
    block = line * (2**20 // len(line))
    for _ in range(count):
        packed.append(packer.compress(block))
    return b"".join([*packed, packer.flush()]) * members

packed = bomb(b"{line}\n", {count}, {members})
assert len(packed) < 2_000_000, len(packed)
answers = await asyncio.gather(*(served.post(path, packed, Content_Encoding="gzip") for _ in range({senders})))
assert {{answer.status for answer in answers}} <= {statuses}, answers
"""


@pytest.mark.parametrize(
    "bomb",
    [
        BOMB.format(line="m f=1", count=250, members=1, senders=1, statuses={413}),
        BOMB.format(line="m f=1", count=20, members=40, senders=8, statuses={413, 503}),
        BOMB.format(line="#", count=30, members=1, senders=8, statuses={204, 413, 503}),
        BOMB.format(line="", count=0, members=90_000, senders=1, statuses={204}),
    ],
    ids=["one", "many members", "many senders", "empty members"],
)
def test_no_compressed_body_becomes_more_than_there_is_room_for(bomb: str) -> None:
    assert serve(bomb.strip(), "http_listener_v2") == "served"


def test_nor_does_one_that_comes_in_pieces_without_a_length() -> None:
    work = r"""
async def send():
    raw = await served.connect()
    raw.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    block = b"m f=1 1\n" * 8192
    try:
        for _ in range(4000):
            raw.send(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            await raw._writer.drain()
    except ConnectionError:
        pass
    try:
        return (await raw.answer())[0]
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0  # it was closed while we sent
    finally:
        raw._writer.transport.abort()

statuses = set(await asyncio.gather(*(send() for _ in range(6))))
assert statuses <= {0, 413, 503}, statuses
"""
    assert serve(work.strip(), "http_listener_v2") == "served"
