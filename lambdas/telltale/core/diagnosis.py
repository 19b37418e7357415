"""Name the fault of a machine from the waveforms of one capture, with what speaks for it and against it.

Measured first (`core.symptoms`), judged by a table of rules (`core.rules`), and said with a confidence that was
measured on simulated machines: docs/diagnosis.md. Nothing here was learned from recordings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from telltale.core import envelope, rolling, sensor, spectrum, speed
from telltale.core.bearings import fault_orders
from telltale.core.capture import Waveform
from telltale.core.features import axes_features, envelope_band_hz
from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis, Finding, Line
from telltale.core.plant import Machine
from telltale.core.rules import RULES, Judged, Rule, judge
from telltale.core.symptoms import (
    CLASS_OF_FAULT,
    HALF_ORDERS,
    HARMONICS,
    LISTEN_FROM_HZ,
    NO_SPEED,
    NORMAL_OF_ORDER,
    RESOLVED_BINS,
    SPEED_TOLERANCE,
    Axis,
    Symptoms,
    velocity_raised,
)

Array = NDArray[np.float64]
Rows = Mapping[str, Mapping[str, float | None]]

# Score of a rule → how often the fault it named was the right one, on simulated machines: docs/diagnosis.md.
CALIBRATION = ((0.0, 0.0), (0.25, 0.2), (0.5, 0.5), (0.75, 0.65), (0.85, 0.95), (1.0, 0.98))
SPEEDS_HZ = (5.0, 100.0)  # that are looked for where none is known: 300 to 6000 r/min, most of industry
ESTIMATED_FROM = 0.7  # confidence of an estimated speed from which it is used (guess)
REFINED = "refined"
NOTICEABLE = SPEED_TOLERANCE / 2  # from which a refined speed is noted: lines are looked for within twice that
NOISE_KURTOSIS = 2.0  # of the complex envelope of noise
NAMED_FROM = 0.5  # confidence from which a fault is named: it is likelier than not


def diagnose(
    waveforms: Sequence[Waveform],
    *,
    machine: Machine,
    speed_hz: float | None,
    speed_source: str = "unknown",
    rows: Rows | None = None,
    normal: Mapping[str, Mapping[str, float]] | None = None,
    reference: Mapping[str, rolling.Reference] | None = None,
    calibrated: bool = True,
) -> Diagnosis:
    """What the waveforms of one capture say of the machine. Never modified.

    speed_hz, speed_source : of the shaft, and where it is from (measured or nominal); None: estimated, where it can be.
    rows : routine indicators by axis; None: computed here.   normal : axis → indicator → what is usual here.
    reference : axis → a healthy record of this machine.
    calibrated : False where the samples are in g times a factor that nobody knows, as those of a sound file are: then
    nothing is judged by limits in mm/s. `normal` and `reference` must then be of the same sensor and gain.

    Without `normal` and `reference` absolute rules decide, which are cautious, and some faults stay untested.
    ValueError as `axes_features`.
    """
    if not waveforms:
        return Diagnosis(CANNOT_TELL, 0.0, "there is no waveform")
    moving = {waveform.axis: waveform.g() for waveform in waveforms}
    turns = _speed(waveforms, moving, speed_hz, speed_source)
    if rows is None:
        measured = axes_features([(waveform, turns.hz, machine) for waveform in waveforms])
        rows = {waveform.axis: row for waveform, row in zip(waveforms, measured, strict=True)}
    ill = sensor.faults(rows, directions=machine.directions, normal=normal, speed_hz=turns.hz)
    untrusted = {fault.axis for fault in ill}
    axes = tuple(
        _axis(
            waveform,
            moving[waveform.axis],
            machine,
            rows.get(waveform.axis, {}),
            (normal or {}).get(waveform.axis, {}),
            (reference or {}).get(waveform.axis),
            turns,
            calibrated,
        )
        for waveform in waveforms
        if waveform.axis not in untrusted and _moves(moving[waveform.axis])
    )
    found = _concluded(Symptoms(machine, turns.hz, axes, turns.notes))
    found = replace(found, speed_hz=turns.hz, speed_source=turns.source, speed_confidence=turns.confidence)
    if ill:
        reason = "; ".join(f"{fault.axis}: {fault.words}" for fault in ill)
        return replace(found, verdict=SENSOR_FAULT, confidence=1.0, reason=reason)
    if not axes:
        return replace(found, verdict=CANNOT_TELL, confidence=0.0, reason="no axis holds a finite record that moves")
    return found


@dataclass(frozen=True)
class _Speed:
    hz: float | None
    source: str
    confidence: float | None = None
    notes: tuple[str, ...] = ()


def _speed(waveforms: Sequence[Waveform], moving: Mapping[str, Array], speed_hz: float | None, source: str) -> _Speed:
    """The shaft's speed: as it was given, read more exactly from long records; or estimated, where none is known."""
    longest = max(waveforms, key=lambda waveform: len(waveform.samples))
    alike = [w for w in waveforms if w.fs_hz == longest.fs_hz and len(w.samples) == len(longest.samples)]
    x, fs_hz = np.stack([moving[w.axis] for w in alike]), longest.fs_hz
    if speed_hz:
        refined = speed.refine(x, fs_hz=fs_hz, near_hz=speed_hz)
        if refined is None or refined.confidence < speed.REFINED_FROM:
            return _Speed(speed_hz, source)
        note = (
            f"the speed given was {60 * speed_hz:,.0f} r/min ({source}), the record says {60 * refined.hz:,.0f} r/min"
        )
        notes = (note,) if abs(refined.hz / speed_hz - 1) > NOTICEABLE else ()
        return _Speed(refined.hz, REFINED, refined.confidence, notes)
    estimate = speed.estimate(x, fs_hz=fs_hz, low_hz=SPEEDS_HZ[0], high_hz=min(SPEEDS_HZ[1], fs_hz / 4))
    if estimate is None:
        return _Speed(None, "unknown", None, ("no speed was given, and the record is too short to estimate it",))
    if estimate.confidence < ESTIMATED_FROM:
        note = f"no speed was given; likeliest is {60 * estimate.hz:,.0f} r/min, {estimate.confidence:.0%} sure"
        return _Speed(None, "unknown", estimate.confidence, (note,))
    return _Speed(estimate.hz, "estimated", estimate.confidence)


