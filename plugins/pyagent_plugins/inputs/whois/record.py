"""The answer of a whois server as a record: what registries of the usual forms say of a domain.

There is no one format. Most registries write `Key: value` lines; some write the key as a line of its own with its values below,
keys in brackets (JPRS), sections for the registrar and the registrant (NIC.it, EURid), or contacts apart, by a handle (AFNIC,
Registro.br).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyagent.kit.timestamps import parse_time

__all__ = ["NoRecord", "Record", "read_date", "read_record"]

_MOST_LINES = 2000
"""Answers have less than 200."""
_MOST_DATES = 30
_MOST_VALUES = 100
_LONGEST_BLOCK = 60
_COMMENTS = ("-", "*", "%", ">", ";", "#")
_BRACKETS = re.compile(r"(?:\w{1,3}\. +)?\[([^\]]{1,60})\] *(.*)")
_WITHOUT_COLON = re.compile(
    r"^( *(?:Record (?:created|expires|will expire) on|Registered on))(?= +[0-9])", re.MULTILINE
)
_SWISS = re.compile(r"^(Domain name|Registrar|DNSSEC|Name servers|First registration date)(?=[ \t]|$)", re.MULTILINE)
_COLON = re.compile(":(?!//)")
_ADDRESS_BELOW = re.compile(r"[A-Za-z0-9.-]+\.[A-Za-z0-9-]*\.? +[0-9A-Fa-f:.\[\]]+")
"""A name server and its address of IPv6."""
_NUMBERED = re.compile(r"ns name [0-9]+")
_SEPARATORS = re.compile(r"[-_/\\'.]")
_SPACES = re.compile(" +")

_LABELS = {
    "domain": "domain|domain name",
    "status": "status|state|domain status|registration status|query status",
    "dnssec": "dnssec|domain dnssec|registrar dnssec|signing key|domain signed",
    "name_servers": "dns|nserver|name server|name servers|nameserver|nameservers|name servers information|host name|hostname"
    "|domain nameservers|domain name servers|domain servers in listed order|primary server|secondary server",
    "created": "created|registered|created on|create date|created date|creation date|domain registration date"
    "|registration date|domain create date|domain created|domain name commencement date|registered date|registered on"
    "|registration time|first registration date|domain record activated|record created|record created on|domain registered",
    "updated": "modified|changed|updated|update date|updated date|updated on|last update|last updated|last updated on"
    "|last modified|last updated date|domain last updated date|domain record last updated|domain datelastmodified"
    "|modification date",
    "expires": "expire|expires|expires on|paid till|valid until|expire date|expired date|expiration date|expiration on"
    "|registrar registration expiration date|domain expiration date|expiry date|expiration time|renewal date|domain expire"
    "|domain expires|record expires on|record will expire on",
}
_MEANING = {label: meaning for meaning, labels in _LABELS.items() for label in labels.split("|")}
_WHO = {"registrar": "registrar", "registration": "registrar", "registrant": "registrant", "holder": "registrant"}
_NAMES = frozenset(
    (
        "name",
        "person",
        "personname",
        "contact",
        "contact name",
        "given name",
        "holder name",
        "holder english name",
        "service provider",
    )
)
_OTHERS = re.compile(
    "c|(contact |org )?id|iana id|register number|domain registrant|authorised registrar|id number|nic (hdl|handle)"
    "|(contact )?organi[sz]ation( name)?|org|company (english )?name|((contact |s |postal )?address1?)|street address"
    "|(contact )?street1?|(contact )?(city|state province|country|e ?mail|phone|phone ext|fax|fax ext|fax number|mail)"
    "|(contact )?(postal ?code|phone number|facsimile|facsimile number)|zip ?code|country (code|economy)|fax no|email address"
    "|abuse contact (phone|email)"
)
_NAMED = frozenset(("cn", "xn--fiqs8s", "xn--fiqz9s", "gg", "jp", "kr"))
"""Where `registrant` is a name; elsewhere it is the organization."""
_OWN = {"person": "registrant name", "org": "registrant organization", "e mail": "registrant email"}
_ALIASES = {
    **dict.fromkeys(("current registar", "authorized agency"), "registrar name"),
    **dict.fromkeys(("organization", "network service name"), "registrant organization"),
}
_HANDLES = {"holder c": "registrant", "owner c": "registrant"}
_OF_HANDLE = frozenset(("nic hdl", "nic hdl br"))
_SECTIONS = {
    "registrar": "registrar",
    "registrant": "registrant",
    "holder": "registrant",
    "domain registrant": "registrant",
    "owner contact": "registrant",
    "registrant contact information": "registrant",
    "organization using domain name": "registrant",
    "administrative contact agent": "admin",
    "administrative contact information": "admin",
    "technical contact information": "tech",
    "tech contact": "tech",
    "admin contact": "admin",
    "technical contact": "tech",
    "technical contacts": "tech",
    "technical": "tech",
    "tech": "tech",
    "onsite": "onsite",
    "administrative contact": "admin",
    "billing contact": "billing",
    "contact information": "contact",
    "nameservers": "",
    "name servers": "",
    "name servers information": "",
    "keys": "keys",
}
_DATES = frozenset(("created", "updated", "expires"))
_SIGNED = frozenset(("yes", "active", "signed", "signeddelegation", "signed delegation"))
_FREE = frozenset(("free", "available", "no object found", "220 available"))

_LAYOUTS = (
    *("2006-01-02 15:04:05", "2006.01.02 15:04:05", "02/01/2006 15:04:05", "02.01.2006 15:04:05", "2.1.2006 15:04:05"),
    *("02-Jan-2006 15:04:05", "20060102 15:04:05", "ansic", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05 MST"),
    *("unixdate", "rubydate", "rfc822", "rfc822z", "rfc850", "rfc1123", "rfc1123z", "rfc3339"),
    *(
        "2006-01-02",
        "02-Jan-2006",
        "02.01.2006",
        "2.1.2006",
        "02-01-2006",
        "January _2 2006",
        "Mon Jan _2 2006",
        "02/01/2006",
    ),
    *(
        "01/02/2006",
        "2006/01/02",
        "2006/01/02 15:04:05",
        "2006-Jan-02",
        "20060102",
        "before Jan-2006",
        "2006-01-02T15:04:05",
        "2 January 2006 15:04:05",
    ),
)
_ZONE = re.compile(r" \((?:UTC|GMT)([+-][0-9]{1,2})(?::?([0-9]{2}))?\)$")
_ORDINAL = re.compile(r"\b([0-9]{1,2})(?:st|nd|rd|th) (\w+ [0-9]{4}) at ")
_JAPAN = 9 * 3600
_MOST_DATE = 60

_REASONS = {
    "blocked": ("dpml brand protection", "subscribes to the uni eps", "subscribes to the adultblock"),
    "premium": ("premium domain is available for purchase", "platinum domain is available for purchase"),
    "not found": (
        *(
            "is free",
            "no found",
            "no match",
            "not found",
            "not match",
            "not available",
            "no data found",
            "nothing found",
        ),
        *("no entries found", "no matching record", "not registered", "not been registered", "object does not exist"),
        *("query returned 0 objects", "domain name not known", "no information available about domain", "is available"),
        *("status: available", "no object found"),
    ),
    "reserved": ("reserved domain name", "reserved by the registry", "can not be registered online"),
    "limit exceeded": (
        *("limit exceeded", "server too busy", "quota exceeded", "exceeded the maximum allowable"),
        *("exceeded your query limit", "restricted due to excessive queries", "due to query limit controls"),
        *("you have exceeded your allotted number of", "maximum daily connection limit reached"),
        *("maximum query rate reached", "number of allowed queries exceeded"),
    ),
}


class NoRecord(ValueError):
    """The answer is of no domain; `status` says why, and is empty where it does not."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Record:
    status: list[str] = field(default_factory=list)
    name_servers: list[str] = field(default_factory=list)
    signed: bool = False
    created: int = 0
    """Seconds since 1970, as the others; 0 where it is not said."""
    updated: int = 0
    expires: int = 0
    registrar: str | None = None
    """Its name; empty where all but that is said of it, None where nothing is."""
    registrant: str | None = None

    def fill_from(self, other: "Record") -> None:
        """What is not said here."""
        for name in self.__slots__:
            if not getattr(self, name):
                setattr(self, name, getattr(other, name) or getattr(self, name))


