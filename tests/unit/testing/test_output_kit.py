"""`pyagent.testing` for outputs: all that an author of one needs, from one place."""

from typing import Annotated

import pytest

from pyagent.api import Batch, ConfigError, Options, Output, Reject, Retry, option
from pyagent.kit.http_client import HttpClient
from pyagent.testing import Answer, MemoryBatch, Raw, ScriptedServer, make_output, run_output, write


class PostOptions(Options, frozen=True):
    url: Annotated[str, option("where to send it")]
    most: Annotated[int, option("tries", ge=1)] = 1


class Post(Output[PostOptions]):
    steps: list[str] = []

    async def connect(self) -> None:
        self.steps.append("connect")
        self._client = HttpClient(timeout=5.0)

    async def write(self, batch: Batch) -> None:
        answer = await self._client.request("POST", self.options.url, body=batch.payload())
        if answer.status == 400:
            raise Reject(answer.text)
        if answer.status >= 500:
            raise Retry(answer.reason)

    async def close(self) -> None:
        self.steps.append("close")
        await self._client.close()


class Kept(Output):
    def write(self, batch: Batch) -> None:
        raise Retry("later")


async def test_an_output_is_connected_written_and_closed() -> None:
    Post.steps = []
    async with ScriptedServer() as server:
        await run_output(Post, MemoryBatch(["m v=1 1", "m v=2 2"]), {"url": server.url})
    assert [(request.method, request.text) for request in server.requests] == [("POST", "m v=1 1\nm v=2 2\n")]
    assert Post.steps == ["connect", "close"]


async def test_what_the_output_raises_comes_out_and_it_is_closed() -> None:
    for answer, error in [(Answer(400, "bad line"), Reject), (Answer(503), Retry), (Raw(then="reset"), Exception)]:
        Post.steps = []
        async with ScriptedServer(answer) as server:
            with pytest.raises(error):
                await run_output(Post, MemoryBatch(["m v=1 1"]), {"url": server.url})
        assert Post.steps == ["connect", "close"]


async def test_a_plain_write_runs_too() -> None:
    with pytest.raises(Retry, match="later"):
        await write(make_output(Kept), MemoryBatch(["m v=1 1"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the option 'url' is missing"),
        ({"url": "x", "most": 0}, "the option 'most' must be 1 or more; found 0"),
        ({"ulr": "x"}, "unknown option 'ulr'; did you mean 'url'?"),
    ],
)
def test_options_are_checked_as_the_engine_does(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="test_output_kit: ") as raised:
        make_output(Post, options)
    assert message in str(raised.value)
