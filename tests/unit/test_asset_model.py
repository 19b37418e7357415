"""The model of many tags: what it finds, what it leaves alone; splitting, packing and storing change nothing."""

import json
import math
from base64 import b64decode
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core import asset_model
from telltale.core.asset_model import ANOMALY, NO_ANOMALY, OFF, Model, Scores, State

TAGS = ("flow", "power", "speed", "noise")


def healthy(rows: int, *, seed: int = 0) -> np.ndarray:
    """Speed drives flow and power; noise is on its own."""
    rng = np.random.default_rng(seed)
    speed = 100 + 5 * rng.normal(size=rows)
    flow, power = speed / 10 + 0.05 * rng.normal(size=rows), speed / 5 + 0.1 * rng.normal(size=rows)
    return np.column_stack([flow, power, speed, rng.normal(size=rows)])


def trained(**given: Any) -> Model:
    return asset_model.train(healthy(1000), tags=TAGS, **given)


def scored(model: Model, rows: np.ndarray, **given: Any) -> Scores:
    return asset_model.score(model, asset_model.start(model), rows, **given)[1]


MODEL = trained()


def test_healthy_rows_that_were_not_learned_from_are_quiet() -> None:
    model = trained(false_alarm_rows=100_000)

    assert not scored(model, healthy(3000, seed=1)).is_anomaly.any()


def test_a_tag_that_no_longer_fits_the_others_alarms_and_is_named() -> None:
    rows = healthy(300, seed=1)
    rows[100:, 0] -= 0.5  # a twelfth of what flow swings by itself

    found = scored(MODEL, rows)

    assert not found.is_anomaly[:100].any()
    assert found.is_anomaly[120:].all()
    assert (np.argmax(found.contributions[150:], axis=1) == 0).all()


def test_an_alarm_ends_when_the_fault_does() -> None:
    rows = healthy(400, seed=1)
    rows[100:200, 0] -= 0.5

    found = scored(MODEL, rows)

    assert found.is_anomaly[150:200].all()
    assert not found.is_anomaly[260:].any()


def test_a_level_that_moves_and_settles_is_a_change_each_time() -> None:
    rows = healthy(500, seed=1)
    rows[100:300, 0] -= 0.5

    changes = np.flatnonzero(scored(MODEL, rows).is_changepoint)

    assert len(changes) == 5
    assert 100 <= changes[0] <= 103  # it moves, and the alarm begins
    assert 103 < changes[1] < 200  # it has settled
    assert 300 <= changes[2] <= 303  # it moves back
    assert changes[4] < 400  # the alarm ends, and it has settled


def test_a_tag_that_swings_about_its_usual_level_alarms_and_is_named() -> None:
    rows = healthy(400, seed=1)
    rows[100:, 0] += 0.15 * np.where(np.arange(300) % 2, 1, -1)  # three times its own noise, and gone in any average

    found = scored(MODEL, rows)

    assert not found.is_anomaly[:100].any()
    assert found.is_anomaly[130:].all()
    assert np.mean(np.argmax(found.contributions[150:], axis=1) == 0) > 0.9


def test_contributions_sum_to_one_and_scores_lie_between_nought_and_one() -> None:
    rows = healthy(400, seed=1)
    rows[50:, 1] *= 3

    found = scored(MODEL, rows)

    np.testing.assert_allclose(found.contributions.sum(axis=1), 1)
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (found.score[found.is_anomaly][:1] > 0.5).all()


def test_a_machine_that_is_off_is_not_judged_and_changes_nothing() -> None:
    rows = healthy(300, seed=1)
    off = np.zeros(300, bool)
    off[100:150] = True
    standing = np.where(off[:, None], 0.0, rows)

    found = scored(MODEL, standing, off=off)
    without = scored(MODEL, rows[~off])

    assert set(np.array(found.reasons)[off]) == {OFF}
    assert np.isnan(found.score[off]).all()
    np.testing.assert_allclose(found.score[~off], without.score, rtol=1e-9)


def test_reasons_are_those_of_lookout_for_equipment() -> None:
    rows = healthy(100, seed=1)
    rows[50:, 3] += 50

    assert {*scored(MODEL, rows).reasons} == {ANOMALY, NO_ANOMALY}


