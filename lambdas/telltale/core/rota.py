"""Whose turn it is for the daily diagnosis: each position has its own time of day, so that they do not come at once."""

from hashlib import blake2b

DAY_MS = 86_400_000


def is_due(position: str, t_ms: int, *, interval_s: float) -> bool:
    """Whether a capture taken at `t_ms` is the one of its day (UTC); of captures `interval_s` apart about one a day is.

    It needs no memory, so that nothing is lost with a state or doubled by a second look: due is what falls into a
    stretch of the day, one interval long, that belongs to the position's name. Of captures further apart than a day
    each one is due.
    """
    return (t_ms - _begins_ms(position)) % DAY_MS < interval_s * 1000


def _begins_ms(position: str) -> int:
    return int.from_bytes(blake2b(position.encode(), digest_size=8).digest()) % DAY_MS
