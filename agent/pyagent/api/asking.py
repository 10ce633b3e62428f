"""How this very agent is asked from a shell, for hints that can be typed as they are printed."""

__all__ = ["how_to_ask", "is_asked_with"]

_flag: str | None = None


def is_asked_with(flag: str | None) -> None:
    """Called by the engine when it runs: the flag that names this agent (`--instance ram`), empty where none is needed; None:
    it has no control socket, and cannot be asked."""
    global _flag
    _flag = flag


def how_to_ask(command: str) -> str:
    """`pyagent status --instance ram` for `status`, in backquotes; empty where this agent cannot be asked."""
    return "" if _flag is None else f"`{f'pyagent {command} {_flag}'.rstrip()}`"
