"""Evidence in words: the same lines in a work order and on the screen."""

from collections.abc import Mapping
from typing import Any

from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT

VERDICTS = {
    CANNOT_TELL: "cannot tell",
    NO_FAULT_FOUND: "no fault found",
    SENSOR_FAULT: "the sensor, not the machine",
}

# What settles it: the next thing to look at, as practice has it (ISO 13373-3 names most of them).
CHECKS: Mapping[str, str] = {
    "IMBALANCE": "deposits, erosion, a lost balance weight or broken blade; clean before balancing",
    "MISALIGNMENT": "alignment at running temperature, the coupling's element, soft foot, strain of pipes",
    "STRUCTURAL_LOOSENESS": "bolts of feet and foundation, soft foot, cracks of frame and grout",
    "ROTATING_LOOSENESS": "fit of the bearing on the shaft and in its housing, clearances, fit of impeller or coupling",
    "BEARING_OUTER_RACE": "lubrication and load of the bearing; plan its change, look at the outer race of the old one",
    "BEARING_INNER_RACE": "lubrication and load of the bearing; plan its change, look at the inner race of the old one",
    "BEARING_ROLLING_ELEMENT": "lubrication of the bearing; plan its change, look at the elements of the old one",
    "BEARING_CAGE": "lubrication of the bearing; plan its change soon, for cages fail at short notice",
    "BEARING_NOT_LOCALISED": "lubrication of the bearing; measure again within days, and look whether it grows",
    "GEAR_WEAR": "oil for particles, tooth contact and backlash",
    "BLADE_PASS": "clearance of the impeller, obstructions before and behind it, the operating point",
    "CAVITATION": "suction pressure, strainer and valve before the pump, the operating point; listen for gravel",
    "RESONANCE": "a bump test of the structure at rest; whether it is better at another speed",
    "ELECTRICAL": "whether it is gone the moment power is cut; then air gap, stator and supply",
    "LUBRICATION": "amount and age of grease or oil; lubricate, and look whether the noise falls",
}


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """A line for each verdict behind a case: value, limit and its source, margin. Then the captures they are from, and
    what the diagnosis rests on.
    """
    lines = [_verdict(verdict) for verdict in evidence.get("verdicts", ())]
    captures = evidence.get("capture_ids", ())
    lines += [f"captures: {', '.join(captures)}"] if captures else []
    return lines + _grounds(evidence.get("diagnosis", {}))


def diagnosis_sentence(evidence: Mapping[str, Any]) -> str | None:
    """What the waveforms say, how sure, and the first reason; or why they say nothing. None where nobody looked."""
    diagnosis = evidence.get("diagnosis")
    if diagnosis is None:
        return None
    if "verdict" not in diagnosis:
        return f"none: {diagnosis['reason']}"
    return _said(diagnosis)


def forecast_sentence(evidence: Mapping[str, Any]) -> str | None:
    """When the next limit is reached, or why that cannot be said; None where no limit is ahead or nobody looked."""
    says: str | None = evidence.get("prognosis", {}).get("says")
    return says


def check_next(evidence: Mapping[str, Any]) -> str | None:
    """What a technician looks at next, for the fault that was named."""
    return CHECKS.get(evidence.get("diagnosis", {}).get("verdict", ""))


def fault_words(fault: str) -> str:
    """The fault as people say it."""
    return FAULTS[fault][0] if fault in FAULTS else fault


def _said(diagnosis: Mapping[str, Any]) -> str:
    verdict = diagnosis["verdict"]
    if verdict not in FAULTS:
        return f"{VERDICTS.get(verdict, verdict)}: {diagnosis['reason']}"
    best = _best(diagnosis)
    supports = best.get("supports") or [diagnosis["reason"]]
    where = f" on {best['axis']}" if best.get("axis") else ""
    return f"{fault_words(verdict)}{where}, {diagnosis['confidence']:.0%}: {supports[0]}"


def _best(diagnosis: Mapping[str, Any]) -> Mapping[str, Any]:
    """The finding that was named; empty where none was."""
    return next((one for one in diagnosis.get("findings", ()) if one["fault"] == diagnosis["verdict"]), {})


def _grounds(diagnosis: Mapping[str, Any]) -> list[str]:
    if "verdict" not in diagnosis:
        return []
    best = _best(diagnosis)
    lines = [f"supports it: {text}" for text in best.get("supports", ())[1:]]
    lines += [f"speaks against it: {text}" for text in best.get("contradicts", ())]
    lead = "or" if best else "possible"
    lines += [_possible(lead, one) for one in diagnosis.get("findings", ()) if one is not best]
    lines += _untested(diagnosis.get("untested", {}))
    return lines + ([f"a later capture: {_said(diagnosis['later'])}"] if "later" in diagnosis else [])


def _untested(untested: Mapping[str, str]) -> list[str]:
    """Faults that could not be looked for, those with the same reason together."""
    if not untested:
        return []
    reasons = dict.fromkeys(untested.values())
    if len(untested) == len(FAULTS) and len(reasons) == 1:
        return [f"not looked for: any fault ({next(iter(reasons))})"]
    groups = [
        f"{' / '.join(fault_words(fault) for fault, other in untested.items() if other == why)} ({why})"
        for why in reasons
    ]
    return [f"not looked for: {'; '.join(groups)}"]


def _possible(lead: str, finding: Mapping[str, Any]) -> str:
    where = f"{fault_words(finding['fault'])} on {finding['axis']}"
    return f"{lead}: {where}, {finding['confidence']:.0%}: {'; '.join(finding['supports'])}"


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
