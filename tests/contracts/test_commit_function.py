"""The function commit_lake, told by its environment alone, against MiniStack."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import commit_lake
import numpy as np
import pytest
from telltale.core import schema

from tests.contracts.conftest import REGION
from tests.contracts.test_commit import Place
from tests.contracts.test_lake import waveform


@pytest.fixture
def place(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(ministack)
    environment = {
        "AWS_ENDPOINT_URL": ministack,
        "AWS_REGION": REGION,
        "LAKE_BUCKET": place.bucket,
        "GLUE_DATABASE": place.database,
        "PROGRESS_TABLE": place.table,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    commit_lake._collaborators.cache_clear()
    yield place
    commit_lake._collaborators.cache_clear()


CONTEXT: Any = SimpleNamespace(
    function_name="commit_lake",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="r-1",
    get_remaining_time_in_millis=lambda: 300_000,
)


def test_it_commits_what_is_pending_and_says_how_much(place: Place) -> None:
    place.publish(1)
    place.publish(2)

    answers = [commit_lake.handler({}, CONTEXT) for _ in range(2)]

    assert answers == [{"commits": 1, "receipts": 2}, {"commits": 0, "receipts": 0}]
    assert place.values() == [1.0, 2.0]


def test_its_first_run_makes_every_table_so_that_queries_find_it(place: Place) -> None:
    commit_lake.handler({}, CONTEXT)

    made = {name for _, name in place.catalog.list_tables(place.database)}
    assert made == {table.name for table in schema.TABLES}


def test_waveforms_are_committed_without_a_warning_for_each_file(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.publish_row(1, schema.WAVEFORMS, waveform(np.array([1, -1], np.int16)))

    commit_lake.handler({}, CONTEXT)

    assert len(place.rows("waveforms")) == 1
    assert [line.getMessage() for line in caplog.records if line.name.startswith("pyiceberg")] == []


def test_it_leaves_the_work_to_another_committer_that_holds_the_lease(place: Place) -> None:
    place.publish(1)
    lease = {"pk": {"S": "lease#commit"}, "owner": {"S": "other"}, "expires_ms": {"N": str(2 * 10**12)}}
    place.dynamodb.put_item(TableName=place.table, Item=lease)

    answer = commit_lake.handler({}, CONTEXT)

    assert answer == {"commits": 0, "receipts": 0}
    assert place.values() == []
