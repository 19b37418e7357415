"""What `status` and `up` show of open cases."""

from typing import Any

from cli.live import picture
from cli.overview import Counts, Overview
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
