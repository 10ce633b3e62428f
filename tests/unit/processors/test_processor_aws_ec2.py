"""processors.aws_ec2, against a metadata service that answers as the test says."""

import json
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Processor
from pyagent.testing import make_processor, process_async
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent_plugins.processors.aws_ec2 import AwsEc2

DOCUMENT = {
    "accountId": "123456789012",
    "billingProducts": ["bp-1", "bp-2"],
    "kernelId": None,
    "pendingTime": "2025-03-04T05:06:07Z",
    "region": "eu-central-1",
}
METRIC = Metric("m", {"a": "b"}, {"v": 1}, 5)


async def tags_of(processor: Processor[Any]) -> dict[str, str]:
    [metric] = await process_async(processor, [METRIC])
    return metric.tags


async def test_identity_metadata_and_tags_of_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(200, body=b"token1"), Answer(200, body=b"web"), Answer(200, body=b"blue")]
    answers.append(Answer(200, body=json.dumps(DOCUMENT).encode()))
    async with ScriptedServer(*answers) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        options = {
            "imds_tags": ["accountId", "billingProducts", "kernelId", "pendingTime"],
            "metadata_paths": ["/placement/group/"],
            "canonical_metadata_tags": True,
            "ec2_tags": ["Name"],
            "max_parallel_calls": 1,
        }
        processor = make_processor(AwsEc2, options)
        try:
            wanted = {
                "a": "b",
                "placement_group": "web",
                "Name": "blue",
                "accountId": "123456789012",
                "billingProducts": "bp-1,bp-2",
                "pendingTime": "2025-03-04 05:06:07 +0000 UTC",
            }
            assert await tags_of(processor) == wanted
            assert await tags_of(processor) == wanted
        finally:
            await processor.stop()
        assert [(one.method, one.target) for one in server.requests] == [
            ("PUT", "/latest/api/token"),
            ("GET", "/latest/meta-data/placement/group"),
            ("GET", "/latest/meta-data/tags/instance/Name"),
            ("GET", "/latest/dynamic/instance-identity/document"),
        ]
        assert server.requests[0].headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
        assert {one.headers.get("x-aws-ec2-metadata-token") for one in server.requests[1:]} == {"token1"}


async def test_a_token_that_is_over_is_renewed_and_what_fails_is_asked_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [Answer(200, body=b"old"), Answer(401), Answer(200, body=b"new"), Answer(200, body=b"eu"), Answer(404)]
    async with ScriptedServer(*answers) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        options = {"metadata_paths": ["placement/region", "none"], "max_parallel_calls": 1}
        processor = make_processor(AwsEc2, options)
        try:
            assert await tags_of(processor) == {"a": "b", "region": "eu"}
            assert await tags_of(processor) == {"a": "b", "region": "eu"}
        finally:
            await processor.stop()
        assert len(server.requests) == 5
    assert "cannot ask the instance's metadata for 'none'" in caplog.text


async def test_where_nothing_answers_metrics_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    processor = make_processor(AwsEc2, {"imds_tags": ["region"]})
    assert await tags_of(processor) == {"a": "b"}
    await processor.stop()


@pytest.mark.parametrize(
    ("options", "problem"), [({}, "none are named"), ({"imds_tags": ["colour"]}, "'colour': it is none of")]
)
def test_what_cannot_be_used(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_processor(AwsEc2, options)
