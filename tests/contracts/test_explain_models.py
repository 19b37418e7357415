"""`telltale explain` of a case that the model of an asset opened: it rests on scores, not on a capture."""

import hashlib
import json
import sys
from typing import Any

import pytest
from cli import __main__ as command
from cli import explain as explain_command
from cli.deployment import Deployment
from cli.sql import ENGINE
from telltale.adapters import parquet, scoring
from telltale.adapters.receipts import PENDING
from telltale.core import schema

from tests.aws_line import START_MS
from tests.contracts.test_explain_command import OUTPUTS
from tests.unit.test_from_rows_to_label import HOUR, PUMP, Plant, works

__all__ = ["works"]  # a fixture


def test_a_case_of_an_assets_model_is_made_again_from_its_scores(
    works: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [scored(n, 0.4 if n < 3 else 3.0) for n in range(10)]
    listed = json.dumps([{"name": "flow", "value": 0.75}, {"name": "head", "value": 0.25}])
    [file] = parquet.files(schema.SCORES, [{**row, "contributions": listed} for row in scores])
    works.rows([json.dumps(scoring._feature_record(row)).encode() for row in scores])
    receipts = works.aws.s3.list_objects_v2(Bucket="lake", Prefix=PENDING)["Contents"]
    key = receipts[0]["Key"]
    told = json.loads(works.aws.s3.get_object(Bucket="lake", Key=key)["Body"].read())
    named = f"data/scores/{file.day}/a-{hashlib.sha256(file.body).hexdigest()[:16]}.parquet"
    works.aws.s3.put_object(Bucket="lake", Key=named, Body=file.body)
    told["files"].append({"table": "scores", "key": named, "rows": 10, "size": len(file.body)})
    works.aws.s3.put_object(Bucket="lake", Key=key, Body=json.dumps(told).encode())
    monkeypatch.setattr(explain_command, "current", lambda: Deployment(OUTPUTS, {ENGINE: "duckdb"}))
    [case] = works.cases.all()
    monkeypatch.setattr(sys, "argv", ["telltale", "explain", case.change.case_id])
    capsys.readouterr()

    status = command.main()

    out, err = capsys.readouterr()
    assert (status, err) == (0, ""), out
    assert "it is no capture: version m-7 of the asset's model judged its tags together" in out
    assert "the verdicts were made again from the score and what the case recorded as known before it" in out
    assert "re-created: identical" in out


def scored(n: int, deviation: float) -> dict[str, Any]:
    """What the asset's model said of the n-th hour."""
    return {
        "asset": PUMP.asset,
        "site": PUMP.site,
        "position": PUMP.id,
        "t": START_MS + n * HOUR,
        "scored_at": START_MS + n * HOUR + 500,
        "model": "m-7",
        "score": deviation / (1 + deviation),
        "deviation": deviation,
        "prediction": int(deviation > 1),
        "prediction_reason": "ANOMALY_DETECTED" if deviation > 1 else "NO_ANOMALY_DETECTED",
        "contributions": {"flow": 0.75, "head": 0.25},
        "code_version": "0.1.0",
    }
