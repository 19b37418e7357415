"""`telltale tags`: history gives what the line told, what differs is named, and status shows what is recent."""

import contextlib
import sys

import pytest
from cli import __main__ as command
from cli.live import tag_lines
from cli.overview import Counts, Overview
from cli.tags import lines, replayed, tried
from telltale.core.tag_streams import EVERY_TAG, watch

from tests.unit.test_tag_streams import ALL, HOUR_MS, JUMP

PLACE = "s/a/m/p"
LIVE, TOLD = watch({}, JUMP[2:], wanted=ALL)  # the line has watched since the third row
WRITTEN = [
    {"t": one.told.t_ms, "tag": one.tag, "is_anomaly": one.is_anomaly, "is_changepoint": one.is_changepoint}
    for one in TOLD
]


def test_history_tells_what_the_line_told() -> None:
    [flow] = replayed(JUMP, LIVE, written=WRITTEN)

    assert (flow.tag, flow.rows, list(flow.alarms)) == ("flow", 44, TOLD)
    assert (flow.only_written, flow.only_replayed) == ([], [])
    counts = "alarms: 1, of which 1 with a score above 0.55; changes of level: 1"
    assert lines(flow)[0] == f"flow: 44 rows; {counts}"
    assert lines(flow)[-1] == "  the line told the same"


def test_what_only_one_of_both_told_is_named() -> None:
    other = {**WRITTEN[0], "t": 35 * HOUR_MS}

    [flow] = replayed(JUMP, LIVE, written=[other, *WRITTEN[1:]])

    assert (flow.only_written, flow.only_replayed) == ([35 * HOUR_MS], [40 * HOUR_MS])
    assert lines(flow)[-2:] == [
        "  1970-01-02 11:00: the line told it, the replay does not",
        "  1970-01-02 16:00: the replay tells it, the line did not",
    ]


def test_another_probation_is_tried_on_all_of_history() -> None:
    [flow] = tried(JUMP, {EVERY_TAG: 600}, probation=42)

    assert (flow.rows, flow.only_written) == (46, None)
    assert [one.rows_before for one in flow.alarms if one.is_anomaly] == [42]


def test_status_counts_tags_and_shows_the_alarms_of_the_last_day() -> None:
    tag = LIVE["flow"]
    assert tag.alarm is not None
    late = {**tag.summary(), "t_ms": tag.t_ms + 2 * 24 * HOUR_MS}
    learns = watch({}, JUMP[:3], wanted=ALL)[0]["flow"].summary()
    tags = {PLACE: {"flow": tag.summary()}, "s/a/m/old": {"flow": late}, "s/a/m/new": {"flow": learns}}

    said = tag_lines(Overview(0, Counts(), Counts(), (), (), (), tags=tags))

    assert said[0] == ("tags watched: 3, of which learning: 1", False)
    assert [line for line, told in said if told] == [f"tag: {PLACE} 1970-01-02 16:00 {tag.alarm.words}"]
    assert tag_lines(Overview(0, Counts(), Counts(), (), (), ())) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--probation", "300"], "--probation is for --replay"),
        (["--replay"], "--replay wants a POSITION"),
        ([PLACE, "--replay", "--probation", "12"], 'found "12", wanted a number of rows from 32'),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["telltale", "tags", *words])

    with contextlib.suppress(SystemExit):
        assert command.main() == 1

    assert says in capsys.readouterr().err
