"""Go's templates: what Telegraf 1.40 writes by the same text of the same metric."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, Uint
from pyagent.kit.gotemplate import METRIC_MEMBERS, GoTemplate, TemplateError
from pyagent.kit.gotemplate.functions import GO_FUNCTIONS, SPRIG_FUNCTIONS

FIELDS: dict[str, Any] = {
    "user": 1.5,
    "n": 42,
    "s": "te xt",
    "b": True,
    "f": 1e21,
    "g": 1e-7,
    "u": Uint(7),
    "big": 123456789.5,
}
METRIC = Metric(
    "cpu.load", {"dc": "x y", "empty": "e", "host": "web.a"}, FIELDS | {"neg": -3, "zero": 0}, 1_700_000_000_123_456_789
)
PAGE = Path(__file__).resolve().parents[3] / "docs" / "templates.md"


def made(text: str, metric: Metric = METRIC) -> str:
    return GoTemplate(text, "template", METRIC_MEMBERS).render(metric)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ('{{ .Name }} {{ .Tag "host" }} {{ .Field "user" }} {{ .Time.Unix }}', "cpu.load web.a 1.5 1700000000"),
        (
            '{{.Field "f"}} {{.Field "g"}} {{.Field "u"}} {{.Field "big"}} {{.Field "none"}} {{.Tag "none"}}|',
            "1e+21 1e-07 7 1.234567895e+08 <no value> |",
        ),
        ("{{.Tags}}", "map[dc:x y empty:e host:web.a]"),
        (
            "{{.}}",
            "cpu.load map[dc:x y empty:e host:web.a] map[b:true big:1.234567895e+08 f:1e+21 g:1e-07 n:42 neg:-3 s:te xt u:7 "
            "user:1.5 zero:0] 1700000000123456789",
        ),
        (
            '{{.Time}} {{.Time.Month}} {{.Time.Weekday}} {{.Time.Format "2006-01-02T15:04:05.000Z07:00"}} {{.Time.YearDay}}',
            "2023-11-14 22:13:20.123456789 +0000 UTC November Tuesday 2023-11-14T22:13:20.123Z 318",
        ),
        ("{{range $k, $v := .Tags}}{{$k}}={{$v}};{{end}}", "dc=x y;empty=e;host=web.a;"),
        ("{{range $i, $t := .TagList}}{{if $i}},{{end}}{{$t.Key}}{{end}}", "dc,empty,host"),
        ('{{with .Tag "host"}}h={{.}}{{else}}no{{end}} {{with .Tag "none"}}h{{else}}no{{end}}', "h=web.a no"),
        ('{{if eq .Name "x"}}a{{else if eq .Name "cpu.load"}}b{{else}}c{{end}}', "b"),
        ('{{if and (eq (.Tag "host") "web.a") (gt (.Field "user") 1.0)}}yes{{end}}', "yes"),
        ('{{if or (.Field "none") (.Field "zero")}}y{{else}}n{{end}}', "n"),
        ('{{eq (.Field "n") 1 42}} {{eq (.Field "none") "x"}} {{ne (.Field "none") "x"}}', "true false true"),
        ('{{len .Name}} {{index .Tags "host"}} {{index .Tags "no"}}|{{index .Fields "no"}}|', "8 web.a |<no value>|"),
        ("{{.Tags.host}} {{.Tags.nope}} {{.Fields.n}}", "web.a <no value> 42"),
        ('{{printf "%d %5d|%-5d|%05d %x %c %q %U" 42 42 42 42 255 65 65 65}}', "42    42|42   |00042 ff A 'A' U+0041"),
        ('{{printf "%s %q %10s|%-4s| %x %.2s" "a\\"b" "c" "r" "l" "hi" "trunc"}}', 'a"b "c"          r|l   | 6869 tr'),
        (
            '{{printf "%f %.2f %8.3f|%e %G %v %6.1f|%+d" 1.5 2.345 3.14159 12345.678 1e-7 0.1 2.25 5}}',
            "1.500000 2.35    3.142|1.234568e+04 1E-07 0.1    2.2|+5",
        ),
        ('{{printf "%5.1f%%" (.Field "user")}} {{printf "%08.3f" -1.5}} {{printf "%*d" 5 1}}', "  1.5% -001.500     1"),
        (
            '{{printf "%s" nil}} {{printf "%d" 1.5}} {{printf "%d"}} {{printf "%!"}}',
            "%!s(<nil>) %!d(float64=1.5) %!d(MISSING) %!!(MISSING)",
        ),
        ('{{print 1 2 "a" "b" 3 4.5 nil}} {{println "x" 1}}', "1 2ab3 4.5 <nil> x 1\n"),
        (' a {{- "trim" -}}   x {{- /* c */ -}} b {{/* d */}}', " atrimxb "),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", "32"),
        ("{{range $i, $e := list 1 2 3}}{{if eq $i 1}}{{continue}}{{end}}{{$e}}{{break}}{{end}}", "1"),
        ("{{range 3}}{{.}}{{end}} {{range .Tags.nope}}{{else}}none{{end}}", "012 none"),
        ('{{ "a,b,c" | splitList "," | join "-" }} {{ list 3 1 2 | sortAlpha | join "," }}', "a-b-c 1,2,3"),
        (
            '{{ title "hello wOrld_x y-z" }} {{ untitle "Hello World" }} {{ trimAll "$" "$5$" }}',
            "Hello WOrld_x Y-Z hello world 5",
        ),
        (
            '{{ repeat 2 "ab" }} {{ substr 0 3 "hello" }} {{ substr 2 -1 "hello" }} {{ trunc -3 "hello" }} {{ abbrev 5 "hello w" }}',
            "abab hel llo llo he...",
        ),
        (
            '{{ quote "a" 1 nil }} {{ squote "a" 1 }} {{ cat "a" 1 nil "b" }} {{ indent 2 "a\\nb" }}',
            "\"a\" \"1\" 'a' '1' a 1 b   a\n  b",
        ),
        (
            "{{ div -7 2 }} {{ mod -7 3 }} {{ mul 2 3 4 }} {{ max 1 5 3 }} {{ floor 1.7 }} {{ round 2.5 0 }} {{ round -2.5 0 }}",
            "-3 -1 24 5 1 3 -3",
        ),
        ("{{ addf 0.1 0.2 }} {{ divf 1 3 }} {{ add1f 1.5 }} {{ minf 1 2.5 }}", "0.3 0.3333333333333333 2.5 1"),
        ('{{ add (.Field "n") 1.9 "5" "x" true }} {{ int64 "3.7" }} {{ atoi "12" }} {{ int "0x1f" }}', "49 3 12 31"),
        (
            '{{ default "d" (.Tag "none") }} {{ .Field "none" | default 5 }} {{ coalesce "" 0 "x" }} {{ ternary "a" "b" true }}',
            "d 5 x a",
        ),
        (
            '{{ toJson .Tags }} {{ toRawJson "<a>" }} {{ toJson "<a>" }}',
            '{"dc":"x y","empty":"e","host":"web.a"} "<a>" "\\u003ca\\u003e"',
        ),
        ('{{ (fromJson "{\\"a\\": {\\"b\\": 1}}").a.b }}', "1"),
        (
            "{{ list 1 2 3 | initial }} {{ uniq (list 1 1 2) }} {{ without (list 1 2 3) 2 }} {{ has 2 (list 1 2) }}",
            "[1 2] [1 2] [1 3] true",
        ),
        (
            '{{ $d := dict "a" 1 }}{{ $_ := set $d "c" 3 }}{{ $d }} {{ pick $d "a" }} {{ keys $d }}',
            "map[a:1 c:3] map[a:1] [a c]",
        ),
        ("{{ until 4 }} {{ untilStep 3 0 -1 }}", "[0 1 2 3] [3 2 1]"),
        (
            '{{ b64enc "hi" }} {{ b64dec "aGk=" }} {{ sha1sum "a" }} {{ adler32sum "a" }}',
            "aGk= hi 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8 6422626",
        ),
        (
            '{{ dateInZone "15:04 MST -07:00" .Time "Europe/Berlin" }} {{ unixEpoch .Time }}',
            "23:13 CET +01:00 1700000000",
        ),
        (
            '{{ regexMatch "^c.u" .Name }} {{ regexFind "[a-z]+" "12abc" }} {{ regexReplaceAll "(a)(b)" "xaby" "${2}${1}" }}',
            "true abc xbay",
        ),
        ('{{ kindOf (list) }} {{ kindOf .Tags }} {{ kindIs "string" "x" }}', "slice map true"),
        ('{{ html "<a>" }} {{ urlquery "a b&c/é" }} {{ not true }}', "&lt;a&gt; a+b%26c%2F%C3%A9 false"),
        ('{{ (split "." .Name)._0 }} {{ with .Tags }}{{ $.Name }}{{ .host }}{{ end }}', "cpu cpu.loadweb.a"),
        (
            "{{ 0x1F }} {{ 1e3 }} {{ 1.50 }} {{ 'a' }} {{ 1_000 }} {{ \"\\u00e9\\x41\" }} {{ `raw\\n` }}",
            "31 1000 1.5 97 1000 éA raw\\n",
        ),
        (
            '{{ first (list) }}| {{ title "élan" }} {{ len "é" }} {{ and 1 0 2 }} {{ or 0 "" 3 }}',
            "<no value>| Élan 2 0 3",
        ),
        (
            '{{ printf "%d %s" .Time.Month .Time.Month }} {{ .Time.AddDate 0 1 0 }}',
            "11 November 2023-12-14 22:13:20.123456789 +0000 UTC",
        ),
        ('{{ and false (fail "x") }}', "false"),
    ],
)
def test_what_is_written(text: str, wanted: str) -> None:
    assert made(text) == wanted


def test_a_list_of_metrics() -> None:
    text = "{{range $i, $m := .}}{{if $i}}, {{end}}{{$m.Name}}:{{range $m.Fields | keys | initial}}{{.}};{{end}}{{end}} {{len .}}"
    other = Metric("m", {}, {"x": 1, "y": 2}, 0)
    assert GoTemplate(text, "t").render([other, other]) == "m:x;, m:x; 2"
    assert GoTemplate("{{(index . 0).Name}}", "t").render([other]) == "m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a\n{{ upper (.Field "n") }}', "line 2, column 4 of the template: upper: it wants a string, not a int64"),
        ("{{ .Nope }}", "line 1, column 4 of the template: there is no .Nope here: there are .Name, .Tag"),
        ("{{ .Time.Nope }}", "line 1, column 9 of the template: a time.Time has no .Nope"),
        ("{{ .Tag }}", "line 1, column 4 of the template: .Tag takes 1 argument, not 0"),
        ("{{ upper }}", "line 1, column 4 of the template: upper takes 1 argument, not 0"),
        ('{{ lt "a" 1 }}', "cannot order a string and a int64"),
        ('{{ eq (.Field "n") 1.5 }}', "cannot compare a int64 with a float64"),
        ('{{ fail "no" }}', "fail: no"),
        ("{{ div 1 0 }}", "a number cannot be divided by 0"),
        ("{{ index (list 1) 5 }}", "there is no item 5, there are 1"),
        ("{{ range 1.5 }}{{end}}", "cannot go through a float64"),
        ('{{ (.Field "none").x }}', "there is no value to take .x of"),
        ('{{ regexMatch "(" "x" }}', "regexMatch: cannot read the regular expression"),
    ],
)
def test_errors_of_values(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        made(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a\nb {{ .Tag "a" ', "line 2, column 3: it is not closed by }}"),
        ('{{ .Tag "a }}', "line 1, column 9: a text is not closed"),
        ("{{ if true }}x", "line 1, column 1: it has no {{ end }}"),
        ("{{ end }}", "{{ end }} belongs to no if, range or with"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "there is a second {{ else }}"),
        ("{{ if }}x{{ end }}", "a value is missing"),
        ("{{ nofunc 1 }}", "line 1, column 4: there is no function nofunc, or it is not supported"),
        (
            '{{ env "HOME" }}',
            "line 1, column 4: env is left out on purpose, as it shows secrets; write ${NAME}, which the",
        ),
        ('{{ "$HOME" | expandenv }}', "line 1, column 14: expandenv is left out on purpose"),
        ("{{ $z }}", "the variable $z is not declared"),
        ('{{ "a" "b" }}', "'b' cannot stand here"),
        ("{{ 3 | 4 }}", "4 takes no value from a `|`"),
        ("{{ nil }}", "nil is no command"),
        ("{{ }}", "there is nothing between its braces"),
        ("{{ (1 }}", "a ( is not closed"),
        ("{{ 1) }}", ") cannot stand here"),
        ("{{ break }}", "{{ break }} stands in no range"),
        ('{{ define "x" }}{{ end }}', "{{ define }} is not supported"),
        ("{{ '' }}", "a text is not closed"),
        ("{{ 99999999999999999999 }}", "does not fit 64 bits"),
        ('{{ "\\q" }}', "a text has the escape \\q"),
        ("{{ /* x }}", "a comment is not closed"),
        ("{{ (" * 100, "cannot stand here"),
        ("{{ " + "(" * 100 + "1" + ")" * 100 + " }}", "it is nested too deeply"),
        ("{{ if true }}" * 100 + "{{ end }}" * 100, "it is nested too deeply"),
        ("x" * (1 << 19), "it is longer than 256 KiB"),
    ],
)
def test_what_is_no_template(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        GoTemplate(text, "topic")
    assert error.value.option == "topic"


@pytest.mark.parametrize(
    "text",
    [
        "{{ range until 50000 }}{{ range until 50000 }}{{ end }}{{ end }}",
        "{{ range 10000000 }}{{ end }}",
        "{{ until 10000000 }}",
        '{{ repeat 100000000 "x" }}',
        '{{ $x := "xxxxxxxxxxxxxxxx" }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}',
        "{{ $x := list 1 }}{{ range 64 }}{{ $x = concat $x $x }}{{ end }}",
        '{{ range 100000 }}{{ repeat 1000 "x" }}{{ end }}',
        '{{ printf "%1000000000d" 1 }}',
        '{{ $d := dict }}{{ $_ := set $d "d" $d }}',
        "{{ mulf 1e300 1e300 1e300 }}",
    ],
)
def test_what_would_have_no_end(text: str) -> None:
    with pytest.raises(TemplateError):
        made(text)


def test_strict_ones_refuse_what_others_doubt() -> None:
    assert GoTemplate("{{ .Nope }}{{ upper }}", "t", METRIC_MEMBERS).doubts == [
        "line 1, column 4 of the template: "
        + GoTemplate("{{ .Nope }}", "t", METRIC_MEMBERS).doubts[0].partition(": ")[2],
        "line 1, column 15 of the template: upper takes 1 argument, not 0",
    ]
    for text in ("{{ .Nope }}", "{{ upper }}", "{{ .Tag }}"):
        with pytest.raises(ConfigError):
            GoTemplate(text, "t", METRIC_MEMBERS, strict=True)


@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                " ",
                "-",
                '"',
                "`",
                ".",
                "Name",
                "$x",
                ":=",
                "(",
                ")",
                "|",
                "if",
                "end",
                "range",
                "else",
                "1",
                "'",
            ]
        )
    )
)
def test_any_text_is_a_template_or_one_error(pieces: list[str]) -> None:
    try:
        template = GoTemplate("".join(pieces), "t", METRIC_MEMBERS)
    except ConfigError:
        return
    with contextlib.suppress(TemplateError):
        template.render(METRIC)


def test_slice_where_the_functions_of_sprig_are_not() -> None:
    text = "{{ slice .Name 4 }} {{ slice .Name 0 3 }} {{ slice .Name }} {{ len (slice .TagList 1) }}"
    assert GoTemplate(text, "t", METRIC_MEMBERS, functions=GO_FUNCTIONS).render(METRIC) == "load cpu cpu.load 2"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{{ slice .Name 9 }}", "9 is out of range"),
        ("{{ slice .Name 3 2 }}", "3 is behind 2"),
        ("{{ slice .Name 1 2 3 }}", "too many bounds"),
        ("{{ slice 5 1 }}", "has no parts"),
        ("{{ upper .Name }}", "there is no function upper"),
    ],
)
def test_without_the_functions_of_sprig(text: str, cause: str) -> None:
    with pytest.raises((ConfigError, TemplateError), match=cause):
        GoTemplate(text, "t", METRIC_MEMBERS, functions=GO_FUNCTIONS).render(METRIC)


def test_the_page_names_every_function() -> None:
    page = PAGE.read_text()
    for name in (*GO_FUNCTIONS, *SPRIG_FUNCTIONS, *(f".{member}" for member in METRIC_MEMBERS)):
        assert f"`{name}`" in page, name
