"""What a case says of the time that is left, from the few rows that are kept beside the position's state."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from telltale.adapters.feature_stream import encode_control
from telltale.adapters.orders import order_request
from telltale.adapters.trends import Trends
from telltale.core.detect import Control
from telltale.core.explain import forecast_sentence
from telltale.core.plant import Limits, Position
from telltale.core.trend import SLOT_MS, Trend

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_detection import HOUR, Line, row

PUMP = Position(POSITION, limits=Limits(velocity_warning_mm_s=4.5, velocity_alarm_mm_s=9.0))
# From 2 mm/s a straight line, which passes 4.5 after 12.5 days and would pass 9 after 35; four hours are a row.
GROWING = [row(4 * n, 2.0 + 0.2 * n / 6 + 0.05 * (-1) ** n) for n in range(80)]
FOUND = {"failure_mode": "OTHER", "failure_cause": "WEAR", "action_taken": "REPLACE"}


@pytest.fixture
def line() -> Iterator[Line]:
    with aws() as made:
        ready = Line(made)
        ready.registry.put(PUMP)
        yield ready


def kept(line: Line) -> Trend:
    return Trends(line.states).of(POSITION)


def test_a_case_says_when_its_next_limit_is_reached(line: Line) -> None:
    line.feed(GROWING)

    [case] = line.cases.all()
    found = case.change.evidence["prognosis"]
    assert (found["indicator"], found["limit"], found["limit_name"]) == ("velocity_rms_mm_s", 9.0, "its alarm limit")
    assert found["rows"] > 70
    assert found["low_s"] is None or found["low_s"] > 5 * 86_400  # 22 days, straight on
    assert forecast_sentence(case.change.evidence) == found["says"]
    assert found["says"] in order_request(case, PUMP).description
    [event] = [event for event in line.aws.heard() if event["kind"] == "Case Opened"]
    assert event["case_id"] == case.change.case_id


def test_what_is_delivered_again_is_kept_once(line: Line) -> None:
    line.feed(GROWING[:20])
    once = kept(line).pack()
    line.feed(GROWING[:20])

    assert kept(line).pack() == once
    assert line.aws.dynamodb.get_item(TableName="states", Key={"pk": {"S": f"trend#{POSITION}"}})["Item"]["rev"] == {
        "N": "1"
    }


def test_a_case_of_a_few_hours_says_that_it_cannot_tell(line: Line) -> None:
    line.feed([row(n, 5.0) for n in range(6)])

    [case] = line.cases.all()
    says = forecast_sentence(case.change.evidence)
    assert says is not None
    assert "too few rows" in says


def test_after_a_repair_the_trend_begins_anew(line: Line) -> None:
    line.feed(GROWING)
    done = Control("resolved", line.case_id(), START_MS + 321 * HOUR, "kim", FOUND)
    line.feed([encode_control(POSITION, done)], first=1000)

    assert len(kept(line).rows) == 0
    line.feed([row(324, 2.0)], first=1001)
    assert len(kept(line).rows) == 1


@pytest.mark.parametrize("off", [{"speed_rpm": 10.0}])
def test_a_machine_at_rest_leaves_no_row(line: Line, off: dict[str, Any]) -> None:
    line.registry.put(replace(PUMP, running_above_rpm=100.0))

    line.feed([row(n, 0.1, **off) for n in range(6)])

    assert len(kept(line).rows) == 0


def test_one_row_is_written_every_two_hours(line: Line) -> None:
    for n in range(6):
        line.feed([row(n, 1.0)], first=n + 1)

    assert kept(line).series("x", "velocity_rms_mm_s")[0].tolist() == [
        (START_MS + n * HOUR) / 1000 for n in range(6) if n == 0 or (START_MS + n * HOUR) % SLOT_MS < HOUR
    ]
