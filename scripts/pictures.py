"""The pictures of docs/architecture.md, made of what they show: the layers of pyproject.toml, the files that a metric passes.

python scripts/pictures.py        writes docs/images/layers.svg and docs/images/metric.svg anew
"""

import tomllib
from collections.abc import Iterable
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ROOMS = {
    "cli": "one file for each command",
    "runtime": "the process: start, reload, stop, systemd, control socket",
    "pipeline": "inputs, stages, outputs: the way of a metric",
    "buffer": "what is encoded and not delivered, in memory and on disk",
    "config": "from TOML of files and URLs to a plan",
    "cel": "expressions of metricpass",
    "lineprotocol": "metrics to text and back",
    "kit": "what plugins share",
    "api": "the contract of a plugin",
}
ASIDE = {
    "client": "Writer, for programs",
    "dashboards": "dashboards for Grafana",
    "influxdb": "InfluxDB's management API",
    "importer": "CSV to points",
    "sandbox": "the embedded server",
    "testing": "for tests",
}
# In the order in which a metric gets there first; tests/integration/test_architecture.py follows one.
WAY = (
    ("input", "a plugin's gather(), or what a listener received", "plugins/pyagent_plugins/inputs"),
    (
        "accumulator",
        "converts values, pins types, takes from any thread",
        "agent/pyagent/pipeline/inputs/accumulator.py",
    ),
    ("running input", "when to gather; filters, names, tags, times", "agent/pyagent/pipeline/inputs/running_input.py"),
    ("fanout", "through the stages, then to each output", "agent/pyagent/pipeline/fanout.py"),
    ("stages", "processors, aggregators, processors again", "agent/pyagent/pipeline/stages/chain.py"),
    (
        "encoder",
        "an output's filters and its text; once for equal outputs",
        "agent/pyagent/pipeline/outputs/encoder.py",
    ),
    ("queue", "waits, in memory; bounded", "agent/pyagent/buffer/queue.py"),
    ("sender", "batches, retries, back-off, bisection", "agent/pyagent/pipeline/outputs/sender.py"),
    ("output", "a plugin's write() of one batch", "plugins/pyagent_plugins/outputs"),
)
BESIDE = {
    "queue": ("segment log", "the same on disk", "agent/pyagent/buffer/log"),
    "sender": ("quarantine", "what was refused for good", "agent/pyagent/buffer/quarantine"),
}

_STYLE = (
    "text{font:14px sans-serif;fill:#1f2933}.name{font-weight:600}.file{font:11px monospace;fill:#52606d}"
    "rect{fill:#eef2ff;stroke:#3f51b5;rx:6}.plugin{fill:#fff7e0;stroke:#b7791f}.aside{fill:#f4f5f7;stroke:#7b8794}"
    ".paper{fill:#fff;stroke:none}path{stroke:#3f51b5;fill:none;marker-end:url(#end)}"
)


def layers(pyproject: Path = ROOT / "pyproject.toml") -> list[list[str]]:
    """The rooms of each layer of the engine, the highest first, as import-linter checks them."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [one for one in contracts if one["type"] == "layers" and one["containers"] == ["pyagent"]]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def svg(title: str, width: int, height: int, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        '<defs><marker id="end" markerWidth="9" markerHeight="9" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill:#3f51b5;stroke:none;marker-end:none"/></marker></defs>'
        f'<rect class="paper" width="{width}" height="{height}"/>'
    )
    return head + "\n" + "\n".join(parts) + "\n</svg>\n"


def box(x: int, y: int, width: int, name: str, text: str, *, file: str = "", kind: str = "") -> str:
    """42 high, or 58 with the name of a file."""
    shown = f'<text class="file" x="{x + 12}" y="{y + 50}">{escape(file)}</text>' if file else ""
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{58 if file else 42}"/>'
        f'<text x="{x + 12}" y="{y + 18}"><tspan class="name">{escape(name)}</tspan></text>'
        f'<text x="{x + 12}" y="{y + 35}">{escape(text)}</text>{shown}'
    )


def picture_of_layers() -> str:
    parts, y, left, width = [], 34, 20, 440
    rows = layers()
    for row in rows:
        each = (width - 10 * (len(row) - 1)) // len(row)
        parts += [box(left + at * (each + 10), y, each, room, ROOMS[room]) for at, room in enumerate(row)]
        y += 52
    parts.append(f'<text class="file" x="{left}" y="22">A layer imports those below it, never one above.</text>')
    right = left + width + 60
    parts.append(f'<text class="file" x="{right}" y="22">No part of a running agent.</text>')
    for at, (room, text) in enumerate(ASIDE.items()):
        parts.append(box(right, 34 + 52 * at, 220, room, text, kind="aside"))
    low = 34 + 52 * (len(rows) - 2)
    parts.append(box(right, low, 220, "pyagent_plugins", "inputs, outputs and the rest", kind="plugin"))
    parts += [
        f'<path d="M{right},{low + 12} H{left + width + 8}"/>',
        f'<path d="M{right},{low + 30} L{left + width + 8},{low + 70}"/>',
    ]
    return svg("The layers of the engine", right + 240, y + 4, parts)


def picture_of_the_way() -> str:
    parts, y, left, width = [], 16, 20, 430
    for at, (name, text, file) in enumerate(WAY):
        kind = "plugin" if file.startswith("plugins/") else ""
        parts.append(box(left, y, width, name, text, file=file, kind=kind))
        if name in BESIDE:
            other, what, where = BESIDE[name]
            parts.append(box(left + width + 70, y, 310, other, what, file=where, kind="aside"))
            parts.append(f'<path d="M{left + width},{y + 29} h62"/>')
        if at + 1 < len(WAY):
            parts.append(f'<path d="M{left + width // 2},{y + 58} v20"/>')
        y += 80
    return svg("The way of a metric from an input to a receiver", left + width + 400, y - 6, parts)


PICTURES = {"layers.svg": picture_of_layers, "metric.svg": picture_of_the_way}


def main() -> None:
    for name, picture in PICTURES.items():
        (ROOT / "docs/images" / name).write_text(picture())


if __name__ == "__main__":
    main()
