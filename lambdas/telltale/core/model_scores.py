"""What the model of an asset says of an interval, as detection hears it: live, and again from the lake."""

from collections.abc import Mapping

from telltale.core.judgement import MODEL, ModelScore, Row

NAMED = 3  # tags that are named in words, of those that say most
NAMED_SHARE = 0.1  # least share of a tag that is named. A guess
JUST_NORMAL = 0.89  # a deviation that lets persistence clear, of an interval that the model calls normal


def score(deviation: float, *, anomaly: bool) -> float:
    """The deviation with the model's own hysteresis in it: at least 1 while it alarms, below the limit while not."""
    return max(deviation, 1.0) if anomaly else min(deviation, JUST_NORMAL)


def words(deviation: float, *, anomaly: bool, model: str, contributions: Mapping[str, float]) -> str:
    """The reason, with the tags that say most where it alarms."""
    said = f"all tags together deviate by {deviation:.2g} of what model {model} allows"
    named = [f"{tag} {share:.0%}" for tag, share in contributions.items() if share >= NAMED_SHARE][:NAMED]
    return f"{said}; most by {', '.join(named)}" if anomaly and named else said


def row(asset: str, t_ms: int, received_ms: int, said: ModelScore) -> Row:
    """The row that detection judges; nothing of it comes from a sensor."""
    return Row(f"{asset}@{t_ms}", MODEL, t_ms, received_ms, sensor="", model=said)
