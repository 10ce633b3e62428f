"""outputs.nats without a server: subjects, what a stream is to be like, and the ids of messages."""

from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Reject
from pyagent.testing.outputs import MemoryBatch, make_batch, make_output
from pyagent_plugins.outputs.nats import NATS
from pyagent_plugins.outputs.nats.identity import Identities, Message
from pyagent_plugins.outputs.nats.stream import StreamOptions, covers, stream_config
from pyagent_plugins.outputs.nats.subject import Subject, wrong_with


@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("telegraf", "telegraf"),
        ("a.{{ .Name }}", "a.cpu"),
        ('{{.Tag "host"}}.{{ .Name }}.x', "h1.cpu.x"),
        ('a.{{ .GetTag "host" }}', "a.h1"),
        ("a.{{ .Tag `host` }}", "a.h1"),
        ('a.{{ .Field "i" }}.{{ .Field "f" }}.{{ .Field "b" }}.{{ .Field "s" }}', "a.3.0.5.true.text"),
        ('a.{{ .Tag "none" }}', "a."),
    ],
)
def test_a_subject_is_made_of_the_metric(template: str, subject: str) -> None:
    metric = Metric("cpu", {"host": "h1"}, {"i": 3, "f": 0.5, "b": True, "s": "text"}, 1)
    assert Subject(template).of(metric) == subject


@pytest.mark.parametrize(
    "text", ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "a\r\nPUB b 0", "a.\tb", "a.\udcff", "é" * 2000]
)
def test_what_no_message_can_be_sent_to_is_no_subject(text: str) -> None:
    assert wrong_with(text)
    with pytest.raises(ConfigError, match="cannot publish to the subject"):
        Subject(text)


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("é\udcff", r"'a.é\xff' is no subject: it is not UTF-8"),
        ("b c", "'a.b c' is no subject: it has a space or a control character"),
        ("", "'a.' is no subject: it has an empty word: a tag"),
        (">", "'a.>' is no subject: a word of it is a wildcard"),
        ("x" * 4000, "is no subject: it has more than 3800 bytes"),
    ],
)
def test_a_metric_without_a_subject_is_refused(tag: str, message: str) -> None:
    output = make_output(NATS, {"subject": 'a.{{ .Tag "t" }}'})
    refused: dict[int, str] = {}
    metrics = [Metric("m", {"t": value}, {"v": 1}, 1) for value in ("é", tag)]
    messages = list(output._messages(make_batch(output, metrics), 1000, refused))
    output._identities.give(messages)
    assert [one.subject for one in messages] == ["a.é"]
    assert list(refused) == [1]
    assert message in refused[1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"subject": "a.{{ .Time }}"}, r"cannot use \{\{ .Time \}\} in a subject"),
        ({"subject": 'a.{{ if .Tag "a" }}b{{ end }}'}, "in a subject"),
        ({"jetstream": {}}, "without a name"),
        ({"jetstream": {"name": "a.b"}}, "none of . "),
        ({"subject": "a.{{ .Name }}", "jetstream": {"name": "S"}}, "a subject that is a template: set `subjects`"),
        ({"username": "u"}, "username and password one without the other"),
        ({"servers": ["http://127.0.0.1:4222"]}, "write nats://HOST:PORT"),
        ({"servers": ["nats://127.0.0.1:99999"]}, "write nats://HOST:PORT"),
        ({"data_format": "unknown"}, "unknown"),
        ({"jetstream": {"name": "S", "max_age": "a day"}}, "cannot read the duration"),
    ],
)
def test_options_that_cannot_work_are_told_at_the_start(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_output(NATS, table)


def test_of_a_stream_only_what_is_given_is_asked_for() -> None:
    assert stream_config(StreamOptions(name="S", subjects=["a"], async_publish=True)) == {}
    output = make_output(
        NATS,
        {
            "jetstream": {
                "name": "S",
                "max_age": "1h",
                "duplicate_window": 120000000000,  # as Telegraf's sample has it: nanoseconds
                "max_bytes": -1,
                "sealed": False,
                "num_replicas": 3,
                "retention": "workqueue",
                "placement": {"cluster": "eu"},
                "consumer_limits": {"max_ack_pending": 10},
                "sources": [{"name": "T", "filter_subject": "t.>"}],
            }
        },
    )
    assert output.options.jetstream is not None
    assert stream_config(output.options.jetstream) == {
        "max_age": 3_600_000_000_000,
        "duplicate_window": 120_000_000_000,
        "max_bytes": -1,
        "sealed": False,
        "num_replicas": 3,
        "retention": "workqueue",
        "placement": {"cluster": "eu"},
        "consumer_limits": {"max_ack_pending": 10},
        "sources": [{"name": "T", "filter_subject": "t.>"}],
    }


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        ("a.>", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.>", True),
        ("a.*", "a.b", True),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        (">", "a", True),
        ("a", "a.b", False),
        ("a.b", "a", False),
    ],
)
def test_subjects_that_a_stream_has_are_not_added(pattern: str, subject: str, covered: bool) -> None:
    assert covers(pattern, subject) is covered


# Ids -----------------------------------------------------------------------------------------------------------------


def ids(identities: Identities, *texts: str, position: int | None = None) -> list[str]:
    messages = [
        Message("s", text.encode(), (index,), None if position is None else (7, position + index))
        for index, text in enumerate(texts)
    ]
    identities.give(messages)
    return [message.id for message in messages]


