"""A diagnosis is told as plain values, and understood again."""

import json

from telltale.core.findings import FAULTS, Diagnosis, Finding, Line

DIAGNOSIS = Diagnosis(
    "BEARING_OUTER_RACE",
    0.87,
    "BPFO stands 9 times above the noise",
    findings=(
        Finding(
            "BEARING_OUTER_RACE",
            "x",
            0.87,
            ("BPFO stands 9 times above the noise",),
            ("no harmonics",),
            (Line("BPFO", "envelope", "x", 88.3, 0.09, 0.01, "g", normal=0.02),),
        ),
        Finding("IMBALANCE", "y", 0.3, ("1× is high",)),
    ),
    untested={"GEAR_WEAR": "no tooth count is known"},
    speed_hz=24.7,
    speed_source="measured",
    bands_hz={"x": (2000.0, 4000.0)},
    notes=("the record is short",),
    kurtosis={"x": 4.2},
)


def test_a_diagnosis_is_the_same_after_json() -> None:
    assert Diagnosis.from_dict(json.loads(json.dumps(DIAGNOSIS.as_dict()))) == DIAGNOSIS


def test_what_is_told_beside_a_diagnosis_is_left_out() -> None:
    assert Diagnosis.from_dict({**DIAGNOSIS.as_dict(), "capture_id": "s-1@1"}) == DIAGNOSIS


def test_a_bare_verdict_is_enough() -> None:
    assert Diagnosis.from_dict({"verdict": "CANNOT_TELL", "confidence": 0.0, "reason": "no speed"}).findings == ()


def test_only_a_fault_is_named_as_one_and_has_a_failure_mode() -> None:
    for verdict, (_, mode) in FAULTS.items():
        named = Diagnosis(verdict, 0.9, "")
        assert (named.fault, named.failure_mode) == (verdict, mode)

    unnamed = Diagnosis("CANNOT_TELL", 0.0, "")
    assert (unnamed.fault, unnamed.failure_mode) == (None, "UNDETERMINED")
