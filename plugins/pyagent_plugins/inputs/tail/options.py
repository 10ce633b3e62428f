"""What a tail input is told."""

from typing import Annotated, Literal

from pyagent.api import ParserOptions, option
from pyagent_plugins.inputs.tail.multiline import MultilineOptions

__all__ = ["ENCODINGS", "TailOptions"]

ENCODINGS = {"": "", "none": "", "utf-8": "utf-8", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
"""By `character_encoding`: Python's name; empty for bytes as they are."""


class TailOptions(ParserOptions, frozen=True):
    files: Annotated[list[str], option("files to follow; wildcards, ** goes into folders", reads_path=True)] = []
    initial_read_offset: Annotated[
        Literal["beginning", "end", "saved-or-beginning", "saved-or-end", ""],
        option("where to begin: saved is where it was read to before; empty: saved-or-end"),
    ] = ""
    from_beginning: Annotated[
        bool, option("begin at the beginning, where initial_read_offset is not given", deprecated="initial_read_offset")
    ] = False
    pipe: Annotated[bool, option("the files are named pipes")] = False
    watch_method: Annotated[
        str, option("inotify: the kernel tells of changes; poll: look every 250 ms, as for network file systems")
    ] = "inotify"
    max_undelivered_lines: Annotated[
        int, option("lines that may be under way to the outputs' queues at once", ge=1, le=1_000_000)
    ] = 1000
    character_encoding: Annotated[str, option("utf-8, utf-16le or utf-16be; empty: bytes as they are")] = ""
    path_tag: Annotated[str, option("tag for the file's path; empty: none")] = "path"
    filters: Annotated[list[str], option("ansi_color removes the escape sequences of terminals")] = []
    multiline: Annotated[MultilineOptions, option("events of several lines")] = MultilineOptions()
