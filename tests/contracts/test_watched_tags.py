"""Tags that are watched as streams, on moto: told once whatever is delivered again, and nothing lost on the way."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cli import tags as tags_command
from cli.deployment import Deployment
from cli.overview import look
from cli.problem import Problem
from cli.tags import replayed
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters.presence import PresenceTable
from telltale.adapters.registry import Registry
from telltale.adapters.states import States, TagsWrite
from telltale.core.plant import Position
from telltale.core.tag_streams import EVERY_TAG

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_backtest_command import Lived, scalars
from tests.unit.test_detection import HOUR, Line, row
from tests.unit.test_from_rows_to_label import PUMP, Plant, works

__all__ = ["works"]  # a fixture

WATCHED = Position(POSITION, streams={EVERY_TAG: 32, "temperature_c": 40})


def rows() -> list[bytes]:
    """Forty steady hours, then a jump of one tag."""
    return [
        row(n, 1.0, tags={"flow": (30.0 if n >= 40 else 10.0) + n % 2 / 10}, temperature_c=40 + n % 3)
        for n in range(46)
    ]


class Watching(Line):
    def __init__(self, made: Any) -> None:
        super().__init__(made)
        self.registry.put(WATCHED)

    def told(self) -> list[tuple[str, str]]:
        return sorted((one["kind"], one["id"]) for one in self.aws.heard() if one["kind"].startswith("Tag "))

    def outcome(self) -> tuple[Any, ...]:
        return self.table("tag_alarms"), self.states.tags([POSITION])[POSITION].tags


@pytest.fixture
def line() -> Iterator[Watching]:
    with aws() as made:
        yield Watching(made)


def test_an_alarm_of_a_tag_is_a_row_an_event_and_opens_no_case(line: Watching) -> None:
    line.feed(rows())

    [alarm, change] = sorted(line.table("tag_alarms"), key=lambda one: one["t"])
    assert (alarm["tag"], alarm["value"], alarm["is_anomaly"], alarm["rows_before"]) == ("flow", 30.0, True, 40)
    assert (alarm["capture_id"], change["is_changepoint"]) == (f"s-1@{START_MS + 40 * HOUR}", True)
    assert [kind for kind, _ in line.told()] == ["Tag Anomalous", "Tag Level Changed"]
    held = line.states.tags([POSITION])[POSITION]
    assert {name: tag.state for name, tag in held.tags.items()} == {"flow": "watched", "temperature_c": "watched"}
    assert list(line.cases.all()) == []


def test_the_same_batch_twice_is_told_once(line: Watching) -> None:
    line.feed(rows())
    once, said = line.outcome(), line.told()

    line.feed(rows())
    line.feed(rows(), first=100)  # put on the stream again: other records, the same rows

    assert line.outcome() == once
    assert len(said) == 2
    assert line.told() == []


def test_a_write_that_is_repeated_or_comes_late_changes_nothing(line: Watching) -> None:
    line.feed(rows()[:20])
    early = TagsWrite(POSITION, 1, line.states.tags([POSITION])[POSITION].tags, "b")
    line.feed(rows()[20:], first=21)
    late = line.outcome()

    line.states.put([early], judged_at=START_MS)

    assert line.outcome() == late
    assert TagsWrite.from_dict(early.as_dict()) == early


def test_the_item_of_the_tags_is_no_position(line: Watching) -> None:
    line.feed(rows()[:3])

    positions, _ = PresenceTable(line.aws.dynamodb, "states").read()

    assert list(positions) == [POSITION]


def test_streams_that_make_no_sense_do_not_hold_up_the_shard(line: Watching) -> None:
    line.registry.put(Position(POSITION, streams={"flow": 3}))

    line.feed(rows()[:2])

    assert {one["reason"] for one in line.table("quarantine")} == {"bad_settings"}


def test_the_lakes_history_tells_what_the_line_told(works: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    lived = Lived(works, monkeypatch)
    streams = {"flow": 32, "temperature_c": 32, "x/velocity_rms_mm_s": 32}
    Registry(works.aws.dynamodb, "registry").put(replace(PUMP, streams=streams))
    messages = [
        {**scalars(n, 0.2 + n % 2 / 100), "tags": {"flow": (30.0 if n >= 40 else 10.0) + n % 2}} for n in range(46)
    ]

    lived.capture(*messages[:20])
    lived.capture(*messages[22:24], *messages[20:22], messages[5])  # two late ones, and one that was there before
    lived.capture(*messages[24:])

    held = States(works.aws.dynamodb, "states").tags([PUMP.id])[PUMP.id].tags
    written = [{**one, "t": round(one["t"].timestamp() * 1000)} for one in lived.table("tag_alarms").to_pylist()]
    told = replayed(lived.kept().rows(), held, written=written)
    assert [(one.tag, one.rows) for one in told] == [("flow", 44), ("temperature_c", 44), ("x/velocity_rms_mm_s", 44)]
    assert [len(one.alarms) for one in told] == [2, 0, 0]
    assert [(one.only_written, one.only_replayed) for one in told] == [([], [])] * 3


def test_the_command_and_status_show_what_is_kept(
    line: Watching, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line.feed(rows())
    names = {"RegistryTable": "registry", "StatesTable": "states", "CasesTable": "cases", "ProgressTable": "progress"}
    deployment = Deployment({**names, "CapturesStream": "captures", "FeaturesStream": "features"}, {})
    monkeypatch.setattr(tags_command, "current", lambda: deployment)
    parser = argparse.ArgumentParser()
    tags_command.add_arguments(parser)

    assert tags_command.run(parser.parse_args([POSITION])) == 0
    said = " ".join(capsys.readouterr().out.split())
    now = look(deployment)

    assert "watched · 46 rows since" in said
    assert "flow 30: the level of 2 rows moved further than ever before" in said
    assert [item["pk"] for item in now.positions] == [POSITION]
    assert now.tags[POSITION]["flow"]["alarm"]["value"] == 30.0
    with pytest.raises(Problem, match="Did you mean"):
        tags_command.run(parser.parse_args([POSITION + "x"]))


@settings(max_examples=3, deadline=None)
@given(cuts=st.lists(st.integers(1, 45), max_size=3), back=st.integers(0, 5))
def test_where_the_stream_is_cut_changes_nothing(cuts: list[int], back: int) -> None:
    with aws() as made:
        whole = Watching(made)
        whole.feed(rows())
        expected = whole.outcome(), set(whole.told())
    with aws() as made:
        cut = Watching(made)
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 46], strict=True):
            first = max(0, start - back)
            cut.feed(rows()[first:end], first=first + 1)
        found = cut.outcome(), set(cut.told())

    assert found == expected