@settings(max_examples=20)
@given(st.lists(st.integers(1, 199), max_size=4), st.booleans(), st.booleans())
def test_splitting_the_rows_packing_the_state_and_storing_the_model_change_nothing(
    cuts: list[int], fault: bool, gaps: bool
) -> None:
    rows = healthy(200, seed=2)
    if fault:
        rows[60:110, 1] += 3
    if gaps:
        rows[30:40, 2] = np.nan
    stored = asset_model.from_json(json.loads(json.dumps(asset_model.as_json(MODEL))))

    state, parts = asset_model.start(stored), []
    for part in np.split(rows, sorted(cuts)):
        state, found = asset_model.score(stored, asset_model.unpacked(asset_model.packed(state)), part)
        parts.append(found)

    whole = scored(MODEL, rows)
    np.testing.assert_allclose(np.concatenate([part.score for part in parts]), whole.score, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([part.is_anomaly for part in parts]), whole.is_anomaly)
    np.testing.assert_array_equal(np.concatenate([part.is_changepoint for part in parts]), whole.is_changepoint)


def test_later_rows_do_not_change_what_was_said() -> None:
    rows = healthy(300, seed=3)
    changed = rows.copy()
    changed[150:] += 40

    np.testing.assert_allclose(scored(MODEL, rows).score[:150], scored(MODEL, changed).score[:150], rtol=1e-12)


def test_the_input_is_left_alone() -> None:
    rows = healthy(200)
    rows[5, 1] = np.nan
    before = rows.copy()

    scored(asset_model.train(rows, tags=TAGS), rows)

    np.testing.assert_array_equal(rows, before)


def test_a_missing_tag_neither_alarms_nor_silences_the_others() -> None:
    rows = healthy(400, seed=1)
    rows[100:, 3] = np.nan
    rows[250:, 0] -= 0.5

    found = scored(MODEL, rows)

    assert not found.is_anomaly[:250].any()
    assert found.is_anomaly[270:].all()
    assert (found.contributions[100:, 3] == 0).all()


def test_tags_that_say_nothing_are_left_out_with_the_reason() -> None:
    rows = np.column_stack([healthy(500), np.full(500, 7.0), np.full(500, np.nan)])

    model = asset_model.train(rows, tags=[*TAGS, "stuck", "dead"])

    assert model.tags == TAGS
    assert list(model.left_out) == ["stuck", "dead"]


@pytest.mark.parametrize("rows", [np.zeros((50, 2)), np.zeros((500, 2)), np.zeros(500)], ids=["few", "flat", "vector"])
def test_what_cannot_be_learned_from_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError):
        asset_model.train(rows, tags=["a", "b"])


def test_no_rows_are_no_scores() -> None:
    assert len(scored(MODEL, np.empty((0, 4))).score) == 0


def test_noise_alarms_no_more_often_than_asked_for_and_not_much_less() -> None:
    rng = np.random.default_rng(11)
    model = asset_model.train(rng.normal(size=(20_000, 10)), tags=list("abcdefghij"), false_alarm_rows=2_000)

    on = scored(model, rng.normal(size=(200_000, 10))).is_anomaly
    alarms = int(np.sum(np.diff(on.astype(np.int8), prepend=0) == 1))

    assert 20 <= alarms <= 120  # 100 are asked for at most; of independent tags residuals repeat what the tags say


def test_a_random_walk_gets_no_limit_from_the_range_it_was_seen_in() -> None:
    rng = np.random.default_rng(4)
    rows = np.column_stack([np.cumsum(rng.normal(size=1500)), rng.normal(size=1500)])

    model = asset_model.train(rows[:500], tags=["drift", "noise"])

    assert model.quantiles[:, 0].min() > 10 * model.quantiles[:, 1].max()
    assert not scored(model, rows[500:]).is_anomaly.any()


def test_tags_that_wander_do_not_foretell_one_another_by_chance() -> None:
    rng = np.random.default_rng(5)
    walks, noise = np.cumsum(rng.normal(size=(400, 2)), axis=0), rng.normal(size=(400, 1))

    model = asset_model.train(np.hstack([walks, noise, noise + 0.1 * rng.normal(size=(400, 1))]), tags=list("abcd"))

    weights = np.abs(model.weights / np.diag(model.weights))
    assert weights[0, 1] < 0.3
    assert weights[2, 3] > 0.9


