"""Texts made of a metric, by templates."""

import math

import pytest

from pyagent.api import ConfigError, FieldValue, Metric, Uint
from pyagent.kit.metric_template import MetricTemplate, value_text

METRIC = Metric("Disk IO", {"host": "web-1", "empty": ""}, {"used": 7, "on": True}, 1)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("plain", "plain"),
        ("", ""),
        ('a/{{ .Tag "host" }}/{{.Name}}', "a/web-1/Disk IO"),
        ("{{ .PluginName }}{{ .Hostname }}", "Disk IOweb-1"),
        ('{{ .GetTag `host` }}{{ .Field "used" }}{{ .GetField "on" }}{{ .Tag "none" }}', "web-17true"),
        ('{{ .Name | lower | replace " " "_" }}', "disk_io"),
        ('{{ upper (.Tag "host") }}', "WEB-1"),
        ('{{ .Tag "none" | default "x" }}{{ default "y" (.Tag "host" | trimPrefix "web-") }}', "x1"),
        ('{{ .Name | trunc 4 }}{{ .Name | trunc -2 }}{{ .Name | nospace | trimSuffix "IO" }}', "DiskIODisk"),
        ('{{ "a\\"b|)" }}', 'a"b|)'),
        ("a {{- .Name -}} b", "aDisk IOb"),
        ("{{ .Prefix }}", "p"),
    ],
)
def test_templates(text: str, made: str) -> None:
    template = MetricTemplate(text, "topic", {"Prefix": "p"})
    assert template.of(METRIC) == made
    assert template.is_constant == ("{{" not in text)


@pytest.mark.parametrize(
    "element",
    [
        *(
            "",
            ".Tag",
            ".Tag host",
            ".Other",
            "lower",
            "lower .Name extra",
            ".Name | .Name",
            "(.Name",
            ".Name)",
            'env "X"',
        ),
        *(".Name |", '"open', "if .Name"),
    ],
)
def test_what_cannot_be_used(element: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use the template: line 1, column ") as caught:
        MetricTemplate("a/{{ " + element + " }}", "topic")
    assert caught.value.option == "topic"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            (1, "1"),
            (Uint(2**64 - 1), "18446744073709551615"),
            (True, "true"),
            (1.5, "1.5"),
            (2.0, "2"),
            (1e21, "1" + "0" * 21),
        ),
        *(
            (1e-7, "0.0000001"),
            (-0.0, "-0"),
            (math.nan, "NaN"),
            (math.inf, "+Inf"),
            (-math.inf, "-Inf"),
            ("x", "x"),
            (100.0, "100"),
        ),
    ],
)
def test_values(value: FieldValue, text: str) -> None:
    assert value_text(value) == text
