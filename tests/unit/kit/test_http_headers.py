"""Headers that a configuration names, in every plugin that has some: what can be none is told when it is loaded."""

from typing import Any

import pytest

from pyagent.api import ConfigError, Input, Output
from pyagent.testing.inputs import make_input
from pyagent.testing.outputs import make_output
from pyagent_plugins.inputs.http import Http as HttpInput
from pyagent_plugins.inputs.http_listener_v2 import HTTPListenerV2
from pyagent_plugins.inputs.nginx import Nginx
from pyagent_plugins.inputs.prometheus import Prometheus
from pyagent_plugins.outputs.http import Http as HttpOutput
from pyagent_plugins.outputs.influxdb import InfluxDB1
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB
from pyagent_plugins.outputs.prometheus_client import PrometheusClient

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("plugin", "option", "table"),
    [
        (HttpInput, "headers", {"urls": [URL], "data_format": "influx"}),
        (HTTPListenerV2, "http_headers", {"data_format": "influx"}),
        (Nginx, "cookie_auth_headers", {"urls": [URL], "cookie_auth_url": URL}),
        (Prometheus, "http_headers", {"urls": [URL]}),
        (HttpOutput, "headers", {"url": URL}),
        (InfluxDB1, "http_headers", {"urls": [URL]}),
        (InfluxDB, "http_headers", {"urls": [URL]}),
        (PrometheusClient, "http_headers", {}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_can_be_no_header_is_refused(plugin: type[Any], option: str, table: dict[str, Any]) -> None:
    def made(headers: dict[str, str]) -> Input[Any] | Output[Any]:
        make = make_output if issubclass(plugin, Output) else make_input
        return make(plugin, table | {option: headers})  # type: ignore[operator]  # of either kind

    made({"X-Good_1": "v\tw"})
    for headers, message in [
        (
            {"X": "opensesame\r\nEvil: 1"},
            f"cannot use {option}: the value of 'X' holds a line break or control character",
        ),
        ({"Bad Header": "opensesame"}, f"cannot use {option}: 'Bad Header' is no name of a header"),
        ({"": "opensesame"}, f"cannot use {option}: '' is no name of a header"),
    ]:
        with pytest.raises(ConfigError, match=message) as caught:
            made(headers)
        assert caught.value.option == option
        assert "opensesame" not in str(caught.value)
