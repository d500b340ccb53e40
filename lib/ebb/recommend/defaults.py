"""Weights to rank by where there is too little data to choose by. Pure Python."""

from __future__ import annotations

from ebb.recommend.features import SHOWN, Columns

# By family, what the longest half-life that isn't flat weighs: tried by hand, on no set in
# particular.
_BLEND = {
    "history": 1.0, "neighbours": 0.5, "ease": 0.3, "als": 0.3, "sequence": 0.5, "affinity": 0.2,
    "content": 0.2, "popularity": 0.5,
}  # fmt: skip
# An item shown once and passed over is half as likely to be taken as one that wasn't.
_PASSED_OVER = -1.0


def default_weights(strategy: str, columns: Columns) -> dict[str, float]:
    """Weights of a strategy that nothing was learned for.

    Of a family with several half-lives the longest that isn't flat speaks; popularity's is the one
    nearest the scale from below.
    """
    wanted = _BLEND if strategy == "blend" else {strategy: 1.0}
    scale = columns.half_lives.scale
    fresh = [h for h in columns.half_lives.popularity if h is not None and h <= scale]
    place = max(0, len(fresh) - 1)
    weights = {}
    for family, weight in wanted.items():
        names = [f.name for f in columns.features if f.family == family]
        if family == "history":
            names = [name for name in names if name.startswith("history_")]
        if names:
            weights[names[place] if family == "popularity" else names[-1]] = weight
    if strategy == "blend" and columns.shown:
        weights[SHOWN] = _PASSED_OVER
    return weights
