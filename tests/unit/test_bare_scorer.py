"""The scorer that goes with an exported model needs nothing of Telltale, and says what Telltale says."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import bare_scorer
from cli.model import PAGE, SCORER, formula
from telltale.core import asset_model

TAGS = ("flow", "pressure", "power", "level, tank")


def healthy(rows: int, *, seed: int) -> Any:
    random = np.random.default_rng(seed)
    load = random.normal(size=rows)
    columns = [load, 0.8 * load, -0.5 * load, 0.3 * load]
    return np.column_stack(columns) + 0.4 * random.normal(size=(rows, 4))


MODEL = asset_model.train(healthy(600, seed=1), tags=TAGS)
PLAIN = json.loads(json.dumps(asset_model.as_json(MODEL)))


@pytest.mark.parametrize("case", ["healthy", "fault", "gaps", "rounded", "jump", "swing"])
def test_it_agrees_to_a_billionth(case: str) -> None:
    rows = healthy(500, seed=2)
    if case == "fault":
        rows[60:150, 0] += np.linspace(0, 3, 90)
        rows[150:, 0] += 0.4
        rows[300:, 2] -= 4.0
    elif case == "gaps":
        rows[40:60, 1] = np.nan
        rows[:5, 2] = np.inf
        rows[100] = np.nan
    elif case == "rounded":
        rows = np.round(rows, 1)
    elif case == "jump":
        rows[100, 3] = 1e6
    elif case == "swing":
        rows[60:200, 0] += 2 * np.sin(np.arange(140))

    scores, anomalies, changes, shares = bare_scorer.score(PLAIN, rows)

    found = asset_model.score(MODEL, asset_model.start(MODEL), rows)[1]
    np.testing.assert_allclose(scores, found.score, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(anomalies, found.is_anomaly)
    np.testing.assert_array_equal(changes, found.is_changepoint)
    np.testing.assert_allclose(shares, found.contributions, rtol=1e-7, atol=1e-12)
    assert found.is_anomaly.any() or case not in {"fault", "jump", "swing"}


def test_as_a_program_it_reads_a_table_by_the_names_of_its_columns(tmp_path: Path) -> None:
    rows = healthy(50, seed=3)
    (tmp_path / "model.json").write_text(json.dumps(PLAIN))
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t", *reversed(TAGS)])
        writer.writerows([n, *map(repr, row[::-1].tolist())] for n, row in enumerate(rows))
    arguments = [sys.executable, "-I", str(SCORER), str(tmp_path / "model.json"), str(tmp_path / "rows.csv")]

    done = subprocess.run(arguments, capture_output=True, text=True, check=True)

    written = list(csv.DictReader(done.stdout.splitlines()))
    found = asset_model.score(MODEL, asset_model.start(MODEL), rows)[1].score
    np.testing.assert_allclose([float(row["score"]) for row in written], found, rtol=1e-9)
    assert set(written[0]) == {"score", "is_anomaly", "is_changepoint", *TAGS}


def test_it_imports_nothing_but_numpy_and_the_standard_library() -> None:
    lines = [line.split()[1] for line in SCORER.read_text().splitlines() if line.startswith(("import ", "from "))]

    assert {name for name in lines if name not in sys.stdlib_module_names} == {"numpy"}


def test_the_formula_that_is_exported_is_the_page_s_own() -> None:
    page = PAGE.read_text()

    told = formula(page)

    assert told.startswith("# The formula\n")
    assert "`u = clip(F - r, -20, 20)`" in told
    assert told.removeprefix("# The formula\n") in page
    assert "\n## " not in told
