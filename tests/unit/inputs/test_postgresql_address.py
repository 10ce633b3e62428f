"""The option address of inputs.postgresql: libpq is the judge of values, Telegraf of the tag `server`."""

import logging
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Duration, PyagentError
from pyagent.api.hosted import Guard, HostedPath
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.postgresql import Postgresql, PostgresqlOptions, connect_failure
from pyagent_plugins.inputs.postgresql.address import HIDDEN, connection_parameters, database_of, parse_address

psycopg = pytest.importorskip("psycopg", reason="psycopg is missing; pip install 'psycopg[binary]'")
from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: E402

KNOWN = frozenset(default.keyword.decode() for default in psycopg.pq.Conninfo.get_defaults())
KEYS = ["host", "port", "user", "password", "dbname", "sslmode", "sslcert", "application_name", "options"]
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGDATABASE", "PGOPTIONS", "PGGSSENCMODE", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.sampled_from([" ", "  ", "\t", "\n"]))
def test_pairs_are_read_as_libpq_reads_them(settings: dict[str, str], blank: str) -> None:
    text = blank.join(f"{key}{blank if len(key) % 2 else ''}={value}" for key, value in _written(settings))
    pairs, shown = parse_address(text)
    assert dict(pairs) == conninfo_to_dict(text) == settings
    if all(value == value.strip() for value in settings.values()):  # Telegraf trims the tag, escaped blanks included
        assert conninfo_to_dict(shown) == {key: value for key, value in settings.items() if key not in HIDDEN}


def _written(settings: dict[str, str]) -> list[tuple[str, str]]:
    # Quoted, and plain with every blank and quote escaped: libpq takes both.
    plain = {key: re.sub(r"([\s\\'])", r"\\\1", value, flags=re.ASCII) for key, value in settings.items()}
    quoted = {key: "'" + re.sub(r"([\\'])", r"\\\1", value) + "'" for key, value in settings.items()}
    return [(key, (plain if index % 2 else quoted)[key]) for index, key in enumerate(settings)]


@given(
    user=VALUES,
    password=VALUES,
    host=st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    port=st.none() | st.integers(1, 65535),
    database=VALUES.filter(lambda text: not text.startswith("/")),
    name=VALUES,
)
def test_urls_are_read_as_libpq_reads_them(
    user: str, password: str, host: str, port: int | None, database: str, name: str
) -> None:
    place = host if port is None else f"{host}:{port}"
    account = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"postgresql://{account}@{place}/{quote(database, safe='')}?application_name={quote(name, safe='')}"
    pairs, shown = parse_address(url)
    assert dict(pairs) == conninfo_to_dict(url)
    expected = {"user": user, "host": host, "dbname": database, "application_name": name}
    if not any(re.search(r"[\t\n\r\f\v]", value) for value in expected.values()):  # Telegraf does not quote for these
        assert conninfo_to_dict(shown) == expected | ({} if port is None else {"port": str(port)})


@pytest.mark.parametrize(
    ("address", "tag"),
    [
        ("host=localhost user=postgres sslmode=disable", "host=localhost user=postgres"),
        ("host = localhost  password = 'a b' user=u", "host = localhost  user=u"),
        ("password=x", ""),
        ("password=x host=h", "host=h"),
        ("sslpassword=x sslkey='/a b' host=h sslrootcert=system", "host=h"),
        (r"password=a\ b host=h", "host=h"),
        (r"password='it\'s' host=h", "host=h"),
        ("password= secret host=h", "host=h"),
        ("PASSWORD=x host=h", "host=h"),
        ("host=h passfile=/p options='-c a=b'", "host=h passfile=/p options='-c a=b'"),
        ("postgres://localhost", "host=localhost"),
        ("postgres://localhost:5432", "host=localhost port=5432"),
        ("postgresql://u:p@foo:1,bar,baz:3/db?sslmode=disable", "dbname=db host=foo,bar,baz port=1,,3 user=u"),
        ("postgres://u@[::1]:5432/db", "dbname=db host=::1 port=5432 user=u"),
        ("postgres://u@[::1]/db", "dbname=db host=[::1] user=u"),
        ("postgres://h/?database=d&search_path=a,b", "database=d host=h search_path=a,b"),
        ("postgres://u%20v:p@h/d?application_name=x%3Dy+z", "application_name='x=y z' dbname=d host=h user='u v'"),
        ("postgres://h/d?a=1&a=2", "a=1,2 dbname=d host=h"),
        ("postgres:///d?host=/run/postgresql", "dbname=d host=/run/postgresql"),
        ("postgres://%2Frun%2Fpostgresql/d", "dbname=d host=/run/postgresql"),
        ("postgres://u:p@ss@h/d", "dbname=d host=h user=u"),
    ],
)
def test_the_tag_server(address: str, tag: str) -> None:
    assert parse_address(address)[1] == tag


