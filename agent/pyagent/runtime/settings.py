"""What the command line and the environment ask of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["DrainOrder", "RunSettings", "WhenFull"]

PLUGIN_DIRECTORY = "/etc/pyagent/plugins.d"
WhenFull = Literal["drop_oldest", "drop_newest"]
DrainOrder = Literal["oldest", "newest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Immutable; one object carries everything that is not in the configuration itself."""

    configs: tuple[str, ...] = ()
    """Files and URLs in the order given; empty: the default search."""
    config_directories: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    plugin_directories: tuple[Path, ...] = (Path(PLUGIN_DIRECTORY),)
    url_attempts: int | None = None
    """Requests for a URL before giving up: None asks 3 times (or, as a service, for ever), -1 for ever."""
    watch_interval: float = 60.0
    """Seconds between two looks at a configuration's URL; 0: never."""
    state_directory: Path | None = None
    """Where the last good configuration and what is not written yet are kept; None: nowhere."""
    buffer_max_size: int = 1 << 30
    """Most bytes of one output's queue; 0: no bound."""
    buffer_max_partitions: int = 1000
    """Most queues of an output that a tag divides."""
    when_full: WhenFull = "drop_oldest"
    """Which polled metrics go where there is no room."""
    drain_order: DrainOrder = "oldest"
    """What is written first after an outage."""
    acknowledge: Literal["all", "any"] | None = None
    """Whether all outputs have to keep what a listener acknowledges, or any one; None: all with the queue on disk, else any."""
    max_file_size: int = 128 << 20
    """Most bytes of a file that an input reads."""
    max_connections: int = 1024
    """Most clients of one listener at a time."""
    runtime_directory: Path | None = None
    """Where the control socket is; None: there is none."""
    health: tuple[str, int] | None = None
    """Where /health, /ready and /metrics are served over TCP; None: nowhere."""
    gather_timeout: float = 0.0
    """Seconds after which a gather is given up; 0: never."""
    instance: str = "default"
    watch_files: str = ""
    """How files and directories are watched for changes: `notify` or `poll`; empty: not at all."""
    watch_files_interval: float = 0.25
    """Seconds between two looks at them, for `poll`."""
    watch_debounce: float = 0.0
    """Seconds without a further change before a change counts."""
    strict_env: bool = True
    old_env: bool = False
    """`$$` is no escape in environment references."""
    print_plugin_sources: bool = False
    """Print which plugin comes from which source at the start."""
    debug: bool = False
    quiet: bool = False
    pidfile: str = ""
    test: bool = False
    once: bool = False
    strict_exit: bool = False
    """A failed input makes --test and --once fail."""
    test_wait: float = 0.0
    """Seconds to wait for further metrics after the one gather of --test and --once."""
    select: tuple[str, ...] = ()
    input_filter: tuple[str, ...] = ()
    output_filter: tuple[str, ...] = ()
