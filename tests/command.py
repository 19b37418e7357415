"""The `telltale` command, run in the test's own process."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from cli import __main__ as command


def telltale(
    arguments: Sequence[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    columns: int = 80,
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["telltale", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", str(columns))
    try:
        status = command.main()
    except SystemExit as left:
        status = int(left.code or 0)
    return status, *capsys.readouterr()
