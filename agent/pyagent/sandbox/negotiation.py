"""Which of the offered content types a request's Accept header prefers."""

from collections.abc import Sequence


def negotiate(accept: str | None, offers: Sequence[str], default: str) -> str:
    """Highest q wins; at equal q an exact type beats `type/*` beats `*/*`; at full equality the earlier offer wins.

    q=0 is ignored, not a refusal.
    """
    best, best_quality, best_wild = default, -1.0, 3
    specs = [_spec(part) for part in (accept or "").split(",") if part.strip()]
    for offer in offers:
        for value, quality in specs:
            if quality == 0.0 or quality < best_quality:
                continue
            wild = 2 if value == "*/*" else 1 if value.endswith("/*") else 0
            matches = wild == 2 or (offer.startswith(value[:-1]) if wild else value == offer)
            if matches and (quality > best_quality or wild < best_wild):
                best, best_quality, best_wild = offer, quality, wild
    return best


def _spec(part: str) -> tuple[str, float]:
    value, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(number)
            except ValueError:
                quality = 0.0
    return value.lower(), quality