@pytest.mark.parametrize(
    "address",
    [
        "host=h password=Sec ret",
        "host=h password='Secret",
        "Secret",
        "password",
        "password='Sec'ret host=h",
        "=Secret",
        "a-b=Secret",
        "postgres://u:Sec/ret@h/d",
        "postgres://u:Secret:x",
        "postgres://[::1/d",
        "postgres://::1/d",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^options:1: postgresql: |^cannot read address: ") as raised:
        make_input(Postgresql, {"address": address})
    assert not re.search(r"(?i)sec\b|ret\b|\bu\b|::1", str(raised.value))
    assert raised.value.option == "address"


def test_settings_of_libpq_of_the_server_and_of_pgx() -> None:
    pairs, _ = parse_address(
        "user=u database=d search_path='a b' timezone=UTC pool_max_conns=4 statement_cache_capacity=0 "
        "default_query_exec_mode=exec options='-c x=1' connect_timeout=9"
    )
    assert connection_parameters(pairs, KNOWN) == (
        {
            "fallback_application_name": "pyagent",
            "user": "u",
            "dbname": "d",
            "options": r"-c x=1 -c search_path=a\ b -c timezone=UTC",
            "connect_timeout": "9",
            "gssencmode": "disable",
        },
        False,
        ["pool_max_conns", "statement_cache_capacity"],
    )


@pytest.mark.parametrize(
    ("address", "parameters"),
    [
        ("host=/run/postgresql/.s.PGSQL.5433", {"host": "/run/postgresql", "port": "5433"}),
        ("host=/run/.s.PGSQL.5433 port=5432", {"host": "/run", "port": "5433"}),
        ("host=/.s.PGSQL.5433", {"host": "/", "port": "5433"}),
        ("postgresql:///db?host=/run/.s.PGSQL.5433", {"dbname": "db", "host": "/run", "port": "5433"}),
        ("postgresql://%2Frun%2F.s.PGSQL.5433/db", {"host": "/run", "dbname": "db", "port": "5433"}),
        ("host=/a/.s.PGSQL.1,b,/c port=9,2,3", {"host": "/a,b,/c", "port": "1,2,3"}),
        ("host=/a/.s.PGSQL.1,b port=2", {"host": "/a,b", "port": "1,2"}),
        ("host=/a/.s.PGSQL.1,b", {"host": "/a,b", "port": "1,"}),
        ("host=/a/.s.PGSQL.1,b,c port=1,2", {"host": "/a/.s.PGSQL.1,b,c", "port": "1,2"}),
        ("postgres://[::1]/", {"host": "::1"}),
        ("postgres://h/?ssl=true", {"host": "h", "sslmode": "require"}),
        ("postgres://h/?sslmode=verify-full&ssl=true", {"host": "h", "sslmode": "verify-full"}),
        ("host=h user='' password=''", {"host": "h"}),
        ("default_query_exec_mode=cache_statement", {}),
    ],
)
def test_what_is_given_to_libpq(address: str, parameters: dict[str, str]) -> None:
    given, prepare, ignored = connection_parameters(parse_address(address)[0], KNOWN)
    ours = {"fallback_application_name": "pyagent", "connect_timeout": "5", "gssencmode": "disable"}
    assert (given, prepare, ignored) == (ours | parameters, True, [])
    make_conninfo("", **given)


def test_the_environment_goes_before_the_agents_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGGSSENCMODE", "prefer")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    monkeypatch.setenv("PGOPTIONS", "-c a=1")
    given, _, _ = connection_parameters([("b", "2")], KNOWN)
    assert given == {"fallback_application_name": "pyagent", "options": "-c a=1 -c b=2"}
    assert connection_parameters([], frozenset({"connect_timeout"}))[0] == {"fallback_application_name": "pyagent"}


def test_the_database_of_the_background_writers_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_of("host=h") == "postgres"
    assert database_of("host=h dbname=a") == "a"
    assert database_of("database=b host=h") == "b"
    assert database_of("db01") == "postgres"
    assert database_of("postgres://h/c") == "c"
    monkeypatch.setenv("PGDATABASE", "d")
    assert (database_of("host=h"), database_of("host=h dbname=a")) == ("d", "a")


@pytest.mark.parametrize("address", ["", "localhost"])
def test_an_empty_address_is_localhost(address: str) -> None:
    plugin = make_input(Postgresql, {"address": address})
    assert isinstance(plugin, Postgresql)
    assert conninfo_to_dict(plugin._conninfo)["host"] == "localhost"
    assert conninfo_to_dict(plugin._conninfo)["sslmode"] == "disable"
    assert plugin._server == "host=localhost"


def test_databases_and_ignored_databases_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="cannot be used together") as raised:
        make_input(Postgresql, {"databases": ["a"], "ignored_databases": ["b"]})
    assert raised.value.option == "ignored_databases"


def test_every_option_of_the_wizards_page_is_known(shared: Path) -> None:
    text = (shared / "corpus/wizard/postgresql.conf").read_text()
    [active] = tomllib.loads(text)["inputs"]["postgresql"]
    plugin = make_input(Postgresql, active)
    assert plugin.options == PostgresqlOptions(address="host=localhost user=postgres sslmode=disable")

    [everything] = tomllib.loads(re.sub(r"(?m)^  # (?=\w+ = )", "  ", text))["inputs"]["postgresql"]
    assert len(everything) == 6
    del everything["ignored_databases"]
    options = make_input(Postgresql, everything).options
    assert (options.outputaddress, options.databases) == ("db01", ["app_production", "testing"])
    assert options.max_lifetime == Duration("0s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", "check that it runs, and host and port in address")),
        (
            "connection timeout expired",
            ("connection timeout expired", "check that it runs, and host and port in address"),
        ),
        (
            'connection is bad: connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory\n\tIs it?',
            (
                'connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory',
                "check that it runs, and host and port in address",
            ),
        ),
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n\tIs it?\n'
            "Multiple connection attempts failed. All failures were:\n"
            "- host: 'localhost', port: '1', hostaddr: '::1': connection failed: "
            'connection to server at "::1", port 1 failed: Connection refused\n\tIs it?\n'
            "- host: 'localhost', port: None, hostaddr: None: connection failed: "
            'connection to server at "127.0.0.1", port 1 failed: Connection refused\n\tIs it?',
            ("Connection refused", "check that it runs, and host and port in address"),
        ),
        (
            'connection failed: connection to server at "h" (::1), port 1 failed: FATAL:  the database system is starting up',
            ("FATAL: the database system is starting up", "see the server's log"),
        ),
    ],
)
def test_the_cause_of_a_failed_connection(text: str, expected: tuple[str, str]) -> None:
    assert connect_failure(text) == expected


def test_a_library_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=rf"; {sys.executable} -m pip install 'psycopg\[binary\]'"):
        make_input(Postgresql)


async def test_the_files_that_a_hosted_address_names_are_looked_at_when_libpq_reads_them(tmp_path: Path) -> None:
    state, certificate = tmp_path / "state", tmp_path / "ca.pem"
    state.mkdir()
    (state / "secret").write_text("x")
    certificate.write_text("x")
    address = f"host={tmp_path} user=u sslmode=disable sslrootcert={certificate}"
    guarded = HostedPath(address, Guard({"STATE_DIRECTORY": str(state)}))
    plugin = Postgresql(PostgresqlOptions(address=guarded), logging.getLogger("test"))
    certificate.unlink()
    certificate.symlink_to(state / "secret")
    with pytest.raises(PyagentError, match=r"cannot connect to PostgreSQL .*secrets of this host"):
        await plugin.gather(InputAccumulator())
