"""What the model of an asset says is a rule like the others at the position where it is heard."""

from dataclasses import replace

import pytest
from telltale.core import batch, detect
from telltale.core.detect import CaseChange, Control, Row, State, Verdict
from telltale.core.judgement import ModelScore
from telltale.core.plant import Position

HOUR = 3_600_000
START_MS = 1_790_000_000_000
PUMP = Position("plant/hall/pump-7/motor-de")


def row(n: int) -> Row:
    """A capture of the n-th hour, of a machine that is as ever."""
    ids = (f"s-1@{n}", "xs", START_MS + n * HOUR + 1, START_MS + n * HOUR + 1, "s-1")
    return Row(*ids, None, 41.5, {"x": {"velocity_rms_mm_s": 1.0 + 0.01 * (n % 5), "rms_g": 0.1}})


def scored(n: int, score: float, **fields: object) -> Row:
    """What the model says of the n-th hour."""
    model = ModelScore(score, "the tags are far from what was learned", "v1", {"process/flow": 0.7, "de/rms": 0.2})
    values = {"capture_id": f"model@{n}", "part": "m", "t_ms": START_MS + n * HOUR, "received_ms": START_MS + n * HOUR}
    return replace(Row(**values, sensor="", model=model), **fields)  # type: ignore[arg-type]  # of Row's own names


def judged(rows: list[Row], state: State | None = None) -> tuple[State, list[Verdict], list[CaseChange]]:
    state = state or State.new()
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    for one in rows:
        state, said, changed = detect.step(state, one, PUMP)
        verdicts, changes = verdicts + said, changes + changed
    return state, verdicts, changes


def test_scores_that_stay_beyond_the_limit_open_a_case_that_names_model_and_tags() -> None:
    state, verdicts, changes = judged([scored(n, 0.4 if n < 5 else 1.6) for n in range(12)])

    [opened] = changes
    assert (opened.rule, opened.channel, opened.severity) == ("model", "model", "WARNING")
    assert opened.t_ms == START_MS + 8 * HOUR
    assert opened.evidence["verdicts"][0]["contributions"] == {"process/flow": 0.7, "de/rms": 0.2}
    assert state.state == "WARNING"
    last = verdicts[-1]
    assert (last.verdict, last.persistent, last.feature) == ("WARNING", "WARNING", "process/flow")
    assert (last.value, last.limit, last.limit_source) == (1.6, 1.0, "model v1")
    assert last.margin == pytest.approx(-0.6)


def test_twice_the_limit_is_an_alarm() -> None:
    state, verdicts, _ = judged([scored(n, 2.5) for n in range(6)])

    assert state.state == "ALARM"
    assert (verdicts[-1].verdict, verdicts[-1].limit) == ("ALARM", 2.0)


def test_a_score_that_comes_again_or_late_changes_nothing() -> None:
    rows = [scored(n, 1.6) for n in range(3)]
    state, _, _ = judged(rows)

    again, verdicts, changes = judged([*rows, scored(1, 9.0)], state)

    assert (again, verdicts, changes) == (state, [], [])


def test_it_teaches_the_baseline_nothing_and_captures_tell_it_nothing() -> None:
    alone, _, _ = judged([row(n) for n in range(20)])

    beside, _, _ = judged([one for n in range(20) for one in (row(n), scored(n, 0.4))])

    assert {name: beside.channels[name] for name in alone.channels} == dict(alone.channels)
    assert set(beside.channels) == {*alone.channels, "model"}


def test_one_case_holds_what_the_axes_and_the_model_say() -> None:
    opened, _, [change] = judged([scored(n, 1.6) for n in range(4)])

    closed, _, _ = detect.step(
        opened,
        Control(
            "resolved",
            change.case_id,
            START_MS + 5 * HOUR,
            "mia",
            {"failure_mode": "NO_ISSUE", "failure_cause": "OTHER", "action_taken": "NO_ACTION"},
        ),
        PUMP,
    )
    _, _, again = judged([scored(n, 1.6) for n in range(6, 12)], closed)

    assert closed.state == "HEALTHY"
    assert again == []  # quiet where it stands: a person looked and found nothing


def test_the_state_is_packed_and_one_from_before_models_is_still_read() -> None:
    before, _, _ = judged([row(n) for n in range(20)])
    after, _, _ = judged([scored(n, 1.6) for n in range(20, 26)], before)

    assert State.unpack(after.pack()) == after
    assert State.unpack(before.pack()) == before
    assert len(after.pack()) - len(replace(before, open_case=after.open_case).pack()) == 50


def test_a_score_that_is_no_number_is_not_judged() -> None:
    state, [verdict], changes = judged([scored(1, float("nan"))])

    assert (verdict.verdict, changes, state.state) == ("NOT_ASSESSABLE", [], "UNKNOWN")


def test_rows_judged_at_once_say_the_same() -> None:
    rows = [one for n in range(30) for one in (row(n), scored(n, 1.6 if n > 20 else 0.3))]
    state, verdicts, _ = judged(rows)
    positions = [PUMP, replace(PUMP, id="plant/hall/pump-8/motor-de")]
    heard = [(lane, one) for one in rows for lane in (0, 1)]

    found = batch.judge([State.new().pack()] * 2, heard, positions, keep=lambda stepped: stepped.verdicts)

    said: list[Verdict] = []
    for place in range(0, len(heard), 2):
        by_hand = found.by_hand.get(place)
        assert not isinstance(by_hand, ValueError)
        said += found.verdicts(place) if by_hand is None else by_hand
    assert said == verdicts
    assert found.states[0] == state.pack()


def test_a_position_without_a_model_hears_none() -> None:
    _, verdicts, _ = judged([row(n) for n in range(3)])

    assert "model" not in {one.rule for one in verdicts}
