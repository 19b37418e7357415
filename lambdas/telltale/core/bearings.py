"""Rolling bearings: the frequencies their defects strike at, and the geometry of common types."""

from collections.abc import Mapping
from math import cos, radians
from typing import NamedTuple

from telltale.core.plant import Bearing


class FaultOrders(NamedTuple):
    """Defect frequencies as multiples of the shaft speed, outer ring standing still."""

    bpfo: float  # elements passing a point of the outer race
    bpfi: float  # elements passing a point of the inner race
    bsf: float  # turns of an element about itself; a defect on it strikes twice a turn
    ftf: float  # turns of the cage


def fault_orders(bearing: Bearing) -> FaultOrders:
    """Kinematic defect orders of a bearing whose inner ring turns, without slip.

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
        ftf=(1 - tilt) / 2,
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


_INCH_MM = 25.4


def _catalogue(*bearings: Bearing) -> dict[str, Bearing]:
    return {bearing.name: bearing for bearing in bearings if bearing.name is not None}


# Geometry of a few common types, each from the public record named beside it. Makers differ inside one
# designation: geometry from the maker's own data sheet is better where it can be had.
CATALOGUE: Mapping[str, Bearing] = _catalogue(
    Bearing(9, 7.94, 39.04, 0.0, "6205-2RS"),  # CWRU Bearing Data Center, drive end: 0.3126 and 1.537 in
    Bearing(8, 0.2656 * _INCH_MM, 1.122 * _INCH_MM, 0.0, "6203-2RS"),  # CWRU Bearing Data Center, fan end
    Bearing(16, 0.331 * _INCH_MM, 2.815 * _INCH_MM, 15.17, "ZA-2115"),  # NASA IMS bearing data, readme
    Bearing(8, 0.235 * _INCH_MM, 1.245 * _INCH_MM, 0.0, "NICE"),  # MFPT condition-based maintenance fault data
    Bearing(13, 3.5, 25.6, 0.0, "PRONOSTIA"),  # IEEE PHM 2012 challenge, appendix A.1
)
