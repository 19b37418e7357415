"""How good detection was: from what the line wrote of cases and orders, and from what people told, to figures."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from cli import scorecard as command
from cli.deployment import Deployment
from cli.history import Kept
from cli.problem import Problem
from telltale.adapters.feature_stream import decode
from telltale.adapters.parquet import arrow_schema
from telltale.core import schema
from telltale.core.backtest import History, Later, backtest, figures, placed
from telltale.core.judgement import CaseChange, Control, Row
from telltale.core.missed import is_missed, missed_id
from telltale.core.plant import Position
from telltale.core.scorecard import Missed, Story, missed, scorecard, stories
from telltale.core.tuning import replayed

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_detection import Line
from tests.unit.test_modes_command import sent
from tests.unit.test_queries import NOW, ask

HOUR = 3_600_000
DAY = 24 * HOUR
AT = 1_790_000_000_000
PUMP = "riverside/hall/pump-1"
BEARING = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "REPLACE"}
NO_ISSUE = {"failure_mode": "NO_ISSUE", "failure_cause": "OTHER", "action_taken": "NO_ACTION"}


def case(name: str, *changes: tuple[str, float, dict[str, str]], position: str = f"{PUMP}/de") -> list[dict[str, Any]]:
    """Rows of `cases`: what changed so many hours after the opening, and the codes."""
    first = changes[0][1]
    return [
        {
            "case_id": f"case-{name}",
            "revision": number,
            "change": change,
            "position": position,
            "t": AT + round(hours * HOUR),
            "opened_at": AT + round(first * HOUR),
            "rule": "zone",
            **codes,
        }
        for number, (change, hours, codes) in enumerate(changes, 1)
    ]


def told(name: str, at_ms: int, mode: str, *, t_ms: int, position: str = f"{PUMP}/de") -> dict[str, Any]:
    return {"case_id": name, "position": position, "t": t_ms, "opened_at": at_ms, "failure_mode": mode}


def test_a_case_is_true_false_or_neither_by_its_last_codes() -> None:
    rows = case("a", ("opened", 0, {}), ("resolved", 10, BEARING))
    rows += case("b", ("opened", 0, {}), ("resolved", 10, BEARING), ("labelled", 50, NO_ISSUE))
    rows += case("c", ("opened", 0, {}), ("resolved", 10, {"failure_mode": "UNDETERMINED", "action_taken": "OTHER"}))
    rows += case("d", ("opened", 0, {}), ("resolved", 10, BEARING), ("reopened", 17, {}))
    rows += case("e", ("opened", 0, {}), ("resolved", 10, BEARING), ("confirmed", 17, {}))

    found = {one.case_id: one for one in stories(reversed(rows * 2))}

    assert {name: one.truth for name, one in found.items()} == {
        "case-a": "true",
        "case-b": "false",
        "case-c": "undetermined",
        "case-d": "open",
        "case-e": "true",
    }
    assert found["case-e"].confirmed
    assert (found["case-d"].reopened, found["case-d"].closed_ms) == (1, None)


def test_an_order_that_was_called_off_and_nobody_could_tell_of_is_a_false_alarm() -> None:
    rows = case("a", ("opened", 0, {}), ("resolved", 5, {"failure_mode": "UNDETERMINED", "action_taken": "NO_ACTION"}))
    orders = [{"case_id": "case-a", "revision": 2, "t": AT, "changed_at": None, "status": "CANCELLED"}]

    assert stories(rows, orders)[0].truth == "false"


def test_times_are_from_the_warning_to_a_person_and_to_the_repair() -> None:
    rows = case("a", ("opened", 0, {}), ("acknowledged", 4, {}), ("updated", 5, {}), ("resolved", 30, BEARING))
    rows += case("b", ("opened", 0, {}), ("resolved", 10, NO_ISSUE))
    orders = [
        {"case_id": "case-a", "revision": 2, "t": AT + 3 * HOUR, "changed_at": AT + HOUR, "status": "IN_PROGRESS"}
    ]

    [(_, line)] = scorecard(stories(rows, orders), by="site").items()

    assert (line.lead_h, line.acknowledge_h, line.repair_h) == (30.0, 1.0, 29.0)
    assert (line.cases, line.true, line.false, line.false_percent, line.found_percent) == (2, 1, 1, 50.0, 100.0)


def test_a_fault_is_missed_unless_a_case_of_its_asset_was_open_then() -> None:
    found = stories(case("a", ("opened", 0, {}), ("resolved", 10, BEARING), position=f"{PUMP}/nde"))
    labels = [
        told("missed-1", AT + 5 * HOUR, "BLOCKAGE", t_ms=AT + 90 * HOUR),
        told("missed-2", AT + 20 * HOUR, "BLOCKAGE", t_ms=AT + 90 * HOUR),
        told("missed-3", AT + 21 * HOUR, "BLOCKAGE", t_ms=AT + 90 * HOUR),
        told("missed-3", AT + 21 * HOUR, "NO_ISSUE", t_ms=AT + 91 * HOUR),
        told("case-a", AT, "LUBRICATION", t_ms=AT + 10 * HOUR),
    ]

    assert missed(labels, found, {}) == [Missed(f"{PUMP}/de", AT + 20 * HOUR)]


def test_an_imported_label_is_a_miss_only_where_telltale_watched_then() -> None:
    label = told("lookout-1", AT, "OTHER", t_ms=AT + HOUR, position=f"{PUMP}/process")

    assert missed([label], [], {}) == []
    assert missed([label], [], {f"{PUMP}/de": (AT - DAY, AT + DAY)}) == [Missed(f"{PUMP}/process", AT)]
    assert missed([label], [], {"riverside/hall/fan-1/de": (AT - DAY, AT + DAY)}) == []


def test_figures_are_told_apart_by_asset_rule_month_and_site() -> None:
    found = [Story("case-a", f"{PUMP}/de", "zone", AT), Story("case-b", "hill/hall/fan/de", "baseline", AT + 40 * DAY)]
    unseen = [Missed(f"{PUMP}/de", AT)]

    assert {name: (one.cases, one.missed) for name, one in scorecard(found, unseen, by="asset").items()} == {
        "hill/hall/fan": (1, 0),
        PUMP: (1, 1),
    }
    assert list(scorecard(found, unseen, by="rule")) == ["baseline", "none", "zone"]
    assert list(scorecard(found, unseen, by="month")) == ["2026-09", "2026-10"]
    assert list(scorecard(found, unseen, by="site", from_ms=AT + DAY)) == ["hill"]


def test_the_named_query_says_what_the_command_says() -> None:
    start = NOW.timestamp() * 1000 - 3 * DAY

    def at(t_ms: Any) -> datetime:
        return datetime.fromtimestamp(t_ms / 1000, UTC)

    rows = case("a", ("opened", 0, {}), ("acknowledged", 4, {}), ("resolved", 30, BEARING), ("confirmed", 37, {}))
    rows += case("b", ("opened", 0, {}), ("resolved", 10, BEARING), ("labelled", 50, NO_ISSUE))
    rows += case("c", ("opened", 0, {}), ("resolved", 10, BEARING), ("reopened", 17, {}))
    rows += case("d", ("opened", 0, {}), ("resolved", 5, {"failure_mode": "UNDETERMINED", "action_taken": "NO_ACTION"}))
    rows = [{**row, "t": row["t"] - AT + start, "opened_at": row["opened_at"] - AT + start} for row in rows]
    orders = [{"case_id": "case-d", "revision": 2, "t": start, "changed_at": None, "status": "CANCELLED"}]
    labels = [
        told("missed-1", int(start), "BLOCKAGE", t_ms=int(start) + DAY),
        told("missed-2", int(start), "BLOCKAGE", t_ms=int(start) + DAY, position="riverside/hall/fan-1/de"),
        told("missed-3", int(start), "NO_ISSUE", t_ms=int(start) + DAY, position="riverside/hall/fan-1/de"),
    ]
    found = stories(rows, orders)

    [line] = scorecard(found, missed(labels, found, {})).values()
    [row] = ask(
        "scorecard",
        cases=[{**one, "site": "riverside", "t": at(one["t"]), "opened_at": at(one["opened_at"])} for one in rows],
        work_orders=[{**one, "t": at(one["t"])} for one in orders],
        labels=[{**one, "site": "riverside", "t": at(one["t"]), "opened_at": at(one["opened_at"])} for one in labels],
    )

    shared = ("cases", "undetermined", "missed", "false_percent", "found_percent", "confirmed", "reopened", "lead_h")
    names = [*shared, "acknowledge_h", "repair_h"]
    assert {name: row[name] for name in names} == {name: getattr(line, name) for name in names}
    assert (row["true_cases"], row["false_cases"], row["still_open"]) == (line.true, line.false, line.open) == (1, 2, 1)
    assert (line.missed, line.lead_h, line.repair_h) == (1, 30.0, 26.0)


# ---- faults that were missed -------------------------------------------------------------------------


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with aws() as made:
        outputs = {"RegistryTable": "registry", "FeaturesStream": "features", "GlueDatabase": "none"}
        monkeypatch.setattr(command, "current", lambda: Deployment(outputs, {"AWS_DEFAULT_REGION": "us-east-1"}))
        yield Line(made)


def add(**options: Any) -> int:
    given = {"action": "add", "where": POSITION, "at": START_MS, "mode": "BLOCKAGE", "cause": "OPERATION"}
    return command.run(argparse.Namespace(**{**given, "taken": "CLEAN", "note": "tripped", "who": "mia", **options}))


def test_a_fault_that_nobody_was_warned_of_is_kept_as_a_label_and_counted_by_replays(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    add()
    [record] = sent(line)
    line.feed([record])

    assert "BLOCKAGE at plant/hall/pump-7/motor-de" in capsys.readouterr().out
    [label] = line.table("labels")
    assert (label["case_id"], label["failure_mode"], label["by"]) == (missed_id(POSITION, START_MS), "BLOCKAGE", "mia")
    assert label["opened_at"].timestamp() * 1000 == START_MS
    kept = Kept(POSITION, {"labels": pa.Table.from_pylist([label], arrow_schema(schema.LABELS))})
    assert kept.missed_ms() == (START_MS,)
    taken_back = {**label, "failure_mode": "NO_ISSUE", "t": datetime(2030, 1, 1, tzinfo=UTC)}
    both = pa.Table.from_pylist([label, taken_back], arrow_schema(schema.LABELS))
    assert Kept(POSITION, {"labels": both}).missed_ms() == ()


def test_a_fault_has_a_time_that_has_been_and_is_one(line: Line) -> None:
    with pytest.raises(Problem, match="still to come"):
        add(at=4_000_000_000_000)
    with pytest.raises(Problem, match="NO_ISSUE"):
        add(mode="NO_ISSUE")
    assert sent(line) == []


def test_without_any_table_there_is_nothing_to_show(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"action": "show", "by": "site", "from_ms": 0, "to_ms": 9e15, "position": "", "json": False, "csv": False}
    command.run(argparse.Namespace(**shown))
    command.run(argparse.Namespace(**{**shown, "json": True}))

    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first == "no cases, and no fault that was missed"
    assert json.loads(rest)["total"]["cases"] == 0


def test_the_record_of_a_missed_fault_changes_no_state(line: Line) -> None:
    add()
    [record] = sent(line)
    message = decode(record)

    assert isinstance(message.item, Control)
    assert is_missed(message.item.case_id, message.item.closure or {})
    line.feed([record])
    assert POSITION not in line.states.get([POSITION]) or line.states.get([POSITION])[POSITION].state == "UNKNOWN"


# ---- the same labels in replays ----------------------------------------------------------------------


def rows(levels: list[float]) -> list[Row]:
    return [
        Row(f"c{n}", "x", n * HOUR, n * HOUR, "s", axes={"x": {"velocity_rms_mm_s": level}})
        for n, level in enumerate(levels, 1)
    ]


QUIET = Position("plant/hall/pump-1/de", machine_class="iso10816-1/IV")
STRICT = Position(QUIET.id, machine_class="iso10816-1/I")


def test_a_missed_fault_makes_the_case_true_that_another_setting_would_have_opened() -> None:
    history = History(QUIET, tuple(rows([1.0] * 10 + [3.0] * 20)), missed_ms=(25 * HOUR,))

    before, after = figures([backtest(history, STRICT)])

    assert (before.missed, before.true) == (1, 0)
    assert (after.missed, after.true, after.lead_h) == (0, 1, 11.0)


def test_a_corrected_label_is_the_truth_that_a_backtest_and_tuning_go_by() -> None:
    heard = rows([1.0] * 10 + [3.0] * 10)
    opened = CaseChange(
        "case-" + "a" * 20, 1, "opened", 14 * HOUR, 14 * HOUR, "WARNING", "WARNING", "zone", "x", "loud"
    )
    log = [
        opened,
        CaseChange(
            **{**vars(opened), "revision": 2, "change": "resolved", "t_ms": 15 * HOUR, "by": "m", "closure": BEARING}
        ),
        CaseChange(
            **{**vars(opened), "revision": 3, "change": "labelled", "t_ms": 18 * HOUR, "by": "k", "closure": NO_ISSUE}
        ),
    ]

    items = placed(heard, log)
    before, _ = figures([backtest(History(STRICT, items), STRICT)])

    assert [type(item) for item in items if not isinstance(item, Row)][-1] is Later
    assert (before.true, before.false) == (0, 1)
    assert replayed(History(STRICT, items)).unclosed == 0


def test_time_before_a_missed_fault_is_not_known_to_be_healthy() -> None:
    heard = tuple(rows([1.0] * 300))

    healthy = replayed(History(QUIET, heard))
    doubtful = replayed(History(QUIET, heard, missed_ms=(250 * HOUR,)))

    assert sum(trace.years for trace in doubtful.traces) < sum(trace.years for trace in healthy.traces)
