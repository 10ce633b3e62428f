"""The recorded cases in which pyagent is meant to differ from Telegraf: the one list, which a part of docs/differences.md is made of.

python tests/conformance/differences.py        writes that part anew
"""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "differences.md"
BEGIN = "<!-- From here to the next comment: made by tests/conformance/differences.py of its list. -->"
END = "<!-- The end of what is made. -->"


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    telegraf: str
    pyagent: str
    cases: tuple[str, ...]
    """Names of recorded cases: folders of `config/` and `pipeline/*/`, files of `cli/`; with their path, those of plugins."""


DIFFERENCES = (
    Difference(
        "a multi-line string in a file whose lines end in CRLF",
        "keeps the CRs",
        "lines in it end in LF, as TOML allows; no query wants a CR",
        ("toml-crlf-multiline-string",),
    ),
    Difference(
        "dotted keys and keys in single quotes, which are TOML (`tags.k = 1`, `'k' = 1`)",
        "the file is refused",
        "they are read",
        ("toml_dotted_key", "toml_literal_key"),
    ),
    Difference(
        "a mistake in the options of a format that an input reads files in (a pattern of grok that there is not)",
        "an error at each gather; the status of `--test` is 0",
        "an error when the text is loaded, reloaded or checked: the configuration before goes on; the status is 1",
        ("binary_no_field_defined", "grok_bad_pattern", "value_unknown_type"),
    ),
    Difference(
        "a plugin that cannot start (`startup_error_behavior`)",
        "ends the agent, unless it says `retry`, `ignore` or `probe`",
        "tried again for ever, shown in the status, the others go on; the option is checked and changes nothing."
        " A program that is missing when the agent starts (`sensors`, `smart`, `turbostat`, `ipset`, ...) is an error as a"
        " mistake in the text is: exit 1, with the package to install",
        ("startup-socket-in-use", "startup-behavior-ignore-socket-in-use"),
    ),
    Difference(
        "`--config-url-retry-attempts -2`",
        "an error about the configuration's URL",
        "an error about the flag, before anything is asked for",
        ("url-retry-attempts-invalid",),
    ),
    Difference(
        'a backslash in a string of line protocol before anything but `"` and `\\`',
        "the whole file is refused",
        "it is a backslash, as in InfluxDB",
        ("influx_newline_escape_in_string", "influx_unknown_escape_in_string"),
    ),
    Difference(
        "a line with the same tag twice",
        "the last one counts",
        "the line is refused, as by InfluxDB",
        ("influx_duplicate_keys",),
    ),
    Difference(
        "an `interval`, `flush_interval` or `period` under 1 ms",
        "accepted; the program does nothing else any more",
        "an error: the agent would do nothing else, not even end",
        ("rounding_us_interval",),
    ),
    Difference(
        "flags before a command (`--config F config check`)",
        "ignored; other files are checked",
        "count; one that the command does not know is an error",
        ("config_check_flag_before",),
    ),
    Difference(
        "a host without a line `MemTotal`, or with a total of 0 (`inputs.mem`)",
        "a metric with zeros",
        "an error: nothing was measured",
        ("host/mem/zero_total",),
    ),
    Difference(
        "a write with a precision that there is not (`inputs.influxdb_v2_listener`)",
        "the times are taken as nanoseconds, in 1970",
        "status 400, as from InfluxDB",
        ("services/influxdb_v2_listener/write",),
    ),
    Difference(
        "the `User-Agent` of requests (`inputs.http`)",
        "`Go-http-client/1.1`",
        "`pyagent/VERSION`",
        ("services/http/json_post_headers",),
    ),
    Difference(
        "a time of a message of Avro that is not from 1677 to 2262 (`avro_timestamp` in another unit)",
        "another time, as the number overflows",
        "an error: the time is out of range",
        ("parsers/avro/testcases/no-timestamp-format",),
    ),
    Difference(
        "a counter of a port that is no number (`inputs.infiniband`)",
        "0",
        "left out, with a warning",
        ("host/infiniband/bad_value",),
    ),
    Difference(
        "a word too many (`config check telegraf.conf`, `plugins nope`)",
        "ignored; other files are checked, or everything is printed",
        "an error: a flag was forgotten, or a name misspelt",
        ("config_check_extra_word", "wrong_subcommand_plugins"),
    ),
    Difference(
        "`inputs.procstat` with `tag_with` of sockets",
        "the metric of a process has the tags of its last socket of the gather before",
        "only metrics of sockets have them",
        ("services/procstat/sockets_tags",),
    ),
)

UNUSABLE = {
    "source-directory-link-to-file": "the recording has lost the link: it is a file that holds the link's target"
}
"""Cases that say nothing, with the reason."""

MEANT = {case: difference.pyagent for difference in DIFFERENCES for case in difference.cases}
"""The same by case."""


def section() -> str:
    rows = [("", "Telegraf 1.40", "pyagent"), ("---",) * 3]
    rows += [(difference.what, difference.telegraf, difference.pyagent) for difference in DIFFERENCES]
    return "\n".join([BEGIN, "", *(f"| {' | '.join(row)} |" for row in rows), "", END])


def with_section(page: str) -> str:
    """The page with its made part as it should be."""
    found = re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", page, re.DOTALL)
    assert found is not None, f"{PAGE.name} has no place for the list: {BEGIN}"
    return page[: found.start()] + section() + page[found.end() :]


if __name__ == "__main__":
    PAGE.write_text(with_section(PAGE.read_text()))
