"""What is normal for one axis of one position: a robust location and spread of each indicator, in logarithms.

Logarithms, because vibration grows by factors: a step of ln 2.5 is one zone of ISO 10816-1 whatever the machine.
Twelve bytes and a count for each indicator, so that all of a position fits in a kilobyte.

References are indicators that are not judged: what is usual for them is learned in the warm-up and then kept, for
diagnosis and sensor health to compare with. Five bytes each.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log
from statistics import median
from struct import Struct
from typing import NamedTuple

from telltale.core.limits import NotAssessable
from telltale.core.settings import MOST_ROWS, Settings

# Kurtosis and crest are left out: they rise when the RMS falls, and where they rise with the peak, the peak says so.
INDICATORS: Mapping[str, str] = {
    "rms_g": "g",
    "peak_g": "g",
    "velocity_rms_mm_s": "mm/s",
    "env_rms_g": "g",
    "env_bpfo_g": "g",
    "env_bpfi_g": "g",
    "env_bsf_g": "g",
    "env_ftf_g": "g",
}

ENVELOPE_INDICATORS = tuple(name for name in INDICATORS if name.startswith("env_"))

REFERENCES: Mapping[str, str] = {
    "order_1_mm_s": "mm/s",
    "order_2_mm_s": "mm/s",
    "order_3_mm_s": "mm/s",
    "order_4_10_mm_s": "mm/s",
    "blade_pass_mm_s": "mm/s",
    "line_2_mm_s": "mm/s",
    "gear_mesh_g": "g",
    "gear_sideband_ratio": "",
    "band_2000_5000_g": "g",
    "band_5000_10000_g": "g",
    "band_10000_20000_g": "g",
    "noise_floor_g_rthz": "g/√Hz",
    "repeated_share": "",
    "mean_g": "g",
}
KNOWN = (*INDICATORS, *REFERENCES)
_PLACES = {name: place for place, name in enumerate(KNOWN)}
OFFSETS = ("mean_g",)  # of either sign: learned as they are, not in logarithms
MOST_REFERENCE_ROWS = 255  # rows a reference can count; a layout constant of the packed state
REFERENCE_STEP = 0.7  # ln units: no single row counts for more than a doubling. A guess
OFFSET_STEP_G = 0.5  # likewise for an offset. A guess

SMALLEST_SPREAD = 0.05  # ln units: 5 %, the smallest change worth a unit
HUBER = 1.5  # spreads beyond which a row no longer pulls the location (Huber 1981, the usual round value)
WINSOR = 3.0  # spreads beyond which a row no longer widens the spread
LARGEST_LN = 700.0  # exp of more overflows
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MEAN_DEVIATION_TO_SIGMA = 1.2533  # likewise: sqrt(pi / 2)

_FLOATS = Struct("<3f")
_FLOAT = Struct("<f")


class Normal(NamedTuple):
    """What is normal for one indicator, in ln of its unit. The first rows wait in the slots for the third."""

    location: float = 0.0
    spread: float = 0.0
    anchor: float = 0.0  # the location that was learned in the warm-up
    rows: int = 0

    def distance(self, settings: Settings) -> float:
        """How far from the location, in ln, a warning begins."""
        return max(settings.sigmas * max(self.spread, SMALLEST_SPREAD), log(settings.growth))


Baseline = tuple[Normal, ...]  # in the order of INDICATORS
EMPTY: Baseline = (Normal(),) * len(INDICATORS)


class Usual(NamedTuple):
    """What is usual for one reference: robust mean of its first rows, in ln of its unit (an offset: as it is).

    Each row counts in proportion to its number, so that a wild first row is soon forgotten.
    """

    level: float = 0.0
    rows: int = 0


References = tuple[Usual, ...]  # in the order of REFERENCES
NO_REFERENCES: References = (Usual(),) * len(REFERENCES)


@dataclass(frozen=True)
class Learning:
    """The baseline does not judge yet: `rows` of `wanted` are learned."""

    rows: int
    wanted: int


@dataclass(frozen=True)
class Deviation:
    """How far one row is from normal. `scores` by indicator, 1 is on the warning limit; `value` in `unit`."""

    scores: Mapping[str, float]
    feature: str
    value: float
    normal: Normal
    distance: float  # of the warning limit from normal, in ln

    @property
    def score(self) -> float:
        return self.scores[self.feature]

    @property
    def unit(self) -> str:
        return INDICATORS[self.feature]

    @property
    def usual(self) -> float:
        """The value that is normal, in `unit`."""
        return self.limit(0.0)

    def limit(self, score: float) -> float:
        """The value that has this score, in `unit`."""
        return exp(min(self.normal.location + score * self.distance, LARGEST_LN))

    @property
    def reason(self) -> str:
        return (
            f"{self.feature} {self.value:.3g} {self.unit} is {self.value / self.usual:.2g} times its normal "
            f"{self.usual:.3g} {self.unit}, warning from {self.limit(1.0):.3g} {self.unit} "
            f"(learned from {self.normal.rows} captures)"
        )

    def contributions(self) -> dict[str, float]:
        """Each indicator's share in what is above normal; they sum to 1, or are empty if nothing is above."""
        above = {name: score for name, score in self.scores.items() if score > 0}
        return {name: score / sum(above.values()) for name, score in above.items()}


