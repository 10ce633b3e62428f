"""The recorded configurations: what Telegraf loads loads here and means the same, what it refuses is refused by name.

The agent runs as a program, with the drop-in input `file` of this folder. What differs is in one list, with the reason.
"""

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent.parent / "shared"
RECORDINGS = SHARED / "golden" / "telegraf"
GROUPS = ("config", *(f"pipeline/{group}" for group in ("selection", "naming", "time", "environment")))
CASES = {path.parent.name: path.parent for group in GROUPS for path in sorted(RECORDINGS.glob(f"{group}/*/exit"))}

CHECK = "waits for the command `config check`"
METRICPASS = "waits for metricpass"
PARSERS = "waits for the input `file` with its parsers"
LOG = "waits for the runtime to log the plan's errors"
EXCEPTIONS = {
    # For good.
    "toml-crlf-multiline-string": "line ends inside of a multi-line string are LF, as TOML allows; no query wants a CR",
    "source-directory-link-to-file": "the recording has lost the link: it is a file that holds the link's target",
    # What needs a plugin, a command or a stage that is not there yet.
    "deprecated-filter-fieldpass-and-drop": LOG,
    "bare_number_non_strict": "waits for processors.tag_limit",
    "nested_plugin_tables": "waits for processors.rename",
    "metricpass_base64_ext": METRICPASS,
    "metricpass_exists_one": METRICPASS,
    "metricpass_field_int_and_double": METRICPASS,
    "metricpass_field_number": METRICPASS,
    "metricpass_matches": METRICPASS,
    "metricpass_math_ext": METRICPASS,
    "metricpass_now": METRICPASS,
    "metricpass_time_parts": METRICPASS,
    "csv_missing_value": PARSERS,
    "csv_rfc3339": PARSERS,
    "csv_unix": PARSERS,
    "csv_unix_ms": PARSERS,
    "influx_precision_option": PARSERS,
    "json_layout_and_zone": PARSERS,
    "json_missing_time": PARSERS,
    "json_unix_forms": PARSERS,
    "always_include_local_tags": "waits for the pipeline to leave a tag alone that the metric has",
    "startup-socket-in-use-test": "waits for inputs.socket_listener",
    "startup-socket-writer-refused-retry": "waits for outputs.socket_writer",
    "deprecated-snmp-translator": LOG,
    "log-level-input-mixed-case": LOG,
    "log-level-input-unknown": LOG,
    "log-file-is-a-directory": "waits for the log file",
    "env-old-behaviour": "waits for the flag --old-env-behavior",
    "source-equals-sign-flags": "waits for flags of the form --test=true",
    "url-retry-attempts-invalid": "the flag is refused before any configuration is named; -2 is in the message",
    "aggregator-period-bad": CHECK,
    "deprecated-option-warns": CHECK,
    "influxdb-v2-missing-certificate": CHECK,
    "plugin-option-duration-bad": CHECK,
    "plugin-option-duration-bare-string": CHECK,
    "plugin-option-size-bad": CHECK,
    "plugin-option-size-unlimited": CHECK,
    "secret-malformed-reference": CHECK,
    "secret-store-docker": CHECK,
    "startup-behavior-probe-output": CHECK,
    "type-bool-as-string": CHECK,
    "type-int-as-float": CHECK,
    "type-table-as-string": CHECK,
}


@pytest.fixture(scope="module")
def differences() -> Mapping[str, str | None]:
    """Each case's first difference from its recording, None where there is none."""
    sys.path.insert(0, str(SHARED / "tools"))
    try:
        import compare_config
        import compare_pipeline
    finally:
        sys.path.pop(0)
    command = [sys.executable, "-m", "pyagent", "--plugin-directory", str(HERE / "plugins")]

    def difference(case: Path) -> str | None:
        tool = compare_config if case.parent.name == "config" else compare_pipeline
        return tool.difference(command, case)

    with ThreadPoolExecutor(6) as pool:  # many cases mostly wait
        return dict(zip(CASES, pool.map(difference, CASES.values()), strict=True))


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {RECORDINGS} is not there")
@pytest.mark.parametrize("name", CASES or ["none"])
def test_recorded_case(name: str, differences: Mapping[str, str | None]) -> None:
    if name in EXCEPTIONS:
        assert differences[name], f"{name} agrees now: remove it from the exceptions"
    else:
        assert differences[name] is None


@pytest.mark.skipif(not CASES, reason=f"the recordings are missing: {RECORDINGS} is not there")
def test_every_exception_is_a_recorded_case() -> None:
    assert EXCEPTIONS.keys() <= CASES.keys()