def _moves(x: Array) -> bool:
    return len(x) > 1 and bool(np.isfinite(x).all()) and bool(np.ptp(x) > 0)


def _axis(
    waveform: Waveform,
    x: Array,
    machine: Machine,
    row: Mapping[str, float | None],
    normal: Mapping[str, float],
    reference: rolling.Reference | None,
    turns: _Speed,
    calibrated: bool,
) -> Axis:
    fs_hz = waveform.fs_hz
    lines = spectrum.velocity_lines(x, fs_hz=fs_hz, axis=waveform.axis)
    orders, no_orders = _orders(lines, turns.hz, normal)
    return Axis(
        axis=waveform.axis,
        direction=machine.directions.get(waveform.axis, ""),
        samples=x,
        fs_hz=fs_hz,
        velocity=lines,
        orders=orders,
        no_orders=no_orders,
        row=row,
        normal=normal,
        rolling=rolling.evidence(
            x,
            fs_hz=waveform.fs_hz,
            speed_hz=turns.hz,
            orders=None if machine.bearing is None else fault_orders(machine.bearing),
            reference=reference,
            axis=waveform.axis,
            speed_refined=turns.source == REFINED,
        ),
        impulsive=envelope.kurtogram(x, fs_hz=fs_hz, low_hz=LISTEN_FROM_HZ, high_hz=envelope_band_hz(fs_hz)[1]),
        reference=reference,
        speed_hz=turns.hz,
        calibrated=calibrated,
    )


def _orders(
    lines: spectrum.Lines, speed_hz: float | None, normal: Mapping[str, float]
) -> tuple[dict[float, Line], str]:
    """The lines of the shaft, half ones where they do not blur into the others; or why there are none."""
    if speed_hz is None:
        return {}, NO_SPEED
    resolution_hz = RESOLVED_BINS * lines.bin_hz
    if speed_hz < resolution_hz or 3 * speed_hz > lines.top_hz:
        seconds = 1 / lines.bin_hz
        return {}, f"a record of {seconds:.2f} s up to {lines.top_hz:.0f} Hz cannot show harmonics of {speed_hz:.1f} Hz"
    found = {}
    for order in sorted((*HARMONICS, *(HALF_ORDERS if speed_hz / 2 >= resolution_hz else ()))):
        line = lines.at(order * speed_hz, tolerance=SPEED_TOLERANCE, name=f"{order:g}×")
        if line is not None:
            found[order] = replace(line, normal=normal.get(NORMAL_OF_ORDER.get(order, "")))
    return found, ""


# Conclusions