def judge(
    baseline: Sequence[Normal], axis: Mapping[str, float | None], *, settings: Settings
) -> Deviation | Learning | NotAssessable:
    """One axis of a row against its baseline; the indicator with the highest score decides.

    Only growth counts: a quieter machine scores below zero. An indicator that is missing, not finite or not
    above zero is not judged, nor is one whose own warm-up is not over.
    """
    found = _logarithms(axis)
    if not any(x is not None for x in found):
        return NotAssessable("no indicator of the baseline in this capture")
    ready = [
        (name, normal, x)
        for name, normal, x in zip(INDICATORS, baseline, found, strict=True)
        if x is not None and normal.rows >= settings.warmup
    ]
    if not ready:
        rows = max(normal.rows for normal, x in zip(baseline, found, strict=True) if x is not None)
        return Learning(rows, settings.warmup)
    scores = {name: (x - normal.location) / normal.distance(settings) for name, normal, x in ready}
    name, normal, x = max(ready, key=lambda one: scores[one[0]])
    return Deviation(scores, name, exp(x), normal, normal.distance(settings))


def learn(baseline: Sequence[Normal], axis: Mapping[str, float | None], *, settings: Settings) -> Baseline:
    """The baseline after one healthy row. What is missing in the row is left as it was."""
    return tuple(
        normal if x is None else _learn(normal, x, settings)
        for normal, x in zip(baseline, _logarithms(axis), strict=True)
    )


def refer(references: References, axis: Mapping[str, float | None], *, settings: Settings) -> References:
    """The references after one healthy row. After the warm-up they stay: what may drift is judged elsewhere."""
    wanted = _reference_rows(settings)
    if min(rows for _, rows in references) >= wanted:
        return references
    return tuple(
        usual if usual.rows >= wanted else _refer(usual, name, axis.get(name))
        for name, usual in zip(REFERENCES, references, strict=True)
    )


def normals(
    baseline: Sequence[Normal], references: References, *, settings: Settings, names: Iterable[str] = KNOWN
) -> dict[str, float]:
    """What is usual here for each of `names` whose warm-up is over, in its unit."""
    found = {}
    wanted = _reference_rows(settings)
    for name in names:
        place = _PLACES[name]
        if place < len(INDICATORS):
            normal = baseline[place]
            if normal.rows >= settings.warmup:
                found[name] = exp(min(normal.location, LARGEST_LN))
        else:
            usual = references[place - len(INDICATORS)]
            if usual.rows >= wanted:
                found[name] = usual.level if name in OFFSETS else exp(min(usual.level, LARGEST_LN))
    return found


def steadiness(baseline: Sequence[Normal], name: str, *, settings: Settings) -> tuple[float, float] | None:
    """What is usual for an indicator, and how far it goes by itself (`sigmas` spreads); None while it is learned."""
    normal = baseline[_PLACES[name]]
    if normal.rows < settings.warmup:
        return None
    reach = normal.location + settings.sigmas * max(normal.spread, SMALLEST_SPREAD)
    return exp(min(normal.location, LARGEST_LN)), exp(min(reach, LARGEST_LN))


def anew(baseline: Baseline, names: Collection[str]) -> Baseline:
    """The baseline with these indicators to be learned from the start."""
    return tuple(Normal() if name in names else normal for name, normal in zip(INDICATORS, baseline, strict=True))


def _reference_rows(settings: Settings) -> int:
    return min(settings.warmup, MOST_REFERENCE_ROWS)


def _refer(usual: Usual, name: str, value: float | None) -> Usual:
    offset = name in OFFSETS
    x = value if offset and value is not None and isfinite(value) else None if offset else _logarithm(value)
    if x is None:
        return usual
    step = OFFSET_STEP_G if offset else REFERENCE_STEP
    off = x - usual.level
    pull = off if usual.rows == 0 else min(max(off, -step), step) * 2 / (usual.rows + 1)
    [level] = _FLOAT.unpack(_FLOAT.pack(usual.level + pull))
    return Usual(level, usual.rows + 1)


def _learn(normal: Normal, x: float, settings: Settings) -> Normal:
    location, spread, anchor, rows = normal
    if rows == 0:
        return _stored(x, 0.0, 0.0, 1)
    if rows == 1:
        return _stored(location, x, 0.0, 2)
    if rows == 2:
        middle = median((location, spread, x))
        scale = MAD_TO_SIGMA * median(abs(one - middle) for one in (location, spread, x))
        return _stored(middle, scale, middle, 3)
    unit, off = max(spread, SMALLEST_SPREAD), x - location
    pull = min(max(off, -HUBER * unit), HUBER * unit)
    if rows < settings.warmup:
        location += pull / (rows + 1)
        spread += (MEAN_DEVIATION_TO_SIGMA * min(abs(off), WINSOR * unit) - spread) / (rows + 1)
        return _stored(location, spread, location, rows + 1)
    drift = log(1 + settings.significant)
    location = min(max(location + pull / settings.memory, anchor - drift), anchor + drift)
    return _stored(location, spread, anchor, min(rows + 1, MOST_ROWS))


def _stored(location: float, spread: float, anchor: float, rows: int) -> Normal:
    """With float32's digits, so that what goes on in memory is what comes back from storage."""
    location, spread, anchor = _FLOATS.unpack(_FLOATS.pack(location, spread, anchor))
    return Normal(location, spread, anchor, rows)


def _logarithms(axis: Mapping[str, float | None]) -> list[float | None]:
    return [_logarithm(axis.get(name)) for name in INDICATORS]


def _logarithm(value: float | None) -> float | None:
    return log(value) if value is not None and value > 0 and isfinite(value) else None
