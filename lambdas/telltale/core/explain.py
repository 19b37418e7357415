"""Evidence in words: the same lines in a work order and on the screen."""

from collections.abc import Mapping
from typing import Any


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """A line for each verdict behind a case: value, limit and its source, margin. Then the captures they are from."""
    lines = [_verdict(verdict) for verdict in evidence.get("verdicts", ())]
    captures = evidence.get("capture_ids", ())
    return lines + ([f"captures: {', '.join(captures)}"] if captures else [])


def _verdict(verdict: Mapping[str, Any]) -> str:
    unit = f" {verdict['unit']}" if verdict.get("unit") else ""
    words = [f"{verdict['channel']} {verdict['rule']} {verdict['verdict']}"]
    if verdict.get("value") is not None:
        words.append(f"{verdict.get('feature') or 'value'} {verdict['value']:.4g}{unit}")
    if verdict.get("limit") is not None:
        source = f" ({verdict['limit_source']})" if verdict.get("limit_source") else ""
        words.append(f"limit {verdict['limit']:.4g}{unit}{source}")
    if verdict.get("margin") is not None:
        words.append(f"margin {verdict['margin']:.4g}{unit}")
    if verdict.get("reason"):
        words.append(str(verdict["reason"]))
    return ": ".join([words[0], ", ".join(words[1:])]) if len(words) > 1 else words[0]
