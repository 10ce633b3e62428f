"""What is logged once for each reason."""

__all__ = ["Once"]

_MOST = 100


class Once:
    """Says of each text whether it is new, and not one of too many (`most`).

    if self._once(text):
        self.log.warning("%s", text)
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, text: str) -> bool:
        if text in self._known or len(self._known) >= self._most:
            return False
        self._known.add(text)
        return True