def read_record(text: str, domain: str) -> Record:
    """What the answer says of the domain, which is in small letters and ASCII. Raises NoRecord."""
    record = Record()
    about: bool | None = None
    """Whether what stands here is of the domain; None where no domain is named."""
    known = False
    dates = 0
    for key, value in _rows(text, domain.rpartition(".")[2]):
        meaning = _MEANING.get(key)
        if meaning == "domain":
            named = value.split()[0].strip('."').lower()
            about = named == domain or not named.isascii()
            known = known or about
        elif about is False:
            continue  # of a zone above it, or of one that is like it
        elif meaning == "status" and value.lower() in _FREE:
            raise NoRecord("not found")
        elif meaning in _DATES:
            dates += 1
            if dates <= _MOST_DATES and not getattr(record, meaning):
                setattr(record, meaning, read_date(value) or 0)
        elif meaning is not None:
            _put(record, meaning, value)
        else:
            _put_contact(record, key, value)
    if not known and (about is False or not (record.created or record.expires or record.name_servers)):
        raise NoRecord(_reason(text))
    record.status = list(dict.fromkeys(record.status))
    record.name_servers = list(dict.fromkeys(record.name_servers))
    return record


def _reason(text: str) -> str:
    text = _SPACES.sub(" ", text.lower())
    return next((status for status, words in _REASONS.items() if any(word in text for word in words)), "")


