"""Each registered parser with data that it can read: of the cases in tests/plugins/parsers, so that a new one joins by its case."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyagent.config.catalog import Catalog

__all__ = ["PARSERS", "FormatCase", "format_cases"]

FOLDER = Path(__file__).resolve().parent.parent / "plugins" / "parsers"
PARSERS = sorted(entry.name for entry in Catalog().entries("parsers"))


@dataclass(frozen=True)
class FormatCase:
    name: str
    """Of the parser."""
    folder: Path
    """Where relative paths in the options begin."""
    options: dict[str, Any]
    """With `data_format`, without those of the input."""
    data: bytes

    def __str__(self) -> str:
        return f"{self.name}-{self.folder.name}"


_OF_ALL = ("alias", "name_override", "name_prefix", "name_suffix", "tags", "interval", "precision", "file_tag")
"""Options of the input."""


def format_cases(most: int = 2) -> list[FormatCase]:
    """The first `most` of each parser that have one file, and metrics to give; where others are there, none with an error."""
    found = []
    for name in PARSERS:
        whole: list[FormatCase] = []
        partly: list[FormatCase] = []
        for path in sorted(FOLDER.glob(f"{name}/*/telegraf.conf")):
            expected = path.parent / "expected.out"
            if not (expected.is_file() and expected.stat().st_size):
                continue
            has_errors = (path.parent / "expected.err").is_file()
            tables = tomllib.loads(path.read_text()).get("inputs", {}).get("file", [])
            for table in tables[:1] if has_errors else tables:
                options = {"data_format": "influx"} | {key: value for key, value in table.items() if key not in _OF_ALL}
                files = options.pop("files", [])
                if options["data_format"] == name and len(files) == 1 and (path.parent / files[0]).is_file():
                    case = FormatCase(name, path.parent, options, (path.parent / files[0]).read_bytes())
                    (partly if has_errors else whole).append(case)
        found += (whole or partly)[:most]
    return found