def test_what_lies_on_disk_has_the_id_of_its_place_whoever_asks() -> None:
    first = ids(Identities(), "a", "b", "a", position=10)
    assert len(set(first)) == 3
    assert ids(Identities(), "a", "b", "a", position=10) == first  # after a restart
    assert ids(Identities(), "b", "a", position=11) == first[1:]
    assert not set(ids(Identities(), "a", "b", "a", position=13)) & set(first)
    # Also where the first of two equal ones is not sent with the other: the newest may go first.
    identities = Identities()
    assert ids(identities, "a", position=10) == first[:1]
    assert ids(identities, "a", position=12) == first[2:]
    # A disk that forgot its end gives the number to another metric.
    assert ids(Identities(), "x", position=10) != first[:1]


def test_what_is_in_memory_keeps_its_id_until_it_is_written() -> None:
    identities = Identities()
    first = ids(identities, "a", "b", "a")
    assert len(set(first)) == 3
    again = ids(identities, "a", "b", "a", "a")
    assert again[:3] == first
    assert again[3] not in first
    # It came to the disk meanwhile.
    assert ids(identities, "a", "b", "a", "a", position=1) == again
    identities.written()
    assert not set(ids(identities, "a", "b", "a")) & set(again)
    assert not set(ids(Identities(), "a", "b", "a")) & set(first)


def test_a_batch_in_memory_that_grew_is_cut_as_it_was_sent() -> None:
    output = make_output(NATS, {"use_batch_format": True})

    def messages(*lines: str) -> list[Message]:
        made = list(output._messages(MemoryBatch(lines), 1000, {}))
        output._identities.give(made)
        return made

    [first] = messages("a v=1i 1", "b v=1i 1")
    again = messages("a v=1i 1", "b v=1i 1", "c v=1i 1")
    assert [(one.data, one.indices) for one in again] == [(b"a v=1i 1\nb v=1i 1\n", (0, 1)), (b"c v=1i 1\n", (2,))]
    assert again[0].id == first.id
    other = messages("x v=1i 1", "y v=1i 1", "z v=1i 1")
    assert [one.indices for one in other] == [(0, 1, 2)]


# Messages ------------------------------------------------------------------------------------------------------------


def metrics(count: int) -> list[Metric]:
    return [Metric("m", {"host": f"h{n % 2}"}, {"n": n}, n) for n in range(count)]


def sent(
    table: dict[str, Any], most: int = 1000, count: int = 4
) -> tuple[list[tuple[str, bytes, tuple[int, ...]]], dict[int, str]]:
    output = make_output(NATS, table)
    refused: dict[int, str] = {}
    found = output._messages(make_batch(output, metrics(count)), most, refused)
    return [(one.subject, one.data, one.indices) for one in found], refused


def test_a_message_for_each_metric_or_for_a_batch_or_for_each_subject_of_it() -> None:
    each, _ = sent({})
    assert each[1] == ("telegraf", b"m,host=h1 n=1i 1\n", (1,))
    assert len(each) == 4
    [(subject, data, indices)], _ = sent({"use_batch_format": True})
    assert (subject, data.count(b"\n"), indices) == ("telegraf", 4, (0, 1, 2, 3))
    template = {"subject": 'a.{{ .Tag "host" }}'}
    assert [one[0] for one in sent(template)[0]] == ["a.h0", "a.h0", "a.h1", "a.h1"]
    grouped, _ = sent(template | {"use_batch_format": True, "data_format": "json"})
    assert [(one[0], one[2], one[1].count(b'"n"')) for one in grouped] == [("a.h0", (0, 2), 2), ("a.h1", (1, 3), 2)]


def test_a_document_that_the_server_does_not_take_is_halved_always_alike() -> None:
    whole, _ = sent({"use_batch_format": True}, most=40, count=8)
    assert [one[2] for one in whole] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert whole == sent({"use_batch_format": True}, most=40, count=8)[0]


def test_what_can_be_in_no_message_costs_no_others() -> None:
    found, refused = sent({"use_batch_format": True}, most=5)
    assert not found
    assert set(refused) == {0, 1, 2, 3}
    found, refused = sent({"subject": 'a.{{ .Tag "nothing" }}'})
    assert "no subject" in refused[0]
    assert len(refused) == 4
    output = make_output(NATS, {"subject": 'a.{{ .Tag "t" }}'})
    refused = {}
    mixed = [Metric("m", {"t": tag}, {"n": 1}, 1) for tag in ("ok", "not ok", "*")]
    assert [one.subject for one in output._messages(make_batch(output, mixed), 1000, refused)] == ["a.ok"]
    assert set(refused) == {1, 2}


def test_a_refusal_of_the_format_names_the_metric_in_the_batch() -> None:
    class Refusing(MemoryBatch):
        def records(self) -> list[bytes]:
            raise Reject("no", (1,))

        def parts(self) -> list[MemoryBatch]:
            return [MemoryBatch(["a v=1i 1"]), self]

    with pytest.raises(Reject) as refused:
        list(make_output(NATS, {})._messages(Refusing(["b v=1i 1", "c v=1i 1"]), 1000, {}))
    assert refused.value.indices == (2,)


@pytest.mark.parametrize(
    ("subject", "subjects", "expected"),
    [
        ("chain.x", ["chain.>"], ["chain.>"]),
        ("chain.x", ["chain.*"], ["chain.*"]),
        ("chain.x", ["chain.x"], ["chain.x"]),
        ("chain.x", ["other.>"], ["other.>", "chain.x"]),
        ("chain.x", [], ["chain.x"]),
    ],
)
def test_a_subject_that_the_stream_has_already_is_not_added(
    subject: str, subjects: list[str], expected: list[str]
) -> None:
    table = {"subject": subject, "jetstream": {"name": "s", "subjects": subjects}}
    assert make_output(NATS, table)._stream_subjects == expected
