"""The folder that `pyagent dashboards` writes: what Grafana reads as files, what its import page takes, and what is shared.

provisioning/datasources/pyagent.yaml    each goes to /etc/grafana/provisioning/... as it is
provisioning/dashboards/pyagent.yaml
provisioning/dashboards/pyagent/*.json
provisioning/alerting/pyagent.yaml
import/*.json                            for Dashboards, New, Import
shared/*.json                            the same without variables, for public dashboards
.pyagent-dashboards.json                 what was written, by which a file that people edited is known
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyagent.dashboards.alerts import FOLDER, FOLDER_TITLE, GROUP, alert_rules
from pyagent.dashboards.boards import DATA_SOURCE, FORMS, Form, boards
from pyagent.dashboards.subjects import Destination, Subject

__all__ = ["MANIFEST", "Changes", "files_of", "write_files"]

_FOLDERS: dict[Form, str] = {
    "provisioning": "provisioning/dashboards/pyagent",
    "import": "import",
    "shared": "shared",
}
_SOURCE, _ALERTS = "provisioning/datasources/pyagent.yaml", "provisioning/alerting/pyagent.yaml"
MANIFEST = ".pyagent-dashboards.json"
"""The SHA-256 of each file as it was written last. Not in the files: Grafana would show it, or drop it."""
_PROVISIONING = "/etc/grafana/provisioning"
"""Where Grafana looks for such files, in its packages and in its image."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_. /-]*[A-Za-z0-9_/]|[A-Za-z_]")
_NO_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def files_of(
    subjects: Sequence[Subject], destination: Destination, *, datasource: str = DATA_SOURCE, host: str = ""
) -> dict[str, str]:
    """Texts by their paths in the folder, of one subject at the least. A data source of one's own is not provisioned."""
    found = {}
    for form in FORMS:
        for board in boards(subjects, destination, form, datasource=datasource, host=host):
            found[f"{_FOLDERS[form]}/{board.name}.json"] = board.text()
    found["provisioning/dashboards/pyagent.yaml"] = _PROVIDER
    if datasource == DATA_SOURCE:
        interval = min(subject.interval for subject in subjects)
        found[_SOURCE] = _source(destination, str(interval))
    if rules := alert_rules(subjects, destination, datasource=datasource):
        found[_ALERTS] = _rules(rules)
    return found


@dataclass(slots=True)
class Changes:
    """Paths in the folder: `kept` are the names that files have now which somebody edited, or which nobody wrote here."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def write_files(directory: Path, files: Mapping[str, str]) -> Changes:
    """Write what differs, and remove earlier dashboards that fit no more. What is not as it was written here is renamed to
    NAME.old, which Grafana does not read. Raises OSError."""
    changes = Changes()
    before = _digests(directory / MANIFEST)
    now = {name: _digest(text.encode()) for name, text in files.items()}
    for name, text in files.items():
        path = directory / name
        there = _digest_of(path)
        if there == now[name]:
            continue
        if there is not None and there != before.get(name):
            changes.kept.append(_keep(directory, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, text)
        changes.written.append(name)
    found = [
        f"{folder}/{path.name}" for folder in _FOLDERS.values() for path in sorted((directory / folder).glob("*.json"))
    ]
    for name in (*(name for name in found if _is_ours(directory / name)), _SOURCE, _ALERTS):
        path = directory / name
        if name in files or (there := _digest_of(path)) is None:
            continue
        if there == before.get(name):
            path.unlink()
        else:
            changes.kept.append(_keep(directory, name))
        changes.removed.append(name)
    if now != before:
        _write_whole(directory / MANIFEST, json.dumps(now, indent=2, sort_keys=True) + "\n")
    return changes


def _write_whole(path: Path, text: str) -> None:
    """All of it or nothing: a running Grafana reads these files at any time, and half of one would count as somebody's edit.
    Raises OSError that names the file."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def _keep(directory: Path, name: str) -> str:
    """Rename to the first free name. An earlier edit is not overwritten by a later one."""
    kept, number = f"{name}.old", 1
    while (directory / kept).exists():
        number += 1
        kept = f"{name}.old{number}"
    (directory / name).rename(directory / kept)
    return kept


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str | None:
    try:
        return _digest(path.read_bytes())
    except FileNotFoundError:
        return None


