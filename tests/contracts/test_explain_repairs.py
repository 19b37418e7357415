"""`telltale explain` on what came of a repair."""

import pytest
from cli import explain as explain_command
from cli.deployment import Deployment
from cli.sql import ENGINE

from tests.contracts.test_explain_command import OUTPUTS, Desk
from tests.unit.test_backtest_command import Lived, scalars, waves
from tests.unit.test_from_rows_to_label import Plant
from tests.unit.test_from_rows_to_label import works as works


@pytest.fixture
def line(works: Plant, monkeypatch: pytest.MonkeyPatch) -> Lived:
    """A case that was closed as repaired."""
    monkeypatch.setattr(explain_command, "current", lambda: Deployment(OUTPUTS, {ENGINE: "duckdb"}))
    line = Lived(works, monkeypatch)
    line.capture(scalars(0, 0.2), scalars(1, 0.3, y=0.2))
    line.capture(*(waves(n) for n in (2, 3, 4, 5)))
    line.close()
    return line


@pytest.mark.parametrize(("level", "came_of_it"), [(0.8, "reopened"), (0.2, "confirmed")])
def test_what_came_of_a_repair_is_made_again(line: Lived, level: float, came_of_it: str) -> None:
    desk = Desk(line)

    line.capture(*({**scalars(n, level), "velocity_rms_mm_s": dict.fromkeys("xyz", level)} for n in range(6, 14)))
    status, out, err = desk.explain(desk.case)

    assert (status, err) == (0, "")
    assert f", {came_of_it}, revision 4" in out
    assert "re-created: identical" in out
