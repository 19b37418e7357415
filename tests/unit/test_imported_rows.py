"""What was imported is history: queries of what is the case now leave it out."""

import pytest

from tests.unit.test_queries import DAY, HOUR, NOW, ask, by_day

IDS = {"position": "site-1/main/a/p", "site": "site-1", "sensor": "s", "capture_id": "c"}


def captures(record_id: str) -> list[dict[str, object]]:
    times = [NOW - 3 * DAY + n * HOUR for n in range(40)]
    return [
        {**IDS, "capture_id": f"c-{n}", "t": t, "received_at": NOW - HOUR, "record_id": record_id, "part": "s"}
        for n, t in enumerate(times)
    ]


@pytest.mark.parametrize("query", ["stale_sensors", "cost_by_sensor", "data_quality"])
def test_days_that_were_imported_say_nothing_of_sensors_now(query: str) -> None:
    assert ask(query, position_daily=by_day(captures("import/abc/000000"))) == []
    assert ask(query, position_daily=by_day(captures("shardId-0:1"))) != []


def test_captures_that_were_imported_have_no_lag() -> None:
    assert ask("lag", captures=captures("import/abc/000000")) == []
    assert ask("lag", captures=captures("shardId-0:1")) != []


def test_what_monitron_said_is_not_among_the_worst_positions() -> None:
    def verdicts(rule: str) -> list[dict[str, object]]:
        ids = {name: value for name, value in IDS.items() if name != "sensor"}
        return [{**ids, "t": NOW - HOUR, "channel": "total", "rule": rule, "verdict": "ALARM", "persistent": "ALARM"}]

    assert ask("worst_positions", verdicts=verdicts("monitron_iso")) == []
    assert ask("worst_positions", verdicts=verdicts("zone")) != []


def test_a_case_of_monitrons_that_was_never_resolved_is_not_open() -> None:
    def cases(case_id: str) -> list[dict[str, object]]:
        times = {"t": NOW - DAY, "opened_at": NOW - DAY}
        return [{**IDS, **times, "case_id": case_id, "revision": 1, "change": "opened", "severity": "ALARM"}]

    rows = [
        {name: value for name, value in row.items() if name not in ("sensor", "capture_id")}
        for row in cases("monitron-1")
    ]

    assert ask("open_cases", cases=rows) == []
    assert ask("open_cases", cases=[row | {"case_id": "case-1"} for row in rows]) != []
