"""What a plugin says of itself as a whole, for its page and for lists."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["About", "Stability"]

Stability = Literal["stable", "beta", "experimental"]


@dataclass(frozen=True, slots=True)
class About:
    """How far a plugin has come, and where it runs: `about = About(platforms=("linux",))` in its class.

    `stability`: of one that is `beta` options and metrics may still change; one that is `experimental` may go as it came.
    `platforms`: values of `sys.platform`; none stands for all, and on another one a configuration that names the plugin is
    warned about. `since`: the version of the agent, or of the plugin's package, that it came with.
    """

    stability: Stability = "stable"
    platforms: tuple[str, ...] = ()
    since: str = ""
