"""What a failure holds: its traceback has the frames that it came through, and with them all that they had read."""

from typing import TypeVar

__all__ = ["forget_frames"]

E = TypeVar("E", bound=BaseException)


def forget_frames(error: E) -> E:
    """The error, without its traceback and those of its causes; none of its own methods runs.

    A frame often leads back to the error, by a list of failures or a future. The two would be held, with megabytes of an answer
    that was too large, until the garbage collector looks at what is old, which may take minutes."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        BaseException.with_traceback(one, None)
        for name in ("__cause__", "__context__"):
            cause = BaseException.__dict__[name].__get__(one)
            if cause is not None:
                waiting.append(cause)
        if issubclass(type(one), BaseExceptionGroup):
            waiting += BaseExceptionGroup.exceptions.__get__(one)
    return error
