"""Bearing geometry becomes the frequencies its defects strike at."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.bearings import CATALOGUE, ENTRIES, entry, estimated, fault_orders, find
from telltale.core.plant import Bearing


def test_a_6205_at_1800_rpm_strikes_where_the_textbook_says() -> None:
    bearing = CATALOGUE["6205-2RS"]

    hz = [order * 1800 / 60 for order in fault_orders(bearing)]

    assert hz == pytest.approx([107.54, 162.46, 70.70, 11.95], abs=0.01)


@pytest.mark.parametrize(
    ("name", "rpm", "published_hz"),
    [
        ("ZA-2115", 2000, (236.4, 296.9, 139.9, 14.8)),
        ("NICE", 1500, (81.1, 118.9, 63.9)),  # the cage frequency printed there is that of a turning outer ring
        ("6203-2RS", 60, (3.053, 4.947, 3.988 / 2, 0.382)),
        ("UER204", 2400, (123.32, 196.68)),
    ],
)
def test_the_catalogue_agrees_with_the_frequencies_its_sources_publish(
    name: str, rpm: float, published_hz: tuple[float, ...]
) -> None:
    bearing = CATALOGUE[name]

    hz = [order * rpm / 60 for order in fault_orders(bearing)]

    assert hz[: len(published_hz)] == pytest.approx(published_hz, rel=0.005)


def test_the_catalogue_finds_each_bearing_by_its_own_name() -> None:
    assert all(bearing.name == name for name, bearing in CATALOGUE.items())


@given(
    elements=st.integers(3, 40),
    pitch=st.floats(5, 500),
    share=st.floats(0.02, 0.5),
    angle=st.floats(0, 60),
)
def test_races_share_the_passages_and_the_cage_carries_the_elements(
    elements: int, pitch: float, share: float, angle: float
) -> None:
    orders = fault_orders(Bearing(elements, share * pitch, pitch, angle))

    assert orders.bpfo + orders.bpfi == pytest.approx(elements)
    assert orders.bpfo == pytest.approx(elements * orders.ftf)
    assert 0 < orders.ftf <= 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"elements": 0}, {"element_diameter_mm": 0.0}, {"element_diameter_mm": 40.0}, {"contact_angle_deg": 90.0}],
)
def test_an_impossible_geometry_is_refused(wrong: dict[str, float]) -> None:
    bearing = replace(CATALOGUE["6205-2RS"], **wrong)  # type: ignore[arg-type]  # one field at a time, by name

    with pytest.raises(ValueError):
        fault_orders(bearing)


def test_a_6205_s_published_ball_order_is_that_of_two_strikes_a_turn() -> None:
    orders = fault_orders(CATALOGUE["6205-2RS"])

    assert orders == pytest.approx((3.5848, 5.4152, 2.3567, 0.3983), abs=1e-4)
    assert 2 * orders.bsf == pytest.approx(4.7135, abs=1e-4)  # what lists call "rolling element"


def test_the_two_pitch_diameters_in_use_for_a_6205_differ_by_less_than_slip() -> None:
    published, by_rule = fault_orders(CATALOGUE["6205-2RS"]), fault_orders(Bearing(9, 7.94, 38.5))

    assert by_rule.bpfo / published.bpfo == pytest.approx(1 - 0.0036, abs=1e-4)
    assert by_rule.bsf / published.bsf == pytest.approx(1 - 0.0151, abs=5e-4)


def test_a_turning_outer_ring_changes_the_cage_alone() -> None:
    bearing = CATALOGUE["NICE"]

    inner, outer = fault_orders(bearing), fault_orders(bearing, outer_ring_rotates=True)

    assert outer[:3] == inner[:3]
    assert inner.ftf + outer.ftf == pytest.approx(1)
    assert outer.ftf * 25 == pytest.approx(14.8, abs=0.1)  # printed with that data


@pytest.mark.parametrize(
    ("designation", "name"),
    [
        ("6205-2RS JEM", "6205-2RS"),
        ("6205 2RSH/C3", "6205-2RS"),
        ("SKF 6205", "6205-2RS"),
        ("skf6205", "6205-2RS"),
        ("6205", "6205-2RS"),
        ("6308-ZZ", "6308"),
        ("FAG 6203.2ZR.C3", "6203-2RS"),
        ("Rexnord ZA-2115", "ZA-2115"),
        ("LDK UER204", "UER204"),
        ("NICE", "NICE"),
    ],
)
def test_a_designation_as_it_stands_on_the_ring_falls_to_its_type(designation: str, name: str) -> None:
    assert find(designation).name == name


@pytest.mark.parametrize("designation", ["16205", "NU205", "62205", "620", "bearing", ""])
def test_a_bearing_that_is_not_in_the_catalogue_is_not_taken_for_another(designation: str) -> None:
    with pytest.raises(LookupError, match="not in the catalogue"):
        find(designation)


def test_who_asks_for_a_missing_bearing_is_told_the_near_ones() -> None:
    with pytest.raises(LookupError, match=r"6305-2Z.*6308.*geometry can be given"):
        find("6305-2Z")


def test_every_entry_of_the_catalogue_has_a_source_and_is_a_bearing() -> None:
    assert all(e.source and fault_orders(e.bearing).ftf < 0.5 for e in ENTRIES)
    assert entry(CATALOGUE["6306"]) is not None
    assert entry(Bearing(9, 8.0, 40.0)) is None


@pytest.mark.parametrize(
    ("name", "bore_mm", "outside_mm"), [("6203-2RS", 17, 40), ("6204", 20, 47), ("6206", 30, 62), ("6208", 40, 80)]
)
def test_what_the_rule_estimates_is_as_good_as_it_says(name: str, bore_mm: float, outside_mm: float) -> None:
    published = CATALOGUE[name]

    guess = fault_orders(estimated("x", bore_mm=bore_mm, outside_mm=outside_mm, elements=published.elements))

    assert guess[:2] == pytest.approx(fault_orders(published)[:2], rel=0.02)


def test_no_bearing_is_estimated_from_impossible_dimensions() -> None:
    with pytest.raises(ValueError, match="wanted 0 < bore < outside"):
        estimated("x", bore_mm=40, outside_mm=30, elements=8)
