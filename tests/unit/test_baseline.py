"""What is normal: learned robustly, kept small, and drifting only as far as is harmless."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.baseline import (
    EMPTY,
    INDICATORS,
    NO_REFERENCES,
    OFFSETS,
    REFERENCES,
    Baseline,
    Deviation,
    Learning,
    judge,
    learn,
    normals,
    refer,
)
from telltale.core.limits import NotAssessable
from telltale.core.schema import FEATURES
from telltale.core.settings import Settings

DEFAULTS = Settings()
HARDLY = 0.015  # ln units; one row's part in a plain mean of 100 would be 0.03


def learned(values: list[float], settings: Settings = DEFAULTS) -> Baseline:
    baseline = EMPTY
    for value in values:
        baseline = learn(baseline, {"rms_g": value}, settings=settings)
    return baseline


def deviation(baseline: Baseline, axis: dict[str, float | None]) -> Deviation:
    found = judge(baseline, axis, settings=DEFAULTS)
    assert isinstance(found, Deviation)
    return found


def noise(seed: int, spread: float, rows: int = 100) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, spread, rows))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.1, 0.3]))
def test_location_and_spread_are_those_of_all_the_rows(seed: int, spread: float) -> None:
    rows = noise(seed, spread)

    normal = learned(rows.tolist())[0]

    assert normal.location == pytest.approx(np.median(np.log(rows)), abs=spread * 0.6)
    assert normal.spread == pytest.approx(spread, rel=0.5)


@pytest.mark.parametrize("place", [0, 1, 2, 50, 99])
def test_one_wild_row_in_the_warm_up_hardly_matters(place: int) -> None:
    rows = noise(1, 0.05)
    wild = rows.copy()
    wild[place] *= 20

    normal, disturbed = learned(rows.tolist())[0], learned(wild.tolist())[0]

    assert disturbed.location == pytest.approx(normal.location, abs=HARDLY)
    assert disturbed.spread == pytest.approx(normal.spread, abs=HARDLY)


def test_while_it_learns_it_says_how_far_it_is() -> None:
    baseline = learned([1.0] * 99)

    assert judge(baseline, {"rms_g": 50.0}, settings=DEFAULTS) == Learning(99, 100)


def test_a_quiet_machine_warns_at_twice_its_normal_and_alarms_at_four_times() -> None:
    baseline = learned([2.0] * 100)

    found = deviation(baseline, {"rms_g": 4.0})

    assert found.score == pytest.approx(1, abs=1e-6)
    assert found.usual == pytest.approx(2)
    assert found.limit(1.0) == pytest.approx(4)
    assert found.limit(2.0) == pytest.approx(8)


def test_a_restless_machine_warns_at_six_sigma() -> None:
    baseline = learned(noise(3, 0.3).tolist())

    normal = baseline[0]

    assert deviation(baseline, {"rms_g": exp(normal.location + 6 * normal.spread)}).score == pytest.approx(1)


def test_the_indicator_that_grew_most_decides_and_all_contributions_are_shown() -> None:
    baseline = EMPTY
    for _ in range(100):
        baseline = learn(baseline, {"rms_g": 1.0, "peak_g": 4.0, "env_bpfo_g": 0.01}, settings=DEFAULTS)

    found = deviation(baseline, {"rms_g": 1.5, "peak_g": 3.0, "env_bpfo_g": 0.04})

    assert (found.feature, found.unit) == ("env_bpfo_g", "g")
    assert set(found.scores) == {"rms_g", "peak_g", "env_bpfo_g"}
    assert sum(found.contributions().values()) == pytest.approx(1)
    assert set(found.contributions()) == {"rms_g", "env_bpfo_g"}


def test_an_indicator_that_comes_late_has_its_own_warm_up() -> None:
    baseline = learned([1.0] * 100)

    baseline = learn(baseline, {"rms_g": 1.0, "env_bpfo_g": 0.01}, settings=DEFAULTS)

    assert set(deviation(baseline, {"rms_g": 1.0, "env_bpfo_g": 9.0}).scores) == {"rms_g"}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.0, -1.0])
def test_what_is_missing_is_neither_learned_nor_judged(value: float | None) -> None:
    baseline = learned([1.0] * 100)

    assert learn(baseline, {"rms_g": value}, settings=DEFAULTS) == baseline
    assert isinstance(judge(baseline, {"rms_g": value}, settings=DEFAULTS), NotAssessable)


@given(st.lists(st.floats(1e-300, 1e300), max_size=30), st.floats(1e-300, 1e300))
def test_no_number_breaks_it(values: list[float], value: float) -> None:
    settings = Settings(warmup=3)
    baseline = learned(values, settings)

    found = judge(baseline, {"rms_g": value}, settings=settings)

    assert isinstance(found, Learning) == (len(values) < 3)
    assert not isinstance(found, Deviation) or found.limit(2.0) > 0


def test_however_slowly_the_level_creeps_normal_moves_by_a_quarter_at_most() -> None:
    settings = Settings(memory=50)
    baseline = learned([1.0] * 100, settings)

    for level in np.linspace(0, log(2), 20_000):
        baseline = learn(baseline, {"rms_g": exp(level)}, settings=settings)

    assert baseline[0].location == pytest.approx(log(1.25), abs=1e-6)


def test_every_indicator_is_a_feature_with_that_unit() -> None:
    units = {column.name: column.unit for column in FEATURES}

    assert {name: units[name] for name in INDICATORS} == dict(INDICATORS)


def test_the_references_are_columns_of_the_schema_and_no_indicators_twice() -> None:
    units = {column.name: column.unit or "" for column in FEATURES}

    assert {name: units[name] for name in REFERENCES} == REFERENCES
    assert not set(REFERENCES) & set(INDICATORS)
    assert set(OFFSETS) <= set(REFERENCES)


def referred(rows: list[dict[str, float | None]]) -> dict[str, float]:
    references = NO_REFERENCES
    for row in rows:
        references = refer(references, row, settings=DEFAULTS)
    return normals(EMPTY, references, settings=DEFAULTS)


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.3]))
def test_a_reference_is_near_the_geometric_mean_of_its_first_hundred_rows(seed: int, spread: float) -> None:
    rows = noise(seed, spread, 200)

    found = referred([{"order_1_mm_s": float(row)} for row in rows])

    assert found == {"order_1_mm_s": pytest.approx(np.exp(np.log(rows[:100]).mean()), rel=0.3 * spread)}


@pytest.mark.parametrize("places", [range(1), range(95, 100), range(0, 100, 15)])
def test_a_few_wild_rows_hardly_move_a_reference(places: range) -> None:
    wild = [
        {"order_1_mm_s": 20.0 if row in places else 1.0, "mean_g": 2.0 if row in places else -1.0} for row in range(100)
    ]

    found = referred([dict(row) for row in wild])

    assert found["order_1_mm_s"] == pytest.approx(1.0, rel=0.2)
    assert found["mean_g"] == pytest.approx(-1.0, abs=0.08)


def test_a_reference_that_is_missing_or_no_number_is_not_learned() -> None:
    assert referred([{"order_1_mm_s": None, "order_2_mm_s": float("nan"), "mean_g": float("inf")}] * 200) == {}
    assert referred([{"mean_g": 0.0, "order_1_mm_s": 0.0}] * 100) == {"mean_g": 0.0}
