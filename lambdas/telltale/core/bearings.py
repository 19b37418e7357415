"""Rolling bearings: the frequencies their defects strike at, and the geometry of common types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import cos, radians
from typing import NamedTuple

from telltale.core.plant import Bearing


class FaultOrders(NamedTuple):
    """Defect frequencies as multiples of the speed of the ring that turns."""

    bpfo: float  # elements passing a point of the outer race
    bpfi: float  # elements passing a point of the inner race
    bsf: float  # turns of an element about itself; a defect on it strikes twice a turn
    ftf: float  # turns of the cage


def fault_orders(bearing: Bearing, *, outer_ring_rotates: bool = False) -> FaultOrders:
    """Kinematic defect orders of a bearing whose inner ring turns, without slip.

    outer_ring_rotates : the outer ring turns and the inner one stands, as in a wheel or an idler. Elements pass both
    races as often as before, for only the rings' speed against each other counts; the cage turns faster, with the ring
    that is larger: (1 + d / D cos a) / 2.

    R. B. Randall, J. Antoni, "Rolling element bearing diagnostics: a tutorial", MSSP 25 (2011), eq. 1-4.
    Real bearings slip by 1-2 %, so search around these.
    ValueError if the geometry is not that of a bearing.
    """
    _check(bearing)
    ratio = bearing.element_diameter_mm / bearing.pitch_diameter_mm
    tilt = ratio * cos(radians(bearing.contact_angle_deg))
    return FaultOrders(
        bpfo=bearing.elements / 2 * (1 - tilt),
        bpfi=bearing.elements / 2 * (1 + tilt),
        bsf=(1 - tilt**2) / (2 * ratio),
        ftf=(1 + tilt if outer_ring_rotates else 1 - tilt) / 2,
    )


def _check(bearing: Bearing) -> None:
    if bearing.elements < 1:
        raise ValueError(f"bearing {bearing.name}: {bearing.elements} elements, wanted at least 1")
    if not 0 < bearing.element_diameter_mm < bearing.pitch_diameter_mm:
        raise ValueError(
            f"bearing {bearing.name}: element diameter {bearing.element_diameter_mm} mm, "
            f"wanted above 0 and below the pitch diameter {bearing.pitch_diameter_mm} mm"
        )
    if not 0 <= bearing.contact_angle_deg < 90:
        raise ValueError(f"bearing {bearing.name}: contact angle {bearing.contact_angle_deg}°, wanted 0 to below 90")


def estimated(name: str, *, bore_mm: float, outside_mm: float, elements: int) -> Bearing:
    """Geometry of a deep groove ball bearing from its outer dimensions (ISO 15) and the number of its balls.

    The balls' centres lie half-way between bore and outside; a ball takes about 0.3 of (outside - bore), as rules of
    thumb have it. Against the published geometry of 6203 to 6208 both are good to 3 %, and BPFO and BPFI then to 1 %.
    No rule gives the number of balls: count them.
    ValueError if that is no bearing.
    """
    if not 0 < bore_mm < outside_mm:
        raise ValueError(f"bearing {name}: bore {bore_mm} mm, outside {outside_mm} mm, wanted 0 < bore < outside")
    bearing = Bearing(elements, BALL_SHARE * (outside_mm - bore_mm), (bore_mm + outside_mm) / 2, 0.0, name)
    _check(bearing)
    return bearing


BALL_SHARE = 0.3  # of (outside - bore) that the diameter of a ball is
_INCH_MM = 25.4


@dataclass(frozen=True)
class Entry:
    """A bearing, where its geometry is from, and whether part of that is from a rule instead of a publication."""

    bearing: Bearing
    source: str
    estimated: bool = False


_HUST = "N. D. Thuan, H. S. Hong, BMC Research Notes 16 (2023) 138: balls; ISO 15: pitch diameter, by rule"
_COUNT = "number of balls as public tables agree on it; ISO 15: diameters, by rule"
_NOMINAL = "nominal balls, as public tables agree on them; ISO 15: pitch diameter, by rule"

# Geometry of a few common types. Makers differ inside one designation: geometry from the maker's own data sheet is
# better where it can be had. Types whose public tables disagree (6209, 6305) or that no source was found for are left
# out: a wrong number of elements finds nothing, or the wrong thing.
ENTRIES: tuple[Entry, ...] = (
    Entry(Bearing(9, 7.94, 39.04, 0.0, "6205-2RS"), "CWRU Bearing Data Center, drive end: 0.3126 and 1.537 in"),
    Entry(
        Bearing(8, 0.2656 * _INCH_MM, 1.122 * _INCH_MM, 0.0, "6203-2RS"),
        "CWRU Bearing Data Center, fan end: 0.2656 and 1.122 in",
    ),
    Entry(
        Bearing(16, 0.331 * _INCH_MM, 2.815 * _INCH_MM, 15.17, "ZA-2115"),
        "NASA IMS bearing data, readme: Rexnord double row, 0.331 and 2.815 in",
    ),
    Entry(
        Bearing(8, 0.235 * _INCH_MM, 1.245 * _INCH_MM, 0.0, "NICE"),
        "MFPT condition-based maintenance fault data: 0.235 and 1.245 in",
    ),
    Entry(Bearing(13, 3.5, 25.6, 0.0, "PRONOSTIA"), "IEEE PHM 2012 challenge, appendix A.1"),
    Entry(Bearing(8, 7.92, 34.55, 0.0, "UER204"), "XJTU-SY bearing data sets: LDK pillow block insert"),
    Entry(Bearing(8, 7.6, 33.5, 0.0, "6204"), _HUST, estimated=True),
    Entry(Bearing(9, 9.0, 46.0, 0.0, "6206"), _HUST, estimated=True),
    Entry(Bearing(9, 11.0, 53.5, 0.0, "6207"), _HUST, estimated=True),
    Entry(Bearing(9, 12.0, 60.0, 0.0, "6208"), _HUST, estimated=True),
    Entry(Bearing(8, 5.953, 25.0, 0.0, "6202"), _NOMINAL, estimated=True),
    Entry(estimated("6210", bore_mm=50, outside_mm=90, elements=10), _COUNT, estimated=True),
    Entry(estimated("6304", bore_mm=20, outside_mm=52, elements=7), _COUNT, estimated=True),
    Entry(estimated("6306", bore_mm=30, outside_mm=72, elements=8), _COUNT, estimated=True),
    Entry(estimated("6307", bore_mm=35, outside_mm=80, elements=8), _COUNT, estimated=True),
    Entry(estimated("6308", bore_mm=40, outside_mm=90, elements=8), _COUNT, estimated=True),
    Entry(Bearing(8, 17.46, 72.5, 0.0, "6309"), _NOMINAL, estimated=True),
    Entry(Bearing(8, 19.05, 80.0, 0.0, "6310"), _NOMINAL, estimated=True),
)

CATALOGUE: Mapping[str, Bearing] = {
    entry.bearing.name: entry.bearing for entry in ENTRIES if entry.bearing.name is not None
}

MAKERS = ("SKF", "FAG", "INA", "NSK", "NTN", "SNR", "KOYO", "NACHI", "TIMKEN", "FAFNIR", "REXNORD", "LDK")
_BASE = re.compile(r"[A-Z]{0,3}-?\d{3,5}(?!\d)")  # of a designation: a prefix and the digits; suffixes follow


def find(designation: str) -> Bearing:
    """The bearing of a designation as it stands on the ring: "6205-2RS JEM", "6205 2RSH/C3", "SKF 6205".

    Maker, seals, clearance and cage do not matter here: they fall to the base type. LookupError, with near names, for
    one that is not in the catalogue.
    """
    wanted = designation.strip().upper()
    for maker in MAKERS:
        wanted = wanted.removeprefix(maker).strip(" -")
    if wanted in CATALOGUE:
        return CATALOGUE[wanted]
    match = _BASE.match(wanted)
    base = match.group() if match else wanted
    for name, bearing in CATALOGUE.items():
        if _BASE.match(name) and base == _base(name):
            return bearing
    near = get_close_matches(base, [_base(name) for name in CATALOGUE], n=4, cutoff=0.6)
    hint = f"; near it are {', '.join(near)}" if near else ""
    raise LookupError(f'bearing "{designation}" is not in the catalogue{hint}; its geometry can be given instead')


def entry(bearing: Bearing) -> Entry | None:
    """Where a bearing of the catalogue is from; None for one that is not of it."""
    return next((entry for entry in ENTRIES if entry.bearing == bearing), None)


def _base(name: str) -> str:
    match = _BASE.match(name)
    return match.group() if match else name
