"""The function aggregate_lake, told by its environment alone, against MiniStack and DuckDB; or asking Athena."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aggregate_lake
import pytest
from cli import overview
from cli.deployment import Deployment
from cli.overview import Aggregates
from telltale.adapters.athena import Athena
from telltale.adapters.changed_days import LastRun
from telltale.core.errors import RetryLater

from tests.contracts.conftest import REGION
from tests.contracts.test_aggregate import Works

CONTEXT: Any = SimpleNamespace(
    function_name="aggregate_lake",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="r-1",
    get_remaining_time_in_millis=lambda: 900_000,
)


@pytest.fixture
def place(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    place = Works(ministack)
    environment = {
        "AWS_ENDPOINT_URL": ministack,
        "AWS_REGION": REGION,
        "LAKE_BUCKET": place.bucket,
        "GLUE_DATABASE": place.database,
        "WORKGROUP": "telltale",
        "PROGRESS_TABLE": place.table,
        "QUERY_ENGINE": "duckdb",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    aggregate_lake._parts.cache_clear()
    yield place
    aggregate_lake._parts.cache_clear()


def test_it_aggregates_what_changed_and_remembers_that_it_did(place: Works) -> None:
    place.capture(0)

    answers = [aggregate_lake.handler({}, CONTEXT) for _ in range(2)]

    assert answers == [{"days": 1, "left": 0}, {"days": 0, "left": 0}]
    assert place.captures() == [("a/b/c/d", 1)]
    assert place.days().last_run().ran_ms is not None


def test_what_goes_wrong_is_raised_for_a_retry_and_remembered_until_it_goes_well(
    place: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.capture(0)
    aggregator, _ = aggregate_lake._parts()

    def fails(**how: Any) -> None:
        raise RetryLater("Athena is busy")

    with monkeypatch.context() as broken:
        broken.setattr(aggregator, "run", fails)
        with pytest.raises(RetryLater):
            aggregate_lake.handler({}, CONTEXT)
    after_failure = place.days().last_run()
    aggregate_lake.handler({}, CONTEXT)

    assert (after_failure.ran_ms, after_failure.problem) == (None, "RetryLater: Athena is busy")
    assert place.days().last_run() == LastRun(place.days().last_run().ran_ms)


def test_the_status_shows_what_waits_and_how_the_last_run_went(place: Works, ministack: str) -> None:
    environment = {"AWS_ENDPOINT_URL": ministack, "AWS_REGION": REGION}
    deployment = Deployment(outputs={"ProgressTable": place.table}, environment=environment)
    place.capture(0)
    place.capture(0, day=-5)
    waiting = overview.aggregates(deployment)
    aggregate_lake.handler({}, CONTEXT)

    assert (waiting.waiting, waiting.ran_ms, waiting.problem) == (2, None, None)
    assert waiting.since_ms is not None
    assert overview.aggregates(deployment) == Aggregates(0, None, place.days().last_run().ran_ms, None)


def test_it_leaves_the_work_to_another_that_is_at_it(place: Works) -> None:
    place.capture(0)
    lease = {"pk": {"S": "lease#aggregate"}, "owner": {"S": "other"}, "expires_ms": {"N": str(2 * 10**12)}}
    place.dynamodb.put_item(TableName=place.table, Item=lease)

    assert aggregate_lake.handler({}, CONTEXT) == {"days": 0, "left": 0}
    assert [change.day for change in place.days().waiting()] == ["2026-09-21"]


def test_in_aws_it_asks_athena_in_the_lakes_workgroup(place: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_ENGINE", "athena")

    aggregator, _ = aggregate_lake._parts()

    engine = aggregator._engine
    assert isinstance(engine, Athena)
    assert (engine.database, engine.workgroup) == (place.database, "telltale")
