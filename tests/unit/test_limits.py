"""Zones and limits: the traps that other implementations fell into, each a test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.limits import (
    PROFILES,
    Judgement,
    NotAssessable,
    UnknownProfile,
    judge_temperature,
    judge_velocity,
    profile,
)
from telltale.core.plant import Limits, Position

PUMP = Position("plant/hall/pump-1/motor-de", machine_class="iso10816-1/II")


def velocity(value: float | None, position: Position = PUMP, speed_rpm: float | None = 1480.0) -> Judgement:
    found = judge_velocity({"velocity_rms_mm_s": value}, position=position, speed_rpm=speed_rpm)
    assert isinstance(found, Judgement)
    return found


def why_not(axis: dict[str, float | None], position: Position = PUMP, speed_rpm: float | None = 1480.0) -> str:
    found = judge_velocity(axis, position=position, speed_rpm=speed_rpm)
    assert isinstance(found, NotAssessable)
    return found.reason


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_rises_from_zone_to_zone_and_says_where_it_is_from(name: str) -> None:
    one = PROFILES[name]

    assert one.id == name
    assert 0 < one.a_b < one.b_c < one.c_d
    assert one.standard.startswith("ISO ")
    assert one.source
    assert not one.verified  # until somebody compared it with the purchased text


@pytest.mark.parametrize("name", PROFILES)
def test_a_value_on_a_boundary_is_in_the_worse_zone(name: str) -> None:
    one = PROFILES[name]

    assert [one.zone(limit) for limit in (0, one.a_b, one.b_c, one.c_d)] == ["A", "B", "C", "D"]
    assert [one.zone(limit * 0.999) for limit in (one.a_b, one.b_c, one.c_d)] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("name", "boundaries"),
    [
        ("iso10816-1/II", (1.12, 2.8, 7.1)),
        ("iso20816-3/2-rigid", (1.4, 2.8, 4.5)),  # printed with C/D 7.1 in some tables
        ("iso20816-3/1-flexible", (3.5, 7.1, 11.0)),  # printed with 11.2 in some tables
        ("iso10816-7/II-le200kW", (3.2, 5.1, 8.5)),  # pumps: not the figures of part 3
    ],
)
def test_the_boundaries_are_those_of_the_standard(name: str, boundaries: tuple[float, float, float]) -> None:
    one = profile(name)

    assert (one.a_b, one.b_c, one.c_d) == boundaries


@pytest.mark.parametrize(
    ("value", "verdict", "zone", "limit"),
    [(1.0, "HEALTHY", "A", 2.8), (2.79, "HEALTHY", "B", 2.8), (2.8, "WARNING", "C", 2.8), (7.1, "ALARM", "D", 7.1)],
)
def test_zones_a_and_b_are_healthy_c_warns_d_alarms(value: float, verdict: str, zone: str, limit: float) -> None:
    found = velocity(value)

    assert (found.verdict, found.zone, found.limit) == (verdict, zone, limit)
    assert "ISO 10816-1:1995 class II" in found.source


@given(st.floats(0.001, 100), st.sampled_from(sorted(PROFILES)))
def test_more_vibration_is_never_judged_better(value: float, name: str) -> None:
    position = Position("p/a/b/c", machine_class=name)
    order = ["HEALTHY", "WARNING", "ALARM"]

    assert order.index(velocity(value, position).verdict) <= order.index(velocity(value * 1.1, position).verdict)


def test_a_persons_limit_overrides_the_class_and_the_zone_it_would_be_is_still_reported() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=5.0))

    found = velocity(3.0, position)

    assert (found.verdict, found.source, found.zone) == ("HEALTHY", "user", "C")
    assert velocity(7.1, position).verdict == "ALARM"  # the class still decides what no person set


def test_a_warning_set_above_the_classs_alarm_moves_the_alarm_with_it() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=9.0))

    assert [velocity(value, position).verdict for value in (8.9, 9.0)] == ["HEALTHY", "ALARM"]


def test_an_alarm_set_alone_is_the_only_limit() -> None:
    position = Position("p/a/b/c", limits=Limits(velocity_alarm_mm_s=4.0))

    assert [velocity(value, position).verdict for value in (3.9, 4.0)] == ["HEALTHY", "ALARM"]


def test_a_warning_set_alone_never_becomes_an_alarm() -> None:
    position = Position("p/a/b/c", limits=Limits(velocity_warning_mm_s=4.0))

    assert [velocity(value, position).verdict for value in (3.9, 4.0, 400.0)] == ["HEALTHY", "WARNING", "WARNING"]


def test_without_a_class_and_a_limit_there_is_no_guess() -> None:
    assert "no machine class" in why_not({"velocity_rms_mm_s": 9.0}, Position("p/a/b/c"))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_missing_velocity_is_not_zero(value: float | None) -> None:
    assert "no velocity" in why_not({"velocity_rms_mm_s": value})


def test_a_slow_shaft_needs_the_band_from_2_hz() -> None:
    position = Position("p/a/b/c", machine_class="iso20816-3/2-rigid")
    axis: dict[str, float | None] = {"velocity_rms_mm_s": 0.1, "velocity_2_rms_mm_s": 3.0}

    found = judge_velocity(axis, position=position, speed_rpm=599)

    assert isinstance(found, Judgement)
    assert (found.feature, found.verdict) == ("velocity_2_rms_mm_s", "WARNING")
    assert "2 Hz" in why_not({"velocity_rms_mm_s": 0.1}, position, speed_rpm=599)
    assert velocity(0.1, position, speed_rpm=600).verdict == "HEALTHY"


def test_a_standard_that_ends_at_600_rpm_does_not_judge_below() -> None:
    axis: dict[str, float | None] = {"velocity_rms_mm_s": 9.0, "velocity_2_rms_mm_s": 9.0}

    assert "judges shafts from 600" in why_not(axis, speed_rpm=300)


def test_a_persons_limit_holds_on_a_slow_shaft_too_but_gives_no_zone() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=1.0))

    found = velocity(2.0, position, speed_rpm=300)

    assert (found.verdict, found.zone) == ("WARNING", None)


def test_an_unknown_class_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownProfile) as caught:
        profile("iso10816-3/III")

    assert "iso20816-3/2-rigid" in str(caught.value)


def test_temperature_is_judged_by_what_a_person_set() -> None:
    position = Position("p/a/b/c", limits=Limits(temperature_warning_c=70, temperature_alarm_c=85))

    found = [judge_temperature(value, position=position) for value in (69.9, 70, 85)]

    assert [one.verdict for one in found if isinstance(one, Judgement)] == ["HEALTHY", "WARNING", "ALARM"]
    assert isinstance(judge_temperature(200, position=PUMP), NotAssessable)
    assert isinstance(judge_temperature(None, position=position), NotAssessable)


@pytest.mark.parametrize("limit", [0.0, -5.0])
def test_a_limit_that_is_not_above_zero_gives_no_score(limit: float) -> None:
    position = Position("p/a/b/c", limits=Limits(temperature_warning_c=limit))

    assert isinstance(judge_temperature(10, position=position), NotAssessable)
