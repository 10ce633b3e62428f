"""The environment files of an instance: what an operator pastes, in the form that systemd reads.

systemd takes plain NAME=VALUE lines and no others: what it does not understand it drops, after writing it into the journal,
token and all. But `export NAME=VALUE`, with `telegraf --config URL` below it or behind it, is what InfluxDB's page gives to
paste. Both work here. What is not understood is left out, and told by file and number alone.

The unit runs this module as root before the agent, which cannot read the files. The standard library is all that it needs.
"""

import os
import re
import shlex
import sys
from typing import NamedTuple

from pyagent.reading import read_file

__all__ = ["MOST_BYTES", "EnvironmentFile", "Setting", "environment_files", "main", "setting"]

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_WORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_CONFIG = re.compile(r"--?config(?:=(.+))?")
# Nobody names a variable so, and sets it to nothing or to "=": a token that stands alone, in base64.
_BARE_TOKEN = re.compile(r"\w+==|(?=.*[a-z])\w{16,}=", re.ASCII)
_PLAIN = re.compile(r"[\w@%+=:,./?&~-]+", re.ASCII)
MOST_BYTES = 1 << 20
_BLANKS = " \t"
_SEPARATORS = (";", "&&", "||", "|", "&")
_PREFIXES = ("sudo", "env", "exec", "nohup")


class Setting(NamedTuple):
    name: str
    value: str
    text: str
    """The same as systemd reads it, NAME=VALUE, as it was written where that will do."""


class EnvironmentFile(NamedTuple):
    path: str
    settings: list[Setting]
    """In the order of the file; of two with one name the later one counts."""
    left_out: list[int]
    """The numbers of the lines that are not understood."""
    problem: str = ""
    """Why it could not be read; it need not be there."""

    @classmethod
    def read(cls, path: str) -> "EnvironmentFile":
        try:
            data = read_file(path, MOST_BYTES)
        except FileNotFoundError:
            return cls(path, [], [], "not there")
        except OSError as error:
            return cls(path, [], [], error.strerror or str(error))
        return cls(path, *_parsed(_decoded(data)))

    def __str__(self) -> str:
        """The path, and what is wrong with the file: never anything of its text."""
        problem = self.problem
        if self.left_out:
            numbers = ", ".join(map(str, self.left_out))
            problem = f"line{'s' if len(self.left_out) > 1 else ''} {numbers} not understood"
        return f"{self.path} ({problem})" if problem else self.path


def environment_files(instance: str, root: str = "") -> list[EnvironmentFile]:
    """Those of an instance, whether they are there or not. A later one wins."""
    paths = (f"{root}/etc/telegraf/telegraf-{instance}.env", f"{root}/etc/pyagent/{instance}.env")
    return [EnvironmentFile.read(path) for path in paths]


def _decoded(data: bytes) -> str:
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    text = data.decode(marks.get(data[:2], "utf-8"), "surrogateescape" if data[:2] not in marks else "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")


def _parsed(text: str) -> tuple[list[Setting], list[int]]:
    settings: list[Setting] = []
    left_out: list[int] = []
    position, number = 0, 1
    while position < len(text):
        end = _line_end(text, position)
        line = text[position:end]
        if line.strip(_BLANKS + "\n") and line.lstrip(_BLANKS)[0] not in "#;":
            plain, plain_end = _assignment(text, position)
            found = _commands(line)
            if found is None or (plain and [(plain.name, plain.value)] == [(one.name, one.value) for one in found]):
                found = [plain] if plain else None
                end = plain_end if plain else _end(text, position)
            if found and all(map(_is_sound, found)):
                settings += found
            else:
                left_out.append(number)
        else:
            end = _end(text, position)
        number += text.count("\n", position, end) + 1
        position = end + 1
    return settings, left_out


def _end(text: str, position: int) -> int:
    """Where the line ends."""
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _line_end(text: str, position: int) -> int:
    """The same of a line that goes on behind a backslash at its end."""
    while (end := text.find("\n", position)) >= 0:
        backslashes = len(text[position:end]) - len(text[position:end].rstrip("\\"))
        if backslashes % 2 == 0:
            return end
        position = end + 1
    return len(text)


def _assignment(text: str, position: int) -> tuple[Setting | None, int]:
    """The NAME=VALUE that begins there, by systemd's rules, and where it ends."""
    match = _ASSIGNMENT.match(text, position)
    if match is None:
        return None, position
    value, end = _value(text, match.end())
    if value is None or _BARE_TOKEN.fullmatch(text[position:end].strip(_BLANKS)):
        return None, position
    written = text[match.start(1) : end]
    kept = _value(f"{written}\n", match.end() - match.start(1)) == (value, len(written))
    return Setting(match[1], value, written if kept else _written(match[1], value)), end