def test_correlated_noise_alarms_no_more_often_than_asked_for() -> None:
    rng = np.random.default_rng(8)
    noise = rng.normal(size=(42_000, 6))
    for row in range(1, len(noise)):
        noise[row] += 0.8 * noise[row - 1]
    model = asset_model.train(noise[:2000], tags=list("abcdef"), false_alarm_rows=2_000)

    on = scored(model, noise[2000:]).is_anomaly

    assert int(np.sum(np.diff(on.astype(np.int8), prepend=0) == 1)) <= 40  # a fifth or a tenth of it as a rule


def test_fewer_decimals_than_were_learned_from_do_not_alarm() -> None:
    rng = np.random.default_rng(6)
    level = rng.normal(size=2000)
    rows = np.column_stack([level + 0.002 * rng.normal(size=2000), level, 3 + 0.002 * level])
    model = asset_model.train(rows[:1000], tags=["a", "b", "c"])

    rounded = np.round(rows[1000:], 2)

    assert not scored(model, rounded).is_anomaly.any()
    assert scored(replace(model, decimals=np.zeros(3, np.int8)), rounded).is_anomaly.any()


@pytest.mark.parametrize("tag", range(4))
def test_the_smallest_step_alarms_and_half_of_it_does_not(tag: int) -> None:
    step = asset_model.smallest_steps(MODEL)[tag]
    level = np.tile(MODEL.mean, (200, 1))
    moved, less = level.copy(), level.copy()
    moved[50:, tag] += 1.01 * step
    less[50:, tag] += 0.5 * step
    decimals = replace(asset_model.start(MODEL), decimals=MODEL.decimals)

    assert asset_model.score(MODEL, decimals, moved)[1].is_anomaly.any()
    assert not asset_model.score(MODEL, decimals, less)[1].is_anomaly.any()


def test_blocks_kept_out_of_training_are_quiet_when_all_are_alike() -> None:
    held = asset_model.held_out(healthy(2000), tags=TAGS, false_alarm_rows=100_000)

    assert held.alert_rate == (0.0,) * asset_model.BLOCKS
    assert held.alarms == 0


def test_a_block_that_is_unlike_the_others_shows_in_its_alert_rate() -> None:
    rows = healthy(2000)
    rows[800:1200, 0] += 2

    assert asset_model.held_out(rows, tags=TAGS).alert_rate[2] > 0.5


@pytest.mark.parametrize("raw", [b"", b"\x07" * 80, b"\x01" * 81])
def test_bytes_that_are_no_state_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        asset_model.unpacked(raw)


@pytest.mark.parametrize("found", [{}, {"version": 1}, {"version": 2}, {"version": 3}])
def test_a_file_that_is_no_model_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        asset_model.from_json(found)


# ---- docs/asset-model.md, "The formula", written down again, row by row and number by number -------------------------


