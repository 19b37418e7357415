"""Simulated machines are diagnosed: the fault that was put in is the fault that is named, and sound ones are sound."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.bench_confusion import DIRECTIONS, FS_HZ, T_S, TYPES, _normal, _references, _rows, known, waveforms
from cli.plant_model import HOUR_S, Fault, FaultKind, Kind, Machine, Sample, capture
from numpy.typing import NDArray
from telltale.core import rules
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.capture import Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.features import axes_features
from telltale.core.findings import FAULTS, VERDICTS, Diagnosis, Finding
from telltale.core.plant import UNKNOWN_MACHINE
from telltale.core.symptoms import ABSOLUTE_MM_S, order_1_raised

Array = NDArray[Any]
SECOND, FOUR_SECONDS = 26_667, 106_668
MODELS = {kind: Machine(f"{kind.value}-7", kind, 1480.0, bearing=CATALOGUE["6205-2RS"], blades=7) for kind in Kind}
SHAFT_HZ = 24.67
DOCS = Path(__file__).parents[2] / "docs" / "diagnosis.md"


@cache
def take(kind: Kind, faults: tuple[tuple[FaultKind, float], ...], *, n: int, seed: int, t_s: float = T_S) -> Sample:
    grown = [Fault(fault, 0.0, t_s / severity**0.5) for fault, severity in faults]
    sample = capture(MODELS[kind], grown, t_s=t_s, sensor="a", seed=seed, fs_hz=FS_HZ, n_samples=n)
    assert sample is not None
    return sample


def diagnosed(
    kind: Kind,
    *faults: tuple[FaultKind, float],
    n: int = SECOND,
    seed: int = 1,
    history: bool = True,
    directions: bool = True,
) -> Diagnosis:
    """What is said of a simulated machine."""
    return _diagnosed(kind, faults, n, seed, history, directions)


@cache
def _diagnosed(
    kind: Kind, faults: tuple[tuple[FaultKind, float], ...], n: int, seed: int, history: bool, directions: bool
) -> Diagnosis:
    machine = known(MODELS[kind]) if directions else replace(known(MODELS[kind]), directions={})
    sample = take(kind, faults, n=n, seed=seed)
    before = [take(kind, (), n=n, seed=seed, t_s=T_S - hours * HOUR_S) for hours in (36, 72, 108)] if history else []
    return diagnose(
        waveforms(sample),
        machine=machine,
        speed_hz=sample.speed_rpm / 60,
        speed_source="measured",
        normal=_normal([_rows(one, machine) for one in before]) if before else None,
        reference=_references(before[0]) if before else None,
    )


def finding(diagnosis: Diagnosis, fault: str) -> Finding:
    [found] = [one for one in diagnosis.findings if one.fault == fault]
    return found


def wave(x: Array, *, axis: str = "x", fs_hz: float = FS_HZ, unit: str = "g") -> Waveform:
    """A record in g as a sensor would send it."""
    return Waveform(axis, np.rint(x / 5e-4).astype(np.int16), fs_hz, 5e-4, unit)


def tones(lines: Mapping[float, float], *, n: int = SECOND, seed: int = 0) -> Array:
    """Steady velocity lines, hz → mm/s RMS, in g, over a little noise."""
    t = np.arange(n) / FS_HZ
    g_per_mm_s = 2 * np.pi / 9806.65
    peak = {hz: 2**0.5 * mm_s * hz * g_per_mm_s for hz, mm_s in lines.items()}
    return sum(a * np.sin(2 * np.pi * hz * t + hz) for hz, a in peak.items()) + 0.01 * np.random.default_rng(
        seed
    ).standard_normal(n)


# Every fault is named, with its lines

DEVELOPED = [
    (Kind.MOTOR, FaultKind.IMBALANCE, "IMBALANCE", "1×", SECOND),
    (Kind.MOTOR, FaultKind.MISALIGNMENT, "MISALIGNMENT", "2×", SECOND),
    (Kind.FAN, FaultKind.STRUCTURAL_LOOSENESS, "STRUCTURAL_LOOSENESS", "1×", SECOND),
    (Kind.MOTOR, FaultKind.LOOSENESS, "ROTATING_LOOSENESS", "1.5×", FOUR_SECONDS),
    (Kind.MOTOR, FaultKind.OUTER_RACE, "BEARING_OUTER_RACE", "outer race", FOUR_SECONDS),
    (Kind.MOTOR, FaultKind.INNER_RACE, "BEARING_INNER_RACE", "inner race", FOUR_SECONDS),
    (Kind.GEARBOX, FaultKind.GEAR, "GEAR_WEAR", "gear mesh", SECOND),
    (Kind.FAN, FaultKind.BLADE_PASS, "BLADE_PASS", "blade pass", SECOND),
    (Kind.PUMP, FaultKind.CAVITATION, "CAVITATION", "", SECOND),
    (Kind.FAN, FaultKind.RESONANCE, "RESONANCE", "7×", FOUR_SECONDS),
    (Kind.MOTOR, FaultKind.ELECTRICAL, "ELECTRICAL", "2× mains", FOUR_SECONDS),
    (Kind.MOTOR, FaultKind.LUBRICATION, "LUBRICATION", "", FOUR_SECONDS),
]


@pytest.mark.parametrize(("kind", "fault", "named", "line", "n"), DEVELOPED)
def test_a_developed_fault_is_named_with_its_lines(kind: Kind, fault: FaultKind, named: str, line: str, n: int) -> None:
    diagnosis = diagnosed(kind, (fault, 1.0), n=n)

    assert diagnosis.verdict == named
    assert diagnosis.confidence == diagnosis.findings[0].confidence >= 0.5
    assert not line or any(one.name.startswith(line) for one in diagnosis.findings[0].lines)


def test_a_worn_rolling_element_is_named_or_called_not_localised() -> None:
    diagnosis = diagnosed(Kind.MOTOR, (FaultKind.BALL, 1.0), n=SECOND)

    assert diagnosis.verdict in ("BEARING_ROLLING_ELEMENT", "BEARING_NOT_LOCALISED")


def test_every_text_of_a_finding_has_its_numbers() -> None:
    texts = [
        text
        for kind, fault, named, _, n in DEVELOPED
        for one in [finding(diagnosed(kind, (fault, 1.0), n=n), named)]
        for text in (*one.supports, *one.contradicts[: len(one.contradicts) - 1])
    ]

    assert [text for text in texts if not any(letter.isdigit() for letter in text)] == []


def test_what_speaks_against_a_fault_is_said_too() -> None:
    found = finding(diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0), (FaultKind.MISALIGNMENT, 1.0)), "IMBALANCE")

    assert any("2× and 3× together are" in text for text in found.contradicts)
    assert any("steady in amplitude and phase" in text for text in found.contradicts)


# Sound machines are sound


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("history", [True, False])
def test_a_sound_machine_has_no_fault(kind: Kind, history: bool) -> None:
    verdicts = {diagnosed(kind, seed=seed, n=4096, history=history).verdict for seed in range(5)}
    verdicts |= {diagnosed(kind, seed=seed, n=SECOND, history=history).verdict for seed in range(2)}

    assert verdicts == {"NO_FAULT_FOUND"}


def test_without_a_history_a_level_that_standards_call_sound_is_no_fault() -> None:
    x = tones({SHAFT_HZ: 0.95 * ABSOLUTE_MM_S})

    diagnosis = diagnose([wave(x)], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ)

    assert diagnosis.verdict == "NO_FAULT_FOUND"
    assert diagnosis.fault is None


def test_with_a_history_the_same_level_is_judged_against_what_is_normal_here() -> None:
    x = tones({SHAFT_HZ: 3.0})
    normal = {"x": {"velocity_rms_mm_s": 0.8, "order_1_mm_s": 0.6, "order_2_mm_s": 0.1, "order_3_mm_s": 0.1}}

    alone = diagnose([wave(x)], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ)
    known_here = diagnose([wave(x)], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ, normal=normal)

    assert (alone.verdict, known_here.verdict) == ("NO_FAULT_FOUND", "IMBALANCE")
    [first] = [line for line in finding(known_here, "IMBALANCE").lines if line.name == "1×"]
    assert first.normal == 0.6
    assert first.amplitude == pytest.approx(3.0, rel=0.02)


def test_without_a_scale_nothing_is_judged_in_mm_s() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.IMBALANCE, 2.0), (FaultKind.OUTER_RACE, 1.0)), n=FOUR_SECONDS, seed=1)
    loud = [replace(one, scale=50 * one.scale) for one in waveforms(sample)]

    diagnosis = diagnose(loud, machine=known(MODELS[Kind.MOTOR]), speed_hz=sample.speed_rpm / 60, calibrated=False)

    assert diagnosis.verdict == "BEARING_OUTER_RACE"
    assert "mm/s" not in " ".join(text for one in diagnosis.findings for text in (*one.supports, *one.contradicts))
    assert {fault for fault, why in diagnosis.untested.items() if why.startswith("the recording has no scale")} == {
        "IMBALANCE",
        "MISALIGNMENT",
        "STRUCTURAL_LOOSENESS",
        "ROTATING_LOOSENESS",
        "ELECTRICAL",
    }


@pytest.mark.parametrize("gain", [0.02, 1.0, 50.0])
def test_without_a_scale_growth_over_a_healthy_record_is_judged_whatever_the_gain(gain: float) -> None:
    machine, sample = known(MODELS[Kind.MOTOR]), take(Kind.MOTOR, ((FaultKind.IMBALANCE, 1.0),), n=SECOND, seed=1)
    before = take(Kind.MOTOR, (), n=SECOND, seed=1, t_s=T_S - 36 * HOUR_S)
    speed_hz = sample.speed_rpm / 60
    now, then = ([replace(one, scale=gain * one.scale) for one in waveforms(taken)] for taken in (sample, before))
    rows = axes_features([(one, before.speed_rpm / 60, machine) for one in then])
    normal = {
        one.axis: {name: value for name, value in row.items() if value is not None}
        for one, row in zip(then, rows, strict=True)
    }

    diagnosis = diagnose(now, machine=machine, speed_hz=speed_hz, normal=normal, calibrated=False)

    assert diagnosis.verdict == "IMBALANCE"


# Several at once, and nothing that separates


def test_two_faults_at_once_are_both_listed() -> None:
    diagnosis = diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0), (FaultKind.OUTER_RACE, 1.0), n=FOUR_SECONDS)

    assert {one.fault for one in diagnosis.findings if one.confidence >= 0.5} >= {"IMBALANCE", "BEARING_OUTER_RACE"}


def test_the_likeliest_fault_comes_first() -> None:
    confidences = [one.confidence for one in diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 2.0)).findings]

    assert confidences == sorted(confidences, reverse=True)


def test_vibration_that_no_rule_explains_is_not_named() -> None:
    x = tones({137.3: 9.0, 211.1: 8.0, 318.7: 7.0})

    diagnosis = diagnose([wave(x)], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ)

    assert diagnosis.verdict == "CANNOT_TELL"
    assert "the velocity is 13.9" in diagnosis.reason


def test_twice_the_shaft_and_twice_the_mains_are_not_taken_for_one_another() -> None:
    short = diagnosed(Kind.MOTOR, (FaultKind.ELECTRICAL, 1.0), n=SECOND)

    assert short.verdict != "MISALIGNMENT"
    assert short.untested["ELECTRICAL"] == "a record of 1.00 s cannot separate 4× shaft from 2× mains"


# What is not known is said


def test_what_could_not_be_looked_for_has_its_reason() -> None:
    diagnosis = diagnose([wave(tones({SHAFT_HZ: 1.0}))], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ)

    assert dict(diagnosis.untested) == {
        "BEARING_OUTER_RACE": "no bearing geometry is known",
        "BEARING_INNER_RACE": "no bearing geometry is known",
        "BEARING_ROLLING_ELEMENT": "no bearing geometry is known",
        "BEARING_CAGE": "no bearing geometry is known",
        "BEARING_NOT_LOCALISED": "cannot be told: no bearing geometry is known: defect lines were not looked for; "
        "and there is no healthy reference",
        "GEAR_WEAR": "no number of teeth is known",
        "BLADE_PASS": "no number of blades, vanes or lobes is known",
        "CAVITATION": "the machine is not known to be a pump",
        "ELECTRICAL": "no mains frequency is known",
        "LUBRICATION": "what is normal here at high frequencies is not known",
    }


def test_without_an_axial_direction_imbalance_is_less_certain_and_says_why() -> None:
    blind = diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0), directions=False)
    told = diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0))

    assert blind.verdict == told.verdict == "IMBALANCE"
    assert blind.confidence < told.confidence
    assert any("no axial direction is known" in note for note in blind.notes)


def test_without_a_speed_none_is_made_up() -> None:
    x = 0.05 * np.random.default_rng(1).standard_normal(SECOND)

    diagnosis = diagnose([wave(x)], machine=UNKNOWN_MACHINE, speed_hz=None)

    assert (diagnosis.speed_hz, diagnosis.speed_source) == (None, "unknown")
    assert diagnosis.untested["IMBALANCE"] == "no shaft speed is known or could be found"


def test_a_plain_speed_is_estimated_where_none_is_known() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.MISALIGNMENT, 1.0),), n=FOUR_SECONDS, seed=1)

    diagnosis = diagnose(waveforms(sample), machine=known(MODELS[Kind.MOTOR]), speed_hz=None)

    assert diagnosis.speed_source == "estimated"
    assert diagnosis.speed_hz == pytest.approx(sample.speed_rpm / 60, rel=0.01)
    assert diagnosis.speed_confidence is not None


def test_a_record_of_two_turns_tells_no_harmonics() -> None:
    diagnosis = diagnose([wave(tones({12.0: 9.0}, n=4096))], machine=UNKNOWN_MACHINE, speed_hz=12.0)

    assert "cannot show harmonics of 12.0 Hz" in diagnosis.untested["IMBALANCE"]


# The sensor, and records that say nothing


def test_a_sensor_fault_is_no_fault_of_the_machine() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.SATURATION, 1.0), (FaultKind.OUTER_RACE, 2.0)), n=SECOND, seed=1)

    diagnosis = diagnose(waveforms(sample), machine=known(MODELS[Kind.MOTOR]), speed_hz=sample.speed_rpm / 60)

    assert diagnosis.verdict == "SENSOR_FAULT"
    assert diagnosis.fault is None
    assert "saturation" in diagnosis.reason


def test_an_axis_with_a_dead_sensor_takes_no_part() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.IMBALANCE, 1.0),), n=SECOND, seed=1)
    x, y, z = waveforms(sample)
    dead = replace(z, samples=np.zeros(SECOND, np.int16))

    diagnosis = diagnose([x, y, dead], machine=known(MODELS[Kind.MOTOR]), speed_hz=sample.speed_rpm / 60)

    assert diagnosis.verdict == "SENSOR_FAULT"
    assert diagnosis.reason.startswith("z: flat line")
    assert {one.axis for one in diagnosis.findings} <= {"x", "y"}


@pytest.mark.parametrize(
    "waves",
    [
        [],
        [wave(np.zeros(0))],
        [wave(np.zeros(1))],
        [Waveform("x", np.array([1.0, np.nan] * 2000), FS_HZ, 1.0, "g")],
        [wave(np.array([0.0, 0.1] * 8))],
    ],
    ids=["none", "empty", "one sample", "not a number", "sixteen samples"],
)
def test_records_that_say_nothing_name_nothing(waves: Sequence[Waveform]) -> None:
    diagnosis = diagnose(waves, machine=known(MODELS[Kind.MOTOR]), speed_hz=24.7)

    assert diagnosis.verdict in ("CANNOT_TELL", "SENSOR_FAULT", "NO_FAULT_FOUND")
    assert diagnosis.fault is None


def test_waveforms_are_never_modified() -> None:
    waves = waveforms(take(Kind.PUMP, ((FaultKind.CAVITATION, 1.0),), n=4096, seed=3))
    before = [one.samples.copy() for one in waves]

    diagnose(waves, machine=known(MODELS[Kind.PUMP]), speed_hz=24.7)

    assert all(np.array_equal(one.samples, was) for one, was in zip(waves, before, strict=True))


def test_metres_a_second_squared_and_g_say_the_same() -> None:
    x = tones({SHAFT_HZ: 9.0})
    in_si = Waveform("x", wave(x).samples, FS_HZ, 5e-4 * 9.80665, "m/s2")

    said = [diagnose([one], machine=UNKNOWN_MACHINE, speed_hz=SHAFT_HZ) for one in (wave(x), in_si)]

    assert said[0].verdict == said[1].verdict == "IMBALANCE"
    assert said[0].findings[0].lines[0].amplitude == pytest.approx(said[1].findings[0].lines[0].amplitude)


# The result, and the table


def test_a_diagnosis_is_plain_values_for_json() -> None:
    diagnosis = diagnosed(Kind.MOTOR, (FaultKind.OUTER_RACE, 1.0), n=FOUR_SECONDS)

    told = json.loads(json.dumps(diagnosis.as_dict()))

    assert told["verdict"] in VERDICTS
    assert Diagnosis.from_dict(told).verdict == diagnosis.verdict
    assert all(0 <= one["confidence"] <= 1 for one in told["findings"])


@pytest.mark.parametrize(("kind", "fault", "named", "line", "n"), DEVELOPED)
def test_a_diagnosis_holds_no_values_of_numpy(kind: Kind, fault: FaultKind, named: str, line: str, n: int) -> None:
    assert _types(diagnosed(kind, (fault, 1.0), n=n).as_dict()) <= {str, float, int, bool, type(None)}


def _types(value: Any) -> set[type]:
    if isinstance(value, dict):
        return {type(key) for key in value} | {found for one in value.values() for found in _types(one)}
    if isinstance(value, list | tuple):
        return {found for one in value for found in _types(one)}
    return {type(value)}


def test_a_line_that_supports_by_being_low_or_contradicts_is_not_among_the_lines() -> None:
    race = finding(diagnosed(Kind.MOTOR, (FaultKind.OUTER_RACE, 1.0), n=FOUR_SECONDS), "BEARING_OUTER_RACE")
    imbalance = finding(diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0)), "IMBALANCE")
    both = diagnosed(Kind.MOTOR, (FaultKind.IMBALANCE, 1.0), (FaultKind.MISALIGNMENT, 1.0))
    contradicted = finding(both, "IMBALANCE")

    assert any("the cage's lines" in text for text in race.supports)
    assert {line.name.rsplit(" ", 1)[0] for line in race.lines} == {"outer race"}
    assert any("2× and 3× together" in text for text in imbalance.supports)
    assert any("2× and 3× together" in text for text in contradicted.contradicts)
    assert {line.name for line in (*imbalance.lines, *contradicted.lines)} == {"1×"}


def test_nothing_is_said_twice() -> None:
    for kind, fault, named, _, n in DEVELOPED:
        found = finding(diagnosed(kind, (fault, 1.0), n=n), named)
        texts = (*found.supports, *found.contradicts)
        assert len(set(texts)) == len(texts)
        assert all(len(text) <= 120 and "; " not in text.split(" tell ")[0] for text in found.supports)


def test_the_band_of_a_named_bearing_is_the_one_its_sentence_names() -> None:
    diagnosis = diagnosed(Kind.MOTOR, (FaultKind.OUTER_RACE, 1.0), n=FOUR_SECONDS)

    found = finding(diagnosis, "BEARING_OUTER_RACE")
    low_hz, high_hz = diagnosis.bands_hz[found.axis]
    assert f"in the envelope of {low_hz / 1000:.1f}-{high_hz / 1000:.1f} kHz" in found.supports[0]
    assert diagnosis.kurtosis[found.axis] > 3


@pytest.mark.parametrize(("wrong", "noted"), [(1.0, 0), (1.002, 0), (1.02, 1)])
def test_a_speed_that_was_put_right_is_noted_where_it_matters(wrong: float, noted: int) -> None:
    n = 6 * SECOND
    strikes = sum(np.cos(2 * np.pi * order * SHAFT_HZ * np.arange(n) / FS_HZ) for order in (1, 2, 3, 4))
    x = 0.1 * (1 + 0.4 * strikes) * np.random.default_rng(1).standard_normal(n)

    diagnosis = diagnose(
        [wave(x)], machine=UNKNOWN_MACHINE, speed_hz=wrong * SHAFT_HZ, speed_source="nominal", calibrated=False
    )

    assert diagnosis.speed_source == "refined"
    assert diagnosis.speed_hz == pytest.approx(SHAFT_HZ, rel=0.001)
    assert sum("r/min (nominal), the record says 1,480 r/min" in note for note in diagnosis.notes) == noted


def test_a_bearing_s_strikes_are_not_called_cavitation() -> None:
    model = replace(MODELS[Kind.PUMP], bearing=CATALOGUE["6205-2RS"])
    sample = take(Kind.PUMP, ((FaultKind.OUTER_RACE, 2.0),), n=FOUR_SECONDS, seed=2)

    diagnosis = diagnose(waveforms(sample), machine=known(model), speed_hz=sample.speed_rpm / 60)

    assert diagnosis.verdict == "BEARING_OUTER_RACE"
    assert all(one.confidence < 0.1 for one in diagnosis.findings if one.fault == "CAVITATION")


def test_a_record_too_short_to_tell_an_inner_race_from_an_element_says_so() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.INNER_RACE, 2.0),), n=4096, seed=1)

    diagnosis = diagnose(waveforms(sample), machine=known(MODELS[Kind.MOTOR]), speed_hz=sample.speed_rpm / 60)

    assert any("cannot tell BPFI from 2×BSF" in text for text in finding(diagnosis, "BEARING_INNER_RACE").contradicts)


def test_the_lines_of_a_race_are_not_taken_for_the_speed() -> None:
    """Twice the outer race's frequency of a 6205 is seven times a speed that is 2.4 % above the shaft's."""
    sample = take(Kind.MOTOR, ((FaultKind.OUTER_RACE, 1.0),), n=4 * FOUR_SECONDS, seed=1)
    speed_hz = sample.speed_rpm / 60

    diagnosis = diagnose(waveforms(sample), machine=known(MODELS[Kind.MOTOR]), speed_hz=speed_hz)

    assert diagnosis.speed_hz == pytest.approx(speed_hz, rel=0.002)
    assert diagnosis.verdict == "BEARING_OUTER_RACE"


def test_the_same_capture_gives_the_same_diagnosis() -> None:
    assert diagnosed(Kind.FAN, (FaultKind.BLADE_PASS, 0.7)) == diagnosed(Kind.FAN, (FaultKind.BLADE_PASS, 0.7))


def test_there_is_one_rule_for_every_fault_and_each_criterion_has_a_source() -> None:
    assert [rule.fault for rule in rules.RULES] == list(FAULTS)
    assert all(criterion.source for rule in rules.RULES for criterion in rule.criteria)
    assert all(any(criterion.required for criterion in rule.criteria) for rule in rules.RULES)


@pytest.mark.parametrize(("value", "says"), [(0.1, -1), (0.4, -1), (0.7, -0.5), (1, 0), (1.75, 0.5), (2.5, 1), (99, 1)])
def test_a_criterion_says_from_against_to_for(value: float, says: float) -> None:
    criterion = rules.look("1× raised", order_1_raised, (0.4, 1, 2.5), 1, "a source")

    assert criterion.says(value) == pytest.approx(says)


@pytest.mark.parametrize(("scale", "value", "says"), [((None, 1, 2), 0, 0), ((0, 1, None), 5, 0), ((4, 2, 1), 3, -0.5)])
def test_an_open_end_says_nothing_and_scales_may_run_down(scale: rules.Scale, value: float, says: float) -> None:
    assert rules.look("x", order_1_raised, scale, 1, "a source").says(value) == pytest.approx(says)


def test_the_documented_table_is_the_table_that_is_used() -> None:
    assert rules.markdown() in DOCS.read_text(), "put the text of telltale.core.rules.markdown() into docs/diagnosis.md"


def test_a_bearing_s_verdict_is_that_of_its_envelope_lines() -> None:
    sample = take(Kind.MOTOR, ((FaultKind.OUTER_RACE, 1.0),), n=FOUR_SECONDS, seed=2)
    bpfo_hz = fault_orders(CATALOGUE["6205-2RS"]).bpfo * sample.speed_rpm / 60

    diagnosis = diagnose(waveforms(sample), machine=known(MODELS[Kind.MOTOR]), speed_hz=sample.speed_rpm / 60)

    found = finding(diagnosis, "BEARING_OUTER_RACE")
    assert any(line.hz == pytest.approx(bpfo_hz, rel=0.02) for line in found.lines)
    assert diagnosis.bands_hz.keys() == diagnosis.kurtosis.keys() == {"x", "y", "z"}


def test_the_simulated_owner_knows_the_directions_and_types() -> None:
    assert known(MODELS[Kind.PUMP]).directions == DIRECTIONS
    assert set(TYPES) == set(Kind)