def _concluded(symptoms: Symptoms) -> Diagnosis:
    findings, untested, unknown = [], {}, {}
    for rule in RULES:
        judged = judge(rule, symptoms)
        if isinstance(judged, str):
            untested[rule.fault] = judged
        elif judged.score is not None and judged.score > 0:
            findings.append(_finding(rule, judged))
            unknown[rule.fault] = judged.unknown
    findings = [_unless_explained(finding, findings) for finding in findings]
    findings.sort(key=lambda finding: -finding.confidence)
    verdict, confidence, reason = _verdict(symptoms, findings, untested)
    bands = _bands(symptoms, findings[0] if verdict in FAULTS else None)
    return Diagnosis(
        verdict,
        confidence,
        reason,
        findings=tuple(findings),
        untested=untested,
        notes=(*symptoms.notes, *_of_growth(symptoms, findings), *_not_looked_at(findings, unknown)),
        bands_hz={axis: band for axis, (band, _) in bands.items()},
        kurtosis={axis: kurtosis for axis, (_, kurtosis) in bands.items()},
    )


def _bands(symptoms: Symptoms, named: Finding | None) -> dict[str, tuple[tuple[float, float], float]]:
    """Axis → the band whose envelope tells most, and its excess kurtosis: the most impulsive one, or where the lines of
    the named defect were found.
    """
    found = {a.axis: (a.impulsive.best, a.impulsive.kurtosis) for a in symptoms.axes if a.impulsive.best is not None}
    defect = None if named is None else CLASS_OF_FAULT.get(named.fault)
    for axis in symptoms.axes:
        if named is not None and defect is not None and axis.axis == named.axis:
            low_hz, high_hz = axis.rolling.combs[defect].band_hz
            seen = envelope.spectrum(axis.samples, fs_hz=axis.fs_hz, low_hz=low_hz, high_hz=high_hz)
            found[axis.axis] = ((low_hz, high_hz), seen.kurtosis - NOISE_KURTOSIS)
    return found


def _finding(rule: Rule, judged: Judged) -> Finding:
    score = 0.0 if judged.score is None else judged.score
    scores, rights = zip(*CALIBRATION, strict=True)
    confidence = round(min(rule.ceiling, float(np.interp(score, scores, rights))), 2)
    against = (*judged.contradicts, *((rule.caution,) if rule.caution else ()))
    return Finding(rule.fault, judged.axis, confidence, judged.supports, against, judged.lines)


def _of_growth(symptoms: Symptoms, findings: Sequence[Finding]) -> tuple[str, ...]:
    grown = findings and any(axis.of_growth for axis in symptoms.axes)
    return ("shares and ratios of lines are of what has grown over normal",) if grown else ()


def _not_looked_at(findings: Sequence[Finding], unknown: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What would have made the likeliest fault more certain, or less."""
    if not findings or not unknown[findings[0].fault]:
        return ()
    return (f"not known of {FAULTS[findings[0].fault][0]}: {'; '.join(unknown[findings[0].fault])}",)


def _unless_explained(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """A fault found by exclusion is as likely as that none of those it stands in for is the one."""
    unless = next(rule.unless for rule in RULES if rule.fault == finding.fault)
    other = max((o for o in findings if o.fault in unless), key=lambda o: o.confidence, default=None)
    if other is None:
        return finding
    text = f"{FAULTS[other.fault][0]} explains it, {other.confidence:.0%} sure"
    confidence = round(finding.confidence * (1 - other.confidence), 2)
    return replace(finding, confidence=confidence, contradicts=(text, *finding.contradicts))


def _verdict(symptoms: Symptoms, findings: Sequence[Finding], untested: Mapping[str, str]) -> tuple[str, float, str]:
    best = findings[0] if findings else None
    if best is not None and best.confidence >= NAMED_FROM:
        return best.fault, best.confidence, "; ".join(best.supports)
    abnormal = _abnormal(symptoms)
    if best is None and not abnormal:
        tested = 1 - len(untested) / len(RULES)
        return (
            NO_FAULT_FOUND,
            round(tested, 2),
            f"{len(RULES) - len(untested)} of {len(RULES)} faults were looked for",
        )
    if best is None:
        return CANNOT_TELL, 0.0, f"{'; '.join(abnormal)}; no fault that could be looked for explains it"
    words = f"likeliest is {FAULTS[best.fault][0]}, but it is only {best.confidence:.0%} sure"
    return CANNOT_TELL, best.confidence, f"{words}: {'; '.join(best.supports)}"


def _abnormal(symptoms: Symptoms) -> tuple[str, ...]:
    """What is out of the ordinary, whatever the cause."""
    found = []
    for axis in symptoms.axes:
        velocity = velocity_raised(symptoms, axis)
        if not isinstance(velocity, str) and velocity.value >= 1:
            found.append(f"{axis.axis}: {velocity.text}")
        if axis.rolling.call not in (None, "N"):
            found.append(f"{axis.axis}: {axis.rolling.reason}")
    return tuple(found)