def by_the_page(
    model: dict[str, Any], rows: list[list[float]]
) -> tuple[list[float], list[bool], list[bool], list[list[float]]]:
    def array(name: str) -> np.ndarray:
        return np.frombuffer(b64decode(model[name]["float64"]), "<f8").reshape(model[name]["shape"])

    mean, scale, weights = array("mean"), array("scale"), array("weights")
    gain, follow, most = array("gains"), model["follow"], array("decimals")
    tags = len(mean)
    hold = round(1 / gain[1])
    limit, quantile, to = array("limits"), array("quantiles"), array("swing_limits")
    average, reference, swing = [[0.0] * 2 * tags for _ in range(2)], [0.0] * 2 * tags, [0.0] * tags
    seen, last = [0] * tags, mean.tolist()
    peak, fallen, settle, moving, steady = 0.0, 0, 0, False, 0
    scores, anomalies, changes, shares = [], [], [], []
    for row in rows:
        missing = [not math.isfinite(value) for value in row]
        last = [old if gone else value for old, value, gone in zip(last, row, missing, strict=True)]
        for j in range(tags):
            written = next((d for d in range(6) if abs(row[j] * 10**d - round(row[j] * 10**d)) <= 1e-9 * max(
                abs(row[j] * 10**d), 1)), 6) if not missing[j] else 0  # fmt: skip
            seen[j] = min(max(seen[j], written), int(most[j]))
        noise = [(10.0 ** -seen[j] / scale[j]) ** 2 / 12 if seen[j] < most[j] else 0.0 for j in range(tags)]
        z = [(last[j] - mean[j]) / scale[j] for j in range(tags)]
        features = z + [sum(z[k] * weights[k, j] for k in range(tags)) for j in range(tags)]
        added = noise + [sum(noise[k] * weights[k, j] ** 2 for k in range(tags)) for j in range(tags)]
        off, deviation, move = [0.0] * 2 * tags, [0.0] * 3 * tags, 0.0
        for f in range(2 * tags):
            if not missing[f % tags]:
                off[f] = min(max(features[f] - reference[f], -20), 20)
            for s in range(2):
                average[s][f] += gain[s] * (off[f] - average[s][f])
            if not missing[f % tags]:
                wide = [math.sqrt(limit[s, f] ** 2 + quantile[s, f] ** 2 * added[f]) for s in range(3)]
                deviation[f] = max(abs(average[s][f]) / wide[s] for s in range(2))
                move = max(move, abs(average[0][f] - average[1][f]) / wide[2])
        for j in range(tags):
            if not missing[j]:
                unit = math.sqrt(array("swing_scale")[j] ** 2 + added[j + tags])
                root = math.sqrt(min(abs(off[j + tags] - average[0][j + tags]) / unit, 20))
                swing[j] += 0.2 * (root - array("swing_mean")[j] - swing[j])
                deviation[j + 2 * tags] = max(swing[j] / to[j], 0)
        was_moving, was_alarmed = moving, peak > 0
        steady = steady + 1 if moving and move < 0.7 else 0
        moving = steady < hold if moving else move > 1
        top, anomaly, keep = max(deviation), False, False
        if settle > 0:
            settle -= 1
            for f in range(2 * tags):
                if deviation[f] > 1:
                    reference[f] += 0.2 * off[f]
                    average[0][f] *= 0.8
                    average[1][f] *= 0.8
                else:
                    reference[f] += follow * average[0][f]
            swing = [0.8 * swing[j] if deviation[j + 2 * tags] > 0.9 else swing[j] for j in range(tags)]
            keep = True
        elif peak == 0 and top > 1:
            peak, fallen, anomaly = top, 0, True
        elif peak > 0:
            peak = max(peak, top)
            fallen = fallen + 1 if top < max(0.4 * peak, 0.9) else 0
            anomaly = fallen < hold
            if not anomaly:
                for f in range(2 * tags):
                    if deviation[f] > 1:
                        reference[f] += average[0][f]
                        average[0][f] = average[1][f] = 0.0
                swing = [0.0 if deviation[j + 2 * tags] > 1 else swing[j] for j in range(tags)]
                peak, fallen, settle, keep = 0.0, 0, 4 * hold if top >= 0.9 else 0, True
        if peak == 0 and not keep:
            reference = [r + follow * a for r, a in zip(reference, average[0], strict=True)]
        squares = [max(deviation[j::tags]) ** 2 for j in range(tags)]
        total = sum(squares)
        scores.append(top / (1 + top))
        anomalies.append(anomaly)
        changes.append(was_moving != moving or was_alarmed != (peak > 0))
        shares.append([square / total if total else 1 / tags for square in squares])
    return scores, anomalies, changes, shares


@pytest.mark.parametrize("case", ["healthy", "fault", "gaps", "rounded", "jump", "swing"])
def test_the_page_and_the_code_agree_to_a_billionth(case: str) -> None:
    rows = healthy(260, seed=9)
    if case == "fault":
        rows[60:150, 0] += np.linspace(0, 3, 90)
        rows[150:, 0] += 0.4
    elif case == "gaps":
        rows[40:60, 1] = np.nan
        rows[:5, 2] = np.inf
    elif case == "rounded":
        rows = np.round(rows, 1)
    elif case == "jump":
        rows[100, 3] = 1e6
    elif case == "swing":
        rows[60:150, 0] += 0.3 * np.sin(np.arange(90))
    plain = json.loads(json.dumps(asset_model.as_json(MODEL)))

    scores, anomalies, changes, shares = by_the_page(plain, rows.tolist())

    found = scored(MODEL, rows)
    np.testing.assert_allclose(found.score, scores, rtol=1e-9, atol=1e-12)
    assert found.is_anomaly.tolist() == anomalies
    assert found.is_changepoint.tolist() == changes
    np.testing.assert_allclose(found.contributions, shares, rtol=1e-7, atol=1e-12)


def test_a_state_takes_little_more_than_its_numbers() -> None:
    state: State = asset_model.start(MODEL)

    assert len(asset_model.packed(state)) == 65 * 4 + 16
