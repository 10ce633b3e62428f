"""A receiver of line protocol that only counts, in a process of its own: `python bench/_sink.py PORT [--lines]`.

`GET /counts` tells what came. A line is known by the number in its tag `host`, so that one that comes twice counts once; with
`--lines` lines are just counted, which leaves more of the machine to the sender. What is no line protocol (vmagent's remote
write) is counted as requests and bytes.
"""

import asyncio
import re
import sys

from aiohttp import web
from isal import igzip

NUMBER = re.compile(rb"host=server(\d+)")
MOST = 10_000_000


class Counter:
    def __init__(self, *, distinct: bool) -> None:
        self._distinct = distinct
        self._seen = bytearray(MOST)
        self._counts = {"requests": 0, "bytes": 0, "lines": 0, "distinct": 0}

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/counts":
            self._counts["distinct"] = self._seen.count(1)
            return web.json_response(self._counts)
        body = await request.content.read()
        self._counts["requests"] += 1
        self._counts["bytes"] += len(body)
        if request.path == "/api/v2/write":
            data = igzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
            self._counts["lines"] += data.count(b"host=server")
            if self._distinct:
                for number in NUMBER.findall(data):
                    self._seen[int(number)] = 1
        return web.Response(status=204)


async def main() -> None:
    runner = web.ServerRunner(
        web.Server(Counter(distinct="--lines" not in sys.argv).answer, auto_decompress=False, access_log=None)
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
