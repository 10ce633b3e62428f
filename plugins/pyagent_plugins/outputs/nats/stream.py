"""The stream that is written to: made where there is none, and changed where the configuration says something else."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pyagent.api import ConfigError, Duration, Options, PyagentError, option
from pyagent.kit.nats import NATS_TIMEOUT

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["StreamOptions", "check_name", "covers", "see_to_stream", "stream_config"]

_NOT_FOUND = 10059
"""JetStream's number of that error."""


class PlacementOptions(Options, frozen=True):
    cluster: Annotated[str, option("name of the cluster")] = ""
    tags: Annotated[list[str], option("tags that its servers must have")] = []


class TransformOptions(Options, frozen=True):
    src: Annotated[str, option("subjects that are changed")] = ""
    dest: Annotated[str, option("what they become")] = ""


class RepublishOptions(TransformOptions, frozen=True):
    headers_only: Annotated[bool, option("without the data")] = False


class ExternalOptions(Options, frozen=True):
    api: Annotated[str, option("prefix of the other account's API")] = ""
    deliver: Annotated[str, option("prefix of its deliveries")] = ""


class SourceOptions(Options, frozen=True):
    name: Annotated[str, option("the other stream")]
    opt_start_seq: Annotated[int, option("number of its first message", ge=0)] = 0
    opt_start_time: Annotated[str, option("time of its first message, as in RFC 3339")] = ""
    filter_subject: Annotated[str, option("subjects of it")] = ""
    subject_transforms: Annotated[list[TransformOptions], option("how its subjects are changed")] = []
    external: Annotated[ExternalOptions | None, option("where it is another account's")] = None
    domain: Annotated[str, option("its JetStream domain")] = ""


class ConsumerLimitsOptions(Options, frozen=True):
    inactive_threshold: Annotated[Duration, option("consumers that are not used for so long are removed")] = Duration(0)
    max_ack_pending: Annotated[int, option("most messages of a consumer that wait for acknowledgement")] = 0


class StreamOptions(Options, frozen=True):
    """What is left out is as the stream has it, or of a new one the server's default."""

    name: Annotated[str, option("name of the stream")] = ""
    subjects: Annotated[
        list[str],
        option("subjects of the stream; `subject` is added where it is no template and not among them"),
    ] = []
    async_publish: Annotated[
        bool,
        option("send a batch without waiting for each message's acknowledgement before the next: many times faster"),
    ] = False
    async_ack_timeout: Annotated[Duration, option("then, how long to wait for the last ones", gt=0)] = Duration("5s")
    disable_stream_creation: Annotated[bool, option("the stream must exist, and is left as it is")] = False
    description: Annotated[str | None, option("what it is")] = None
    retention: Annotated[Literal["", "limits", "interest", "workqueue"], option("when messages go (empty: limits)")] = (
        ""
    )
    max_consumers: Annotated[int | None, option("most consumers (-1: any number)")] = None
    max_msgs: Annotated[int | None, option("most messages (-1: any number)")] = None
    max_bytes: Annotated[int | None, option("most bytes (-1: any number)")] = None
    discard: Annotated[Literal["", "old", "new"], option("what goes when it is full (empty: the old)")] = ""
    discard_new_per_subject: Annotated[bool | None, option("new messages go, where their subject is full")] = None
    max_age: Annotated[str | int | float | None, option("how long messages are kept (0: for ever)")] = None
    max_msgs_per_subject: Annotated[int | None, option("most messages of one subject (-1: any number)")] = None
    max_msg_size: Annotated[int | None, option("most bytes of one message (-1: any number)")] = None
    storage: Annotated[Literal["", "file", "memory"], option("where it is kept (empty: in files)")] = ""
    num_replicas: Annotated[int | None, option("servers of the cluster that keep it: 1, 3 or 5")] = None
    no_ack: Annotated[bool | None, option("it acknowledges nothing: what does not arrive is lost")] = None
    template_owner: Annotated[str | None, option("the template that it was made from")] = None
    duplicate_window: Annotated[
        str | int | float | None, option("how long it knows a message that is sent again (new: 2m)")
    ] = None
    placement: Annotated[PlacementOptions | None, option("which servers keep it")] = None
    mirror: Annotated[SourceOptions | None, option("it is a copy of another stream")] = None
    sources: Annotated[list[SourceOptions], option("it takes the messages of other streams as well")] = []
    sealed: Annotated[bool | None, option("it takes and loses no more messages")] = None
    deny_delete: Annotated[bool | None, option("single messages cannot be removed")] = None
    deny_purge: Annotated[bool | None, option("it cannot be emptied")] = None
    allow_rollup_hdrs: Annotated[bool | None, option("a message may replace all before it")] = None
    compression: Annotated[Literal["", "none", "s2"], option("how its files are compressed (nats-server 2.10)")] = ""
    first_seq: Annotated[int | None, option("number of the first message of a new stream (nats-server 2.10)")] = None
    subject_transform: Annotated[TransformOptions | None, option("how subjects are changed (nats-server 2.10)")] = None
    republish: Annotated[RepublishOptions | None, option("what is stored is published once more")] = None
    allow_direct: Annotated[bool | None, option("any server that has a copy answers for it")] = None
    mirror_direct: Annotated[bool | None, option("a mirror answers for it")] = None
    consumer_limits: Annotated[ConsumerLimitsOptions | None, option("limits of its consumers (nats-server 2.10)")] = (
        None
    )
    metadata: Annotated[dict[str, str], option("notes about it (nats-server 2.10)")] = {}

    def __post_init__(self) -> None:
        for name in _SPANS:
            _nanoseconds(getattr(self, name))