def _value(text: str, position: int) -> tuple[str | None, int]:
    """The value that begins there, and where its line ends, as systemd's parse_env_file; None: a quote is not closed."""
    value, kept, state = "", 0, "before"
    while position < len(text):
        character = text[position]
        if state in ("before", "plain"):
            if character == "\n":
                break
            if character == "\\":
                position += 1
                if position < len(text) and text[position] != "\n":
                    value += text[position]
                kept, state = len(value), "plain"
            elif state == "before" and character in "'\"":
                state = character
            elif state == "plain" or character not in _BLANKS:
                value, state = value + character, "plain"
                kept = kept if character in _BLANKS else len(value)
        elif character == state:
            kept, state = len(value), "before"
        elif state == '"' and character == "\\":
            position += 1
            following = text[position : position + 1]
            value += following if following in '"\\`$' else "" if following == "\n" else f"\\{following}"
        else:
            value += character
        position += 1
    return (value[:kept] if state in ("before", "plain") else None), position


def _commands(line: str) -> list[Setting] | None:
    """What a line of a shell sets, and the configuration that it starts an agent with; None where it is no such line."""
    words = _words(line)
    found: list[Setting] = []
    understood = prefixed = False
    while words:
        word = words.pop(0)
        if word in _SEPARATORS:
            prefixed = False
        elif word in ("export", *_PREFIXES):
            prefixed = True
            understood = understood or word == "export"
        elif prefixed and word in ("-u", "-g"):  # sudo's, with a name behind
            del words[:1]
        elif match := _WORD.fullmatch(word):
            found.append(setting(match[1], match[2]))
        elif os.path.basename(word) in ("telegraf", "pyagent"):
            end = next((index for index, other in enumerate(words) if other in _SEPARATORS), len(words))
            sources = _sources(words[:end])
            if not sources:
                return None
            found.append(setting("TELEGRAF_CONFIG", sources))
            del words[:end]
            understood = True
        elif not (prefixed and word.startswith("-")):
            return None
    return found if understood else None


def _words(line: str) -> list[str]:
    """As a shell splits them, up to a comment; none of a line with a quote that is not closed."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";|")
    reader.whitespace_split, reader.commenters = True, ""
    try:
        words = list(reader)
    except ValueError:
        return []
    return words[: next((index for index, word in enumerate(words) if word.startswith("#")), len(words))]


def _sources(words: list[str]) -> str:
    """The values of --config, as TELEGRAF_CONFIG has them."""
    found = []
    for index, word in enumerate(words):
        if match := _CONFIG.fullmatch(word):
            found.append(match[1] or (words[index + 1] if index + 1 < len(words) else ""))
    return ",".join(filter(None, found))


def setting(name: str, value: str) -> Setting:
    """A setting of this value, as systemd is to read it."""
    return Setting(name, value, _written(name, value))


def _written(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value) and not _BARE_TOKEN.fullmatch(f"{name}={value}"):
        return f"{name}={value}"
    return f'{name}="' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _is_sound(setting: Setting) -> bool:
    """Whether systemd takes it: it writes what it does not take into the journal."""
    try:
        setting.value.encode()
    except UnicodeEncodeError:  # it was not UTF-8
        return False
    return not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", setting.value)


def main(instance: str) -> int:
    """Write /run/pyagent/INSTANCE.env, for root alone, and beside it what became of the files; returns the exit status."""
    root = os.environ.get("PYAGENT_ROOT", "")  # tests set it
    files = environment_files(instance, root)
    for file in files:
        for number in file.left_out:
            _tell(f"{file.path}:{number}: not understood and left out; write NAME=VALUE")
        if file.problem and file.problem != "not there":
            _tell(f"cannot read {file.path}: {file.problem}")
    state = _written("PYAGENT_ENVIRONMENT_FILES", " and ".join(map(str, files)))
    texts = {
        f"{root}/run/pyagent/{instance}.env": [one.text for file in files for one in file.settings],
        f"{root}/run/pyagent/{instance}.env-files": [state],
    }
    try:
        os.makedirs(f"{root}/run/pyagent", exist_ok=True)
        for path, lines in texts.items():
            with open(f"{path}.new", "w", opener=_for_root_alone) as written:
                written.writelines(f"{line}\n" for line in lines)
            os.replace(f"{path}.new", path)
    except OSError as error:
        _tell(f"cannot write {error.filename}: {error.strerror}")
        return 1
    return 0


def _for_root_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