def _digests(manifest: Path) -> Mapping[str, object]:
    """Empty where it is missing or none: then every file that differs counts as edited."""
    try:
        document = json.loads(_text_of(manifest) or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _is_ours(path: Path) -> bool:
    try:
        document = json.loads(_text_of(path) or "")
    except ValueError:
        return False
    return isinstance(document, dict) and str(document.get("uid", "")).startswith("pyagent-")


_PROVIDER = f"""\
# Grafana reads the dashboards beside this file, in the folder pyagent.
apiVersion: 1
providers:
  - name: pyagent
    orgId: 1
    folder: {FOLDER_TITLE}
    folderUid: {FOLDER}
    type: file
    disableDeletion: false
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      # As Grafana sees it.
      path: {_PROVISIONING}/dashboards/pyagent
      foldersFromFilesStructure: false
"""


def _source(destination: Destination, interval: str) -> str:
    """Grafana replaces $NAME by its environment; the token is never in the file."""
    url = _literal(destination.url) if destination.url else "$GRAFANA_INFLUX_URL"
    organization = _literal(destination.organization) if destination.organization else "$GRAFANA_INFLUX_ORG"
    bucket = _literal(destination.bucket) if destination.bucket else "$GRAFANA_INFLUX_BUCKET"
    return f"""\
# InfluxDB for the dashboards of pyagent. Grafana takes $NAME from its environment (for a package: /etc/default/grafana-server).
# The token needs to read the bucket, and nothing else: whoever sees a dashboard may send any query with it.
apiVersion: 1
datasources:
  - name: InfluxDB of pyagent
    uid: {DATA_SOURCE}
    type: influxdb
    access: proxy
    orgId: 1
    editable: false
    # As Grafana reaches it, without a path.
    url: {url}
    jsonData:
      version: Flux
      organization: {organization}
      defaultBucket: {bucket}
      httpMode: POST
      # No window is shorter than the agent's interval.
      timeInterval: {interval}
      tlsSkipVerify: false
    secureJsonData:
      token: $GRAFANA_INFLUX_TOKEN
"""


def _rules(rules: Sequence[Mapping[str, Any]]) -> str:
    kept = ("uid", "title", "condition", "data", "noDataState", "execErrState", "for", "annotations", "labels")
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER_TITLE,
        "interval": "1m",
        "rules": [_unexpanded({key: rule[key] for key in kept}) for rule in rules],
    }
    head = "# Who is called is said by Grafana's notification policies: the rules have the label source=pyagent.\n"
    return head + "\n".join(_yaml({"apiVersion": 1, "groups": [group]})) + "\n"


def _literal(text: str) -> str:
    return _scalar(_unexpanded(text))


def _unexpanded(value: Any) -> Any:
    """As a provisioning file has it, where `$` begins a variable of the environment."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _unexpanded(item) for key, item in value.items()}
    return [_unexpanded(item) for item in value] if isinstance(value, list) else value


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Mappings and lists in block style, a text of several lines as it is."""
    pairs = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in pairs:
        head = f"{indent}{_scalar(key)}:" if key is not None else f"{indent}-"
        if isinstance(item, str) and "\n" in item:
            yield f"{head} |-"
            yield from (f"{indent}  {line}".rstrip() for line in item.split("\n"))
        elif not isinstance(item, Mapping | list) or not item:
            yield f"{head} {_scalar(item)}"
        elif key is None:
            first, *others = _yaml(item, f"{indent}  ")
            yield f"{head} {first.lstrip()}"
            yield from others
        else:
            yield head
            yield from _yaml(item, f"{indent}  ")


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)
