"""`telltale lake` on MiniStack: how the tables stand, and maintenance at once."""

import io
import json
from typing import Any

import maintain_lake
import pytest
from cli import lake as command
from cli.deployment import Deployment
from telltale.adapters.maintenance import Failed

from tests.command import telltale
from tests.contracts.conftest import REGION
from tests.contracts.test_commit import Place
from tests.contracts.test_maintain_function import CONTEXT, place

__all__ = ["place"]


@pytest.fixture
def deployment(place: Place, ministack: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Whose function is called in this process."""
    outputs = {
        "LakeBucket": place.bucket,
        "GlueDatabase": place.database,
        "ProgressTable": place.table,
        "MaintainFunction": "maintain",
    }
    deployment = Deployment(outputs, {"AWS_ENDPOINT_URL": ministack, "AWS_REGION": REGION})
    monkeypatch.setattr(command, "current", lambda: deployment)
    client = Deployment.client

    def with_function(self: Deployment, service: str, **more: Any) -> Any:
        return Function() if service == "lambda" else client(self, service, **more)

    monkeypatch.setattr(Deployment, "client", with_function)
    return deployment


class Function:
    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as boto3 calls them
        try:
            return {"Payload": _json(maintain_lake.handler(json.loads(Payload), CONTEXT))}
        except Failed as error:
            return {"FunctionError": "Unhandled", "Payload": _json({"errorMessage": str(error)})}


def _json(document: Any) -> io.BytesIO:
    return io.BytesIO(json.dumps(document).encode())


def test_it_shows_how_the_tables_stand_before_and_after(
    place: Place, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in (1, 2, 3):
        place.publish(n)
        place.commit(owner=f"c{n}")

    _, before, _ = telltale(["lake", "--json"], monkeypatch, capsys)
    _, said, _ = telltale(["lake", "maintain", "--table", "readings"], monkeypatch, capsys)
    _, after, _ = telltale(["lake"], monkeypatch, capsys, columns=120)

    [standing] = [one for one in json.loads(before) if one["table"] == "readings"]
    assert (standing["files"], standing["rows"], standing["snapshots"]) == (3, 3, 3)
    assert standing["stored_bytes"] > standing["bytes"] > 0
    assert (standing["maintained_ms"], standing["problem"]) == (None, "")
    assert said.endswith("readings: 3 files rewritten, 0 deleted\n")  # after the metrics of the function
    [line] = [line.split() for line in after.splitlines() if line.startswith("readings")]
    assert line[:3] == ["readings", "1", "3"]
    [other] = [line for line in after.splitlines() if line.startswith("batches")]
    assert other.rstrip().endswith("never")


def test_without_a_table_it_says_so(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert telltale(["lake"], monkeypatch, capsys) == (0, "no table yet: the first commit makes them\n", "")


def test_what_failed_is_said(
    place: Place, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.publish(1)
    place.commit()
    monkeypatch.setattr("telltale.adapters.maintenance.live_files", _broken)

    status, _, error = telltale(["lake", "maintain"], monkeypatch, capsys)
    _, after, _ = telltale(["lake"], monkeypatch, capsys)

    assert status == 1
    assert "maintenance failed: readings: OSError: a manifest is gone" in error
    assert "readings: OSError: a manifest is gone" in after


def _broken(iceberg: Any) -> Any:
    raise OSError("a manifest is gone")
