"""Evidence in words: what a technician reads in an order and an operator on the screen."""

import pytest
from telltale.core.explain import CHECKS, check_next, diagnosis_sentence, evidence_lines
from telltale.core.findings import FAULTS

RACE = {
    "fault": "BEARING_OUTER_RACE",
    "axis": "x",
    "confidence": 0.87,
    "supports": ["BPFO stands 9 times above the noise", "two harmonics of it stand out"],
    "contradicts": ["no trend is known"],
}
OTHER = {"fault": "IMBALANCE", "axis": "y", "confidence": 0.41, "supports": ["1× is high"], "contradicts": []}
DIAGNOSIS = {
    "verdict": "BEARING_OUTER_RACE",
    "confidence": 0.87,
    "reason": "BPFO stands 9 times above the noise; two harmonics of it stand out",
    "findings": [RACE, OTHER],
    "untested": {"GEAR_WEAR": "no number of teeth is known"},
}
UNSURE = {**DIAGNOSIS, "verdict": "CANNOT_TELL", "reason": "imbalance is likeliest", "findings": [OTHER]}


def test_a_named_fault_is_said_with_its_confidence_and_first_reason() -> None:
    said = diagnosis_sentence({"diagnosis": DIAGNOSIS})

    assert said == "bearing, outer race on x, 87%: BPFO stands 9 times above the noise"


def test_what_it_rests_on_is_listed_for_and_against_with_the_alternatives() -> None:
    assert evidence_lines({"diagnosis": DIAGNOSIS}) == [
        "supports it: two harmonics of it stand out",
        "speaks against it: no trend is known",
        "or: imbalance on y, 41%: 1× is high",
        "not looked for: gear wear (no number of teeth is known)",
    ]


def test_faults_that_were_not_looked_for_for_one_reason_share_it() -> None:
    alike = dict.fromkeys(("BEARING_OUTER_RACE", "BEARING_CAGE"), "no bearing geometry is known")
    nothing = dict.fromkeys(FAULTS, "no axis could be measured")

    last = [
        evidence_lines({"diagnosis": {**DIAGNOSIS, "untested": {**untested}}})[-1]
        for untested in ({**alike, "CAVITATION": "the machine is not known to be a pump"}, nothing)
    ]

    assert last == [
        "not looked for: bearing, outer race / bearing, cage (no bearing geometry is known); "
        "cavitation (the machine is not known to be a pump)",
        "not looked for: any fault (no axis could be measured)",
    ]


def test_where_nothing_can_be_named_what_is_possible_is_listed() -> None:
    assert diagnosis_sentence({"diagnosis": UNSURE}) == "cannot tell: imbalance is likeliest"
    assert evidence_lines({"diagnosis": UNSURE})[0] == "possible: imbalance on y, 41%: 1× is high"
    assert check_next({"diagnosis": UNSURE}) is None


def test_a_later_capture_that_shows_less_is_said_last() -> None:
    later = {"verdict": "CANNOT_TELL", "confidence": 0.0, "reason": "nothing moves in any axis"}

    lines = evidence_lines({"diagnosis": {**DIAGNOSIS, "later": later}})

    assert lines[-1] == "a later capture: cannot tell: nothing moves in any axis"


def test_why_there_is_no_diagnosis_is_said() -> None:
    missing = {"diagnosis": {"reason": "the capture came without waveforms"}}

    assert diagnosis_sentence(missing) == "none: the capture came without waveforms"
    assert evidence_lines(missing) == []


def test_a_case_from_before_there_were_diagnoses_says_nothing_of_them() -> None:
    assert diagnosis_sentence({"verdicts": []}) is None
    assert check_next({}) is None


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_says_what_to_look_at_next(fault: str) -> None:
    assert CHECKS[fault] == check_next({"diagnosis": {**DIAGNOSIS, "verdict": fault}})