_OURS = {"name", "subjects", "async_publish", "async_ack_timeout", "disable_stream_creation"}
_SPANS = ("max_age", "duplicate_window")
_SECONDS_AT_MOST = 1_000_000_000
"""More than 30 years: such a number is meant in nanoseconds, as Telegraf's sample has them."""


def _nanoseconds(value: str | int | float | None) -> int | None:
    """Raises ValueError."""
    if isinstance(value, int) and value > _SECONDS_AT_MOST:
        return value
    return None if value is None else int(Duration.from_option(value))


def stream_config(options: StreamOptions) -> dict[str, Any]:
    """What is given of it, as JetStream's API wants it."""
    return {name: value for name, value in _given(options).items() if name not in _OURS}


def _given(options: Options, *, inner: bool = False) -> dict[str, Any]:
    """Of the tables in it, `inner`, what is not zero."""
    found: dict[str, Any] = {}
    for name in type(options).__struct_fields__:
        value = getattr(options, name)
        if isinstance(value, Duration):
            value = int(value)
        elif name in _SPANS:
            value = _nanoseconds(value)
        elif isinstance(value, Options):
            value = _given(value, inner=True)
        elif isinstance(value, list):
            value = [_given(item, inner=True) if isinstance(item, Options) else item for item in value]
        if value is not None and value not in ("", [], {}) and (value or not inner):
            found[name] = value
    return found


async def see_to_stream(client: "Client", options: StreamOptions, subjects: list[str]) -> str:
    """Have it as the options say; returns what was done, for the log. Raises PyagentError."""
    name = options.name
    info = await _ask(client, f"STREAM.INFO.{name}", None)
    error = info.get("error", {})
    if options.disable_stream_creation:
        if error:
            raise PyagentError(
                f"cannot write to the stream {name!r}: {_said(error)}; make it, or leave disable_stream_creation out"
            )
        return f"the stream {name!r} has the subjects {', '.join(info['config'].get('subjects', []))}"
    wanted = stream_config(options)
    if error:
        if error.get("err_code") != _NOT_FOUND:
            raise PyagentError(f"cannot look at the stream {name!r}: {_said(error)}")
        made = {"retention": "limits", "storage": "file", "discard": "old", "num_replicas": 1} | wanted
        made |= {"name": name} | ({} if options.mirror else {"subjects": subjects})
        await _change(client, "CREATE", name, made)
        return f"the stream {name!r} is made"
    config = info["config"]
    # What others have given it stays: a thousand agents share it.
    changes = {key: value for key, value in wanted.items() if config.get(key, _absent(value)) != value}
    missing = [one for one in subjects if not any(covers(known, one) for known in config.get("subjects") or [])]
    if missing and not config.get("mirror"):
        kept = [one for one in config.get("subjects") or [] if not any(covers(new, one) for new in missing)]
        changes["subjects"] = [*kept, *missing]
    if not changes:
        return f"the stream {name!r} is as it should be"
    await _change(client, "UPDATE", name, config | changes)
    return f"the stream {name!r} is changed: {', '.join(sorted(changes))}"


async def _change(client: "Client", what: str, name: str, config: dict[str, Any]) -> None:
    if error := (await _ask(client, f"STREAM.{what}.{name}", config)).get("error"):
        verb = "make" if what == "CREATE" else "change"
        advice = "correct its options, or make it yourself and set disable_stream_creation"
        raise PyagentError(f"cannot {verb} the stream {name!r}: {_said(error)}; {advice}")


async def _ask(client: "Client", subject: str, body: dict[str, Any] | None) -> dict[str, Any]:
    from nats.errors import NoRespondersError

    data = b"" if body is None else json.dumps(body).encode()
    try:
        answer = await client.request(f"$JS.API.{subject}", data, timeout=NATS_TIMEOUT)
    except NoRespondersError:
        raise PyagentError(
            "cannot use JetStream: the server does not offer it to this user; turn it on there, or give it to the account"
        ) from None
    found: dict[str, Any] = json.loads(answer.data)
    return found


def _said(error: dict[str, Any]) -> str:
    return str(error.get("description") or error)


def _absent(value: Any) -> Any:
    """What JetStream leaves out of its answers."""
    return type(value)()


def covers(pattern: str, subject: str) -> bool:
    """Whether the one, which may have wildcards, has all that the other has."""
    known, wanted = pattern.split("."), subject.split(".")
    for index, word in enumerate(known):
        if word == ">":
            return index < len(wanted)
        if index >= len(wanted) or wanted[index] == ">" or word not in ("*", wanted[index]):
            return False
    return len(known) == len(wanted)


def check_name(options: StreamOptions) -> None:
    """Raises ConfigError."""
    name = options.name
    if not name.strip():
        raise ConfigError(
            "cannot write to a stream without a name; set `name` in [outputs.nats.jetstream]", option="jetstream"
        )
    if any(character.isspace() or character in ".*>/\\" for character in name):
        text = f"cannot write to the stream {name!r}: a name has no spaces and none of . * > / \\; correct it"
        raise ConfigError(text, option="jetstream")
