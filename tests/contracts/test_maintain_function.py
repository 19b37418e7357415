"""The function maintain_lake, told by its environment alone, against MiniStack."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import maintain_lake
import pytest
from telltale.adapters.cases import Cases
from telltale.adapters.registry import Registry
from telltale.core.plant import Site

from tests.aws_line import change
from tests.contracts.conftest import REGION
from tests.contracts.test_commit import Place
from tests.contracts.test_registry import table as dynamodb_table


@pytest.fixture
def place(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(ministack)
    environment = {
        "AWS_ENDPOINT_URL": ministack,
        "AWS_REGION": REGION,
        "LAKE_BUCKET": place.bucket,
        "LAKE_ENGINE": "function",
        "GLUE_DATABASE": place.database,
        "REGISTRY_TABLE": dynamodb_table(place.dynamodb),
        "CASES_TABLE": dynamodb_table(place.dynamodb),
        "PROGRESS_TABLE": place.table,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    maintain_lake._parts.cache_clear()
    yield place
    maintain_lake._parts.cache_clear()


CONTEXT: Any = SimpleNamespace(
    function_name="maintain_lake",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="r-1",
    get_remaining_time_in_millis=lambda: 900_000,
)


def commit(place: Place, *numbers: int) -> None:
    for n in numbers:
        place.publish(n)
        place.commit(owner=f"c{n}")


def test_it_maintains_all_tables_and_says_how_much(place: Place) -> None:
    commit(place, 1, 2)

    answers = [maintain_lake.handler({}, CONTEXT) for _ in range(2)]

    assert answers == [
        {"tables": 2, "rewritten": 4, "deleted": 0},
        {"tables": 2, "rewritten": 0, "deleted": 0},
    ]
    assert place.values() == [1.0, 2.0]


def test_one_table_can_be_asked_for(place: Place) -> None:
    commit(place, 1, 2)

    assert maintain_lake.handler({"table": "batches"}, CONTEXT) == {"tables": 1, "rewritten": 2, "deleted": 0}


def test_where_athena_compacts_it_leaves_the_files_as_they_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ENGINE", "athena")
    commit(place, 1, 2)

    assert maintain_lake.handler({}, CONTEXT)["rewritten"] == 0


def test_what_the_plant_no_longer_keeps_leaves_the_tables_unless_an_open_case_holds_it(place: Place) -> None:
    commit(place, 1, 2)
    registry, cases = os.environ["REGISTRY_TABLE"], os.environ["CASES_TABLE"]
    Registry(place.dynamodb, registry).put(Site("a", retention={"measurements": 7}))
    Cases(place.dynamodb, cases).put("a/b/c/d", change(), changed_at=0)
    maintain_lake.handler({}, CONTEXT)
    held = place.values()
    Cases(place.dynamodb, cases).put("a/b/c/d", change(2, "resolved"), changed_at=0)

    maintain_lake.handler({}, CONTEXT)

    assert (held, place.values()) == ([1.0, 2.0], [])
