"""What `status` and `up` show of open cases."""

from typing import Any

import pytest
from cli.live import aggregates_line, picture
from cli.overview import Aggregates, Counts, Overview
from rich.console import Console

T_MS = 1_790_000_000_000
POSITION = "plant/hall/pump-7/motor-de"


def shown(case: dict[str, Any], **fields: Any) -> str:
    """The picture of an overview with this case, on one line."""
    whole = {"pk": "case-a", "position": POSITION, "opened_ms": T_MS, "severity": "WARNING", "change": "opened", **case}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(picture(Overview(T_MS, Counts(), Counts(), (), (whole,), (), **fields)))
    return " ".join(captured.get().split())


def test_a_case_says_its_order_and_since_when() -> None:
    text = shown({"order_ref": "WO-1", "order_state": "OPEN"}, stale={"plant/hall/other/de": T_MS})

    assert "case-a · work order WO-1 OPEN · since 2026-09-21 14:13" in text
    assert "stale" not in text
    assert "shelved" not in text


def test_a_case_that_is_shelved_or_stale_says_until_and_since_when() -> None:
    text = shown({"until_ms": T_MS + 3_600_000}, stale={POSITION: T_MS - 7_200_000})

    assert "no work order yet" in text
    assert "shelved until 2026-09-21 15:13" in text
    assert "stale, last heard 2026-09-21 12:13" in text


def test_a_case_that_joined_another_says_whose_order_names_it() -> None:
    assert "in the work order of case-b" in shown({"parent": "case-b", "order_state": "CHILD"})


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (Aggregates(0, None, None, None), "daily aggregates: nothing yet"),
        (Aggregates(0, None, T_MS, None), "daily aggregates: every day is up to date, last run 2026-09-21 14:13"),
        (Aggregates(1, T_MS, None, None), "daily aggregates: 1 day waits since 2026-09-21 14:13"),
        (
            Aggregates(3, T_MS - 7_200_000, T_MS, "RetryLater: Athena is busy"),
            "daily aggregates: 3 days wait, the first since 2026-09-21 12:13, last run 2026-09-21 14:13; "
            "failed since: RetryLater: Athena is busy",
        ),
    ],
)
def test_the_status_says_whether_the_daily_aggregates_are_up_to_date_and_why_not(found: Aggregates, line: str) -> None:
    assert aggregates_line(found) == line
    assert line in shown({}, aggregates=found)
