"""What the model of an asset says travels to detection, opens a case there, and is no word from a sensor."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from cli import history
from telltale.adapters.feature_stream import decode
from telltale.adapters.scoring import _feature_record, _listed
from telltale.core.detect import Row
from telltale.core.errors import Rejected

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_detection import HOUR, Line, row

ASSET = POSITION.rsplit("/", 1)[0]


def scored(n: int, deviation: float, **fields: Any) -> bytes:
    """The record of what the model says of the n-th hour."""
    anomaly = deviation > 1
    said = {
        "asset": ASSET,
        "position": POSITION,
        "t": START_MS + n * HOUR,
        "scored_at": START_MS + n * HOUR + 60_000,
        "model": "20260901T000000-0123456789ab",
        "deviation": deviation,
        "prediction_reason": "ANOMALY_DETECTED" if anomaly else "NO_ANOMALY_DETECTED",
        "contributions": {"process/flow": 0.8, "motor-de/x/rms_g": 0.05},
    }
    return json.dumps({**_feature_record(said), **fields}).encode()


@pytest.fixture
def line() -> Iterator[Line]:
    with aws() as made:
        yield Line(made)


def test_what_scoring_writes_detection_reads() -> None:
    message = decode(scored(3, 2.5))

    assert isinstance(message.item, Row)
    assert message.item.model is not None
    assert (message.position, message.item.t_ms, message.item.model.score) == (POSITION, START_MS + 3 * HOUR, 2.5)
    assert message.item.model.contributions == {"process/flow": 0.8, "motor-de/x/rms_g": 0.05}
    assert message.item.model.reason.endswith("allows; most by process/flow 80%")
    assert (message.item.axes, message.item.tags, message.gateway) == ({}, {}, None)


def test_a_row_that_the_model_calls_normal_lets_an_alert_clear() -> None:
    after_an_alarm = decode(scored(1, 1.4, score=0.89)).item

    assert isinstance(after_an_alarm, Row)
    assert json.loads(scored(1, 0.95))["score"] == 0.89


@pytest.mark.parametrize(
    "fields", [{"score": "high"}, {"score": None}, {"contributions": {"flow": "most"}}, {"asset": None}, {"t_ms": 1.5}]
)
def test_a_record_that_is_none_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        decode(scored(1, 1.5, **fields))


def test_scores_that_last_open_a_case_with_its_event_and_its_verdicts(line: Line) -> None:
    line.feed([scored(n, 0.3 if n < 4 else 1.8) for n in range(12)])

    [case] = line.cases.all()
    assert (case.position, case.change.rule, case.change.channel) == (POSITION, "model", "model")
    assert "process/flow 80%" in case.change.reason
    assert [event["kind"] for event in line.aws.heard()].count("Case Opened") == 1
    assert {(one["rule"], one["limit_source"]) for one in line.table("verdicts")} == {
        ("model", "model 20260901T000000-0123456789ab")
    }


def test_a_model_that_speaks_is_no_sensor_that_is_heard(line: Line) -> None:
    line.feed([row(1, 1.0), scored(2, 0.3)])

    held = line.states.get([POSITION])[POSITION]
    assert (held.sensor, held.gateway, held.last_t_ms) == ("s-1", "g-1", START_MS + HOUR)


def test_a_score_that_is_told_again_counts_as_a_duplicate(line: Line) -> None:
    line.feed([scored(1, 0.3), scored(1, 0.3)])

    [receipt] = line.receipts
    assert (receipt.stored, receipt.duplicate) == (1, 1)


def test_what_the_lake_keeps_of_scores_is_what_detection_was_told() -> None:
    said = [
        {**json.loads(scored(n, deviation)), "deviation": deviation, "asset": ASSET, "site": "plant", "t": START_MS + n}
        for n, deviation in enumerate((0.3, 0.97, 1.8))
    ]
    kept = [
        {
            "position": POSITION,
            "asset": ASSET,
            "t": one["t"],
            "scored_at": one["received_ms"],
            "model": one["model"],
            "deviation": one["deviation"],
            "prediction": int(one["deviation"] > 1),
            "contributions": _listed(one),
        }
        for one in said
    ]
    off = {**kept[0], "t": START_MS + 9, "deviation": None, "contributions": None}
    table = pa.Table.from_pylist([*kept, off])
    for name in ("t", "scored_at"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.timestamp("ms", "UTC")))

    rows = history.Kept(POSITION, {"scores": table}).rows()

    sent = [decode(json.dumps({**one, "t_ms": one["t"]}).encode()).item for one in said]
    assert rows == sent
