"""Models in the line: trained from the lake, scoring what is new of it once, trained again behind a gate."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from telltale.adapters.cases import Cases
from telltale.adapters.retraining import BY
from telltale.adapters.scoring import LATEST_S, PATIENCE_S
from telltale.adapters.trainer import Nothing, Room, Span, TooBig
from telltale.core.asset_model import ANOMALY, NO_ANOMALY
from telltale.core.detect import CaseChange
from telltale.core.plant import Asset

from tests.contracts.asset_line import EVERY_S, MOTOR, OFFSET_S, PROCESS, PUMP, START_S, TAGS, AssetLine, end_s
from tests.contracts.asset_line import _ids as row_ids
from tests.contracts.killing import Interrupted, Killed, killed_at

HISTORY = 300  # rows before the first model


@pytest.fixture
def line(moto_aws: None, tmp_path: Path) -> AssetLine:
    return AssetLine(tmp_path)


@pytest.fixture
def live(line: AssetLine) -> AssetLine:
    """With a model that is live."""
    line.send(HISTORY)
    line.go_live()
    return line


def case(opened_s: float, until_s: float, change: str, mode: str | None = None) -> CaseChange:
    closure = None if mode is None else {"failure_mode": mode, "failure_cause": "WEAR", "action_taken": "REPLACE"}
    return CaseChange(
        case_id="case-" + f"{round(opened_s):020d}",
        revision=1,
        change=change,
        t_ms=round(until_s * 1000),
        opened_ms=round(opened_s * 1000),
        severity="WARNING",
        state="WARNING",
        rule="zone",
        channel="x",
        reason="high",
        closure=closure,
    )


# ---- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_means_over_even_intervals_of_what_the_positions_sent(line: AssetLine) -> None:
    line.send(200)

    heard = line.history.read(PUMP, TAGS, every_s=EVERY_S, from_s=START_S, to_s=line.now_s)
    hourly = line.history.read(PUMP, TAGS, every_s=3600.0, from_s=START_S, to_s=line.now_s).history

    assert heard.history.times_s.tolist() == [end_s(number) for number in range(200)]
    assert np.isfinite(heard.history.values).all()
    assert heard.until_s == {PROCESS: line.now_s - 500.0, MOTOR: line.now_s - 500.0}
    first = np.flatnonzero(heard.history.times_s == hourly.times_s[0])[0]
    np.testing.assert_allclose(hourly.values[0], heard.history.values[first - 5 : first + 1].mean(axis=0))


def test_what_positions_sent_is_known_by_name(line: AssetLine) -> None:
    line.send(3)

    names = [one.tag for one in line.history.sources([PROCESS, MOTOR], from_s=START_S, to_s=line.now_s)]

    assert {"process/flow", "process/pressure", "motor-de/temperature_c", "motor-de/x/rms_g"} <= set(names)
    assert not any(name.startswith("process/x") for name in names)
    assert line.history.sources([PROCESS], from_s=START_S - 100, to_s=START_S) == []


# ---- training --------------------------------------------------------------------------------------------------------


def test_a_candidate_is_trained_from_the_lake_and_waits_for_a_person(line: AssetLine) -> None:
    line.send(HISTORY)

    candidate = line.trainer.train(line.asset, by="mia")

    assert candidate.stored.model.tags == tuple(sorted(TAGS))
    assert candidate.stored.model.rows == HISTORY * 3 // 4
    assert "promoted by a person" in candidate.made.gate.reason
    assert line.models.live(PUMP) is None
    assert [version for _, version in line.models.versions(PUMP)] == [candidate.stored.version]


def test_true_and_open_cases_are_not_learned_from_and_false_ones_are(line: AssetLine) -> None:
    line.send(HISTORY)
    cases = Cases(line.dynamodb, line.tables["cases"])
    for change in (
        case(end_s(50), end_s(69), "resolved", "BEARING"),
        case(end_s(100), end_s(119), "resolved", "NO_ISSUE"),
        case(end_s(HISTORY - 10), end_s(HISTORY - 10), "opened"),
    ):
        cases.put(MOTOR, change, changed_at=1)
    cases.put("plant/hall/other/de", case(end_s(200), end_s(300), "opened"), changed_at=1)

    report = line.trainer.train(line.asset, by="mia").made.report

    assert report["abnormal_rows"] == 20 + 10


def test_a_range_and_tags_can_be_chosen(line: AssetLine) -> None:
    line.send(HISTORY)
    asset = replace(line.asset, tags=("process/*", "motor-de/temp*"))

    stored = line.trainer.train(asset, by="mia", span=Span(START_S, end_s(199))).stored

    assert stored.model.tags == ("motor-de/temperature_c", "process/flow", "process/pressure")
    assert (stored.model.rows, stored.learned_s) == (200, (end_s(0), end_s(199)))


def test_what_does_not_fit_the_function_is_sent_to_a_machine_with_the_numbers(line: AssetLine) -> None:
    line.send(5)

    with pytest.raises(TooBig, match=r"takes about 0.3 GB .* this function has 0.1 GB and 60 s: run `telltale train"):
        line.trainer.train(line.asset, by="mia", room=Room(1e8, 60.0))


@pytest.mark.parametrize(
    ("asset", "says"),
    [
        (Asset(PUMP), "found 5 healthy rows, wanted 100"),
        (Asset(PUMP, tags=("process/flow",)), "found 1 tags in the lake that fit process/flow"),
        (Asset("plant/hall/nowhere"), "found no position of this asset"),
    ],
)
def test_nothing_to_train_from_is_said(line: AssetLine, asset: Asset, says: str) -> None:
    line.send(5)

    with pytest.raises(Nothing, match=says):
        line.trainer.train(replace(asset, every_s=EVERY_S), by="mia")


# ---- scoring ---------------------------------------------------------------------------------------------------------


def test_what_is_new_is_scored_once_and_nothing_that_the_model_was_made_of(live: AssetLine) -> None:
    assert live.score() == 0
    live.send(30)
    live.now_s += PATIENCE_S

    counts = [live.score(), live.score()]

    scores = live.scores()
    assert counts == [30, 0]
    assert [row["t"].timestamp() for row in scores] == [end_s(HISTORY + number) for number in range(30)]
    assert {row["prediction_reason"] for row in scores} == {NO_ANOMALY}
    assert {row["position"] for row in scores} == {MOTOR}
    assert [row["t_ms"] for row in live.told()] == [round(end_s(HISTORY + number) * 1000) for number in range(30)]
    assert live.heard() == []


def test_an_interval_waits_for_every_position_or_its_patience(live: AssetLine) -> None:
    live.send(10)
    live.send(1, at=[PROCESS])

    at_once = live.score()
    live.now_s += PATIENCE_S

    assert (at_once, live.score()) == (9, 2)


def test_values_that_come_after_their_interval_was_scored_are_not_scored(live: AssetLine) -> None:
    live.send(10, at=[PROCESS])
    live.now_s += PATIENCE_S
    first = live.score()
    before = live.scores()
    live.now_s -= PATIENCE_S + 10 * EVERY_S
    live.send(10, at=[MOTOR], moved=30.0)
    live.now_s += PATIENCE_S

    again = live.score()

    assert (first, again) == (10, 0)
    assert live.scores() == before


def test_what_the_lake_gets_days_late_is_left_out(live: AssetLine) -> None:
    live.send(400)
    live.now_s += PATIENCE_S

    assert live.score() == pytest.approx(LATEST_S / EVERY_S, abs=3)


def test_what_was_imported_is_told_to_nobody_and_teaches_all_the_same(live: AssetLine) -> None:
    live.send(
        20, moved=30.0, ids=lambda position, number: row_ids(position, number) | {"capture_id": f"import/{number}"}
    )

    assert live.score() == 0
    assert (live.told(), live.scores()) == ([], [])
    names = [one.tag for one in live.history.sources([PROCESS], from_s=end_s(HISTORY), to_s=live.now_s)]
    assert "process/flow" in names
    live.send(3)
    assert live.score() == 2  # the last one waits


def test_a_fault_is_told_to_detection_to_the_bus_and_to_the_lake(live: AssetLine) -> None:
    version = live.models.all_live()[0].version
    live.send(20)
    live.send(40, moved=9.0)
    live.now_s += PATIENCE_S

    live.score()

    told = live.told()
    loud = [row["t_ms"] for row in told if row["score"] >= 1]
    assert loud[0] <= round(end_s(HISTORY + 25) * 1000)
    assert max(row["score"] for row in told[:20]) < 1
    assert {(row["kind"], row["position"], row["model"]) for row in told} == {("model", MOTOR, version)}
    assert "motor-de/temperature_c" in told[-1]["reason"]
    [event] = live.heard()
    assert (event["kind"], event["asset"], event["t_ms"]) == ("Asset Anomalous", PUMP, loud[0])
    last = live.scores()[-1]
    assert (last["prediction"], last["prediction_reason"]) == (1, ANOMALY)
    assert '"name": "motor-de/temperature_c"' in last["contributions"]


def test_however_scoring_is_cut_into_runs_the_scores_are_the_same(moto_aws: None, tmp_path: Path) -> None:
    found = []
    for pieces in ((40,), (1, 7, 2, 30)):
        line = AssetLine(tmp_path)
        line.send(HISTORY)
        line.go_live()
        for rows in pieces:
            line.send(rows, moved=3.0)
            line.now_s += PATIENCE_S
            line.score()
            line.now_s -= PATIENCE_S
        found.append([row["score"] for row in line.scores()])

    assert len(found[0]) == 40
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_a_run_killed_at_any_step_is_finished_by_the_next_one_exactly_once(live: AssetLine) -> None:
    """One asset lives through a kill at the first step, then three steps later, … until a run gets through."""
    moment, runs, killed = 0, 0, True
    live.send(40, moved=9.0, go=False)
    live.now_s += OFFSET_S + 1
    while killed:
        live.now_s += EVERY_S
        interrupt = killed_at(moment)
        try:
            live.score(partial(Interrupted, interrupt=interrupt))
            killed = False
        except Killed:
            live.score()
        moment, runs = moment + 3, runs + 1

    times = [row["t"].timestamp() for row in live.scores()]
    assert times == [end_s(HISTORY + number) for number in range(runs)]
    assert [row["t_ms"] / 1000 for row in live.told()] == times
    assert runs > 5


def test_another_version_goes_on_where_the_last_one_stood(live: AssetLine) -> None:
    live.send(20, moved=1.0)
    live.now_s += PATIENCE_S
    live.score()
    other = live.trainer.train(replace(live.asset, tags=("process/*", "motor-de/*")), by="mia").stored.version
    live.models.promote(PUMP, other, by="mia", why="more tags")
    live.now_s -= PATIENCE_S
    live.send(20)
    live.now_s += PATIENCE_S

    assert live.score() == 20

    scores = live.scores()
    assert [row["model"] for row in scores[20:]] == [other] * 20
    assert all(later["t"] > earlier["t"] for earlier, later in pairwise(scores))


def test_rows_with_the_machine_off_are_kept_in_the_lake_and_told_to_nobody(moto_aws: None, tmp_path: Path) -> None:
    line = AssetLine(tmp_path, Asset(PUMP, every_s=EVERY_S, off="motor-de/temperature_c<20"))
    line.send(HISTORY)
    line.go_live()
    line.send(5)
    line.send(5, moved=-50.0)
    line.now_s += PATIENCE_S

    line.score()

    reasons = [row["prediction_reason"] for row in line.scores()]
    assert reasons == [NO_ANOMALY] * 5 + ["MACHINE_OFF"] * 5
    assert [row["score"] is None for row in line.scores()] == [False] * 5 + [True] * 5
    assert len(line.told()) == 5


# ---- training again --------------------------------------------------------------------------------------------------

WEEKLY = Asset(PUMP, every_s=EVERY_S, retrain_days=2.0)


def test_only_assets_that_ask_for_it_are_trained_again_and_not_before_their_time(line: AssetLine) -> None:
    line.send(HISTORY)
    line.go_live()
    retraining = line.retraining()

    never, first = retraining.due([Asset(PUMP)]), retraining.due([WEEKLY])
    retraining.train(WEEKLY, room=Room())

    assert (never, first, retraining.due([WEEKLY])) == ([], [WEEKLY], [])
    line.now_s += 2 * 86_400
    assert retraining.due([WEEKLY]) == [WEEKLY]


def test_a_candidate_that_passes_the_gate_goes_live_with_the_reason(live: AssetLine) -> None:
    live.send(200)

    outcome = live.retraining().train(WEEKLY, room=Room())

    now = live.models.live(PUMP)
    assert now is not None
    assert (outcome.kind, outcome.version) == ("promoted", now.version)
    assert (now.revision, now.history[-1].by) == (2, BY)
    assert "labelled ranges" in now.history[-1].why
    assert [event["kind"] for event in live.heard()] == ["Model Promoted"]
    assert live.retraining().train(WEEKLY, room=Room()).kind == "unchanged"


def test_a_candidate_that_does_not_pass_stays_one_with_the_reason(live: AssetLine) -> None:
    live.send(300)
    live.send(150, moved=40.0)  # nobody said that this was a fault

    outcome = live.retraining().train(replace(WEEKLY, days=200 / 144), room=Room())

    assert outcome.kind == "candidate"
    assert outcome.version is not None
    assert live.models.report(PUMP, outcome.version)["gate"]["passed"] is False
    now = live.models.live(PUMP)
    assert now is not None
    assert now.revision == 1


def test_what_is_too_big_or_has_no_data_is_noted_and_changes_nothing(line: AssetLine) -> None:
    retraining = line.retraining()

    nothing = retraining.train(WEEKLY, room=Room())
    line.send(5)
    too_big = retraining.train(WEEKLY, room=Room(1.0, 1.0))

    assert (nothing.kind, too_big.kind) == ("nothing", "too big")
    assert line.models.versions() == []