def _put(record: Record, meaning: str, value: str) -> None:
    if meaning == "dnssec":
        record.signed = record.signed or value.lower() in _SIGNED
        return
    words = [one.split() for one in value.split(",")[:_MOST_VALUES] if one.strip()]
    if meaning == "status":
        record.status = (record.status + [_status(one) for one in words])[:_MOST_VALUES]
    else:
        names = [one[0].strip(".").lower() for one in words]
        record.name_servers = (record.name_servers + [one for one in names if one and ":" not in one])[:_MOST_VALUES]


def _status(words: list[str]) -> str:
    return "not delegated" if [word.lower() for word in words[:2]] == ["not", "delegated"] else words[0]


def _put_contact(record: Record, key: str, value: str) -> None:
    who, _, what = key.partition(" ")
    kind = _WHO.get(who)
    if kind is None:
        return
    what = what or ("name" if who == "registrar" else "organization")
    if what in _NAMES:
        if not getattr(record, kind):
            setattr(record, kind, value)
    elif getattr(record, kind) is None and _OTHERS.fullmatch(what):
        setattr(record, kind, "")


# Lines ----------------------------------------------------------------------------------------------------------------


def _rows(text: str, zone: str) -> Iterator[tuple[str, str]]:
    """Keys in their plain form, with their values, which are not empty. `zone`: the top-level domain."""
    text = _WITHOUT_COLON.sub(r"\1:", text.replace("\r", ""))
    if zone in ("ch", "li"):
        text = _SWISS.sub(r"\1:", text)
    lines = [line.strip() for line in text.replace("\t", " ").split("\n", _MOST_LINES)[:_MOST_LINES]]
    roles = dict(_handles(lines, zone))
    section = open_key = ""
    empty = False
    """Nothing has come in the section."""
    for number, line in enumerate(lines):
        if not line:
            if not empty:
                section = open_key = ""
            continue
        if line.startswith(_COMMENTS):
            continue
        if not section and (number == 0 or not lines[number - 1] or lines[number - 1].startswith(_COMMENTS)):
            section = _of_block(lines, number, roles)
        if bracketed := _BRACKETS.fullmatch(line):
            line = f"{bracketed[1]}: {bracketed[2]}"
        name, colon, value = _split(line) if not _ADDRESS_BELOW.fullmatch(line) else (line, "", "")
        key, value = _plain(name), value.strip(" :")
        if not colon or (not value and key in _SECTIONS):
            if not colon and (open_key or key not in _SECTIONS):
                empty = False
                if open_key:
                    yield _full_key(open_key, section, zone), line
                if open_key in _WHO:
                    open_key = ""  # below its name is its address
            else:
                section, empty = _SECTIONS[key], True
                open_key = key if key in _MEANING or key in _WHO else ""
            continue
        empty = False
        open_key = key if not value or _MEANING.get(key) == "name_servers" else ""
        if zone == "sk" and key in _SECTIONS:
            section = _SECTIONS[key]
        elif key == "dsl id" and value:
            yield "dnssec", "signed"
        elif value:
            yield _full_key(key, section, zone), value


