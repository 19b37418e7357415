"""What is normal for one axis of one position: a robust location and spread of each indicator, in logarithms.

Logarithms, because vibration grows by factors: a step of ln 2.5 is one zone of ISO 10816-1 whatever the machine.
Twelve bytes and a count for each indicator, so that all of a position fits in a kilobyte.

References are indicators that are not judged: what is usual for them is learned in the warm-up and then kept, for
diagnosis and sensor health to compare with. Five bytes each.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, inf, isfinite, log
from operator import itemgetter
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

_NAMES = tuple(INDICATORS)
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

_FLOAT = Struct("<f")
_ROWS = itemgetter(1)  # of a Usual


class Normal(NamedTuple):
    """What is normal for one indicator, in ln of its unit. The first rows wait in the slots for the third."""

    location: float = 0.0
    spread: float = 0.0
    anchor: float = 0.0  # the location that was learned in the warm-up
    rows: int = 0


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
    scores: dict[str, float] = {}
    best = learned = -1
    highest, widest, growth = -inf, 0.0, log(settings.growth)
    for place, (name, normal, x) in enumerate(zip(INDICATORS, baseline, found, strict=True)):
        if x is None:
            continue
        location, spread, _, rows = normal
        learned = rows if rows > learned else learned
        if rows < settings.warmup:
            continue
        # in ln, from normal to the warning limit
        distance = settings.sigmas * (spread if spread > SMALLEST_SPREAD else SMALLEST_SPREAD)
        distance = distance if distance > growth else growth
        scores[name] = score = (x - location) / distance
        if score > highest or best < 0:
            best, highest, widest = place, score, distance
    if best < 0:
        if learned < 0:
            return NotAssessable("no indicator of the baseline in this capture")
        return Learning(learned, settings.warmup)
    x = found[best]
    return Deviation(scores, _NAMES[best], exp(x or 0.0), baseline[best], widest)


def learn(baseline: Sequence[Normal], axis: Mapping[str, float | None], *, settings: Settings) -> Baseline:
    """The baseline after one healthy row. What is missing in the row is left as it was."""
    drift = log(1 + settings.significant)
    learned = [
        None if x is None else _learn(normal, x, settings, drift)
        for normal, x in zip(baseline, _logarithms(axis), strict=True)
    ]
    # With float32's digits, so that what goes on in memory is what comes back from storage.
    numbers = [number for one in learned if one is not None for number in one[:3]]
    floats = _floats(len(numbers))
    kept = floats.unpack(floats.pack(*numbers))
    after, at = list(baseline), 0
    for place, one in enumerate(learned):
        if one is not None:
            after[place] = Normal(kept[at], kept[at + 1], kept[at + 2], one[3])
            at += 3
    return tuple(after)


def refer(references: References, axis: Mapping[str, float | None], *, settings: Settings) -> References:
    """The references after one healthy row. After the warm-up they stay: what may drift is judged elsewhere."""
    wanted = _reference_rows(settings)
    if min(map(_ROWS, references)) >= wanted:
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


def _learn(normal: Normal, x: float, settings: Settings, drift: float) -> tuple[float, float, float, int]:
    """Location, spread, anchor and rows after one more row. drift : ln units that the location may leave its anchor."""
    location, spread, anchor, rows = normal
    if rows == 0:
        return x, 0.0, 0.0, 1
    if rows == 1:
        return location, x, 0.0, 2
    if rows == 2:
        middle = median((location, spread, x))
        scale = MAD_TO_SIGMA * median(abs(one - middle) for one in (location, spread, x))
        return middle, scale, middle, 3
    unit, off = spread if spread > SMALLEST_SPREAD else SMALLEST_SPREAD, x - location
    reach = HUBER * unit
    pull = reach if off > reach else -reach if off < -reach else off
    if rows < settings.warmup:
        location += pull / (rows + 1)
        spread += (MEAN_DEVIATION_TO_SIGMA * min(abs(off), WINSOR * unit) - spread) / (rows + 1)
        return location, spread, location, rows + 1
    location += pull / settings.memory
    low, high = anchor - drift, anchor + drift
    location = low if location < low else high if location > high else location
    return location, spread, anchor, min(rows + 1, MOST_ROWS)


@cache
def _floats(count: int) -> Struct:
    return Struct(f"<{count}f")


def _logarithms(axis: Mapping[str, float | None]) -> list[float | None]:
    values = map(axis.get, _NAMES)
    return [log(value) if value is not None and 0.0 < value < inf else None for value in values]


def _logarithm(value: float | None) -> float | None:
    return log(value) if value is not None and 0.0 < value < inf else None