def _split(line: str) -> tuple[str, str, str]:
    """At the first colon that is none of an address."""
    match = _COLON.search(line)
    return (line[: match.start()], ":", line[match.end() :]) if match else (line, "", "")


def _full_key(key: str, section: str, zone: str) -> str:
    if section and not key.startswith(section):
        return key if key.startswith("domain ") or _MEANING.get(key) == "expires" else f"{section} {key}"
    if key == "registrant" and zone in _NAMED:
        return "registrant name"
    if zone in ("ru", "su", "xn--p1ai", "by"):
        return _OWN.get(key, key)
    if _NUMBERED.fullmatch(key):
        return "name server"
    return "" if key == "dns" and zone == "dk" else _ALIASES.get(key, key)


def _handles(lines: list[str], zone: str) -> Iterator[tuple[str, str]]:
    """Whom each handle is of."""
    for line in lines:
        name, colon, value = line.partition(":")
        key = _plain(name) if colon else ""
        if role := "registrant" if key == "registrant" and zone == "at" else _HANDLES.get(key):
            yield value.strip(), role


def _of_block(lines: list[str], number: int, roles: dict[str, str]) -> str:
    """The section of the lines up to the next empty one, where they are of a contact."""
    for line in lines[number : number + _LONGEST_BLOCK]:
        if not line:
            break
        name, _, value = line.partition(":")
        if _plain(name) in _OF_HANDLE:
            return roles.get(value.strip(), "contact")
    return "contact" if _plain(lines[number].partition(":")[0]) in ("person", "personname") else ""


def _plain(key: str) -> str:
    key = _SEPARATORS.sub(" ", key[:100].partition("(")[0]).strip()
    key = key.removeprefix("Registry ").removeprefix("Sponsoring ")
    return _SPACES.sub(" ", key).strip().lower()


# Dates ----------------------------------------------------------------------------------------------------------------


def read_date(text: str) -> int | None:
    """Seconds since 1970; None where it is in no form that is known. Without a zone it is UTC."""
    text = _SPACES.sub(" ", text.strip()).strip(".").replace(". ", "-")[:_MOST_DATE]
    if "#" in text:
        text = text.partition("#")[0].strip()
    shift = 0
    text = _ORDINAL.sub(r"\1 \2 ", text)
    if text.endswith(" (JST)"):
        text, shift = text.removesuffix(" (JST)"), -_JAPAN
    elif zone := _ZONE.search(text):
        text = text[: zone.start()]
        shift = -int(zone[1]) * 3600 - int(zone[1][0] + (zone[2] or "0")) * 60
    for layout in _LAYOUTS:
        try:
            return parse_time(layout, text) // 1_000_000_000 + shift
        except ValueError:
            continue
    return None
