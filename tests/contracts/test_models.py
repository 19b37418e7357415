"""What the store of models promises, on every AWS the project runs on."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from telltale.adapters import models as models_module
from telltale.adapters.models import Models, Moved, NoModel
from telltale.core import asset_model
from telltale.core.training import History, Made, Wish, make

from tests.aws_line import Clock, make_table
from tests.contracts.conftest import client

PUMP = "plant/hall/pump-1"
WISH = Wish(every_s=600.0, off="de/speed_rpm<100")


def made(seed: int = 1) -> Made:
    random = np.random.default_rng(seed)
    values = random.normal(loc=(40.0, 5.0, 1480.0), size=(400, 3))
    times_s = 1_790_000_000.0 + 600.0 * np.arange(400)
    return make(History(("process/flow", "process/pressure", "de/speed_rpm"), times_s, values), WISH, live=None)


FIRST, SECOND = made(1), made(2)


class Store:
    """A store of its own."""

    def __init__(self, endpoint: str | None) -> None:
        self.s3, self.dynamodb = client("s3", endpoint), client("dynamodb", endpoint)
        self.bucket, self.table = f"lake-{uuid4().hex}", f"models-{uuid4().hex}"
        self.s3.create_bucket(Bucket=self.bucket)
        make_table(self.dynamodb, self.table)
        self.clock = Clock()
        self.models = Models(self.s3, self.dynamodb, bucket=self.bucket, table=self.table, now_ms=self.clock)

    def add(self, made: Made, asset: str = PUMP) -> str:
        return self.models.add(asset, made, WISH, by="mia").version


@pytest.fixture
def store(endpoint: str | None) -> Store:
    return Store(endpoint)


def test_a_version_comes_back_to_the_last_bit(store: Store) -> None:
    version = store.add(FIRST)

    found = store.models.get(PUMP, version)

    assert asset_model.as_json(found.model) == asset_model.as_json(FIRST.model)
    assert (found.every_s, found.off, found.learned_s) == (600.0, "de/speed_rpm<100", FIRST.learned_s)
    assert found.tags == ("process/flow", "process/pressure", "de/speed_rpm")
    report = store.models.report(PUMP, version)
    assert (report["trained_by"], report["rows"], report["gate"]["passed"]) == ("mia", FIRST.model.rows, False)


def test_the_same_training_gives_the_same_version_and_changes_nothing(store: Store) -> None:
    version = store.add(FIRST)
    store.clock.go(s=1000)

    again = store.models.add(PUMP, FIRST, WISH, by="tom").version

    assert again == version
    assert store.models.report(PUMP, version)["trained_by"] == "mia"
    assert store.models.versions() == [(PUMP, version)]


def test_versions_are_listed_by_asset_oldest_first(store: Store) -> None:
    later = replace(SECOND, learned_s=(SECOND.learned_s[0], SECOND.learned_s[1] + 86_400))
    ours = [store.add(FIRST), store.add(later)]
    other = store.add(FIRST, "plant/hall/pump-10")

    assert store.models.versions(PUMP) == [(PUMP, version) for version in ours]
    assert store.models.versions()[-1] == ("plant/hall/pump-10", other)


def test_a_changed_byte_is_found(store: Store) -> None:
    version = store.add(FIRST)
    key = f"models/{PUMP}/{version}/model.json"
    body = store.s3.get_object(Bucket=store.bucket, Key=key)["Body"].read()
    store.s3.put_object(Bucket=store.bucket, Key=key, Body=body.replace(b'"rows":', b'"rows": '))

    with pytest.raises(ValueError, match="was changed"):
        store.models.get(PUMP, version)


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(NoModel, match="has no model 2026"):
        store.models.promote(PUMP, "20260101T000000-000000000000", by="mia", why="")
    with pytest.raises(NoModel, match="was live before"):
        store.models.rollback(PUMP, by="mia", why="")

    assert store.models.live(PUMP) is None
    assert store.models.all_live() == []


def test_promotions_are_kept_with_who_when_and_why(store: Store) -> None:
    first, second = store.add(FIRST), store.add(SECOND)
    store.models.promote(PUMP, first, by="mia", why="the first")
    store.clock.go(s=60)
    store.models.promote(PUMP, second, by="tom", why="new impeller")

    live = store.models.live(PUMP)

    assert live is not None
    assert (live.version, live.revision) == (second, 2)
    assert [(one.version, one.by, one.why) for one in live.history] == [
        (first, "mia", "the first"),
        (second, "tom", "new impeller"),
    ]
    assert live.history[1].t_ms - live.history[0].t_ms == 60_000
    assert store.models.all_live() == [live]


def test_rolling_back_goes_back_step_by_step_and_never_forward(store: Store) -> None:
    versions = [store.add(made(seed)) for seed in (3, 4, 5)]
    for version in versions:
        store.models.promote(PUMP, version, by="mia", why="newer")

    back = [store.models.rollback(PUMP, by="mia", why="cries wolf").version for _ in range(2)]

    assert back == [versions[1], versions[0]]
    with pytest.raises(NoModel):
        store.models.rollback(PUMP, by="mia", why="once more")
    assert store.models.promote(PUMP, versions[2], by="mia", why="mended").before == versions[0]


def test_promoting_what_is_live_changes_nothing(store: Store) -> None:
    version = store.add(FIRST)
    before = store.models.promote(PUMP, version, by="mia", why="the first")

    assert store.models.promote(PUMP, version, by="tom", why="again") == before


def test_of_two_who_promote_at_once_one_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (store.add(one) for one in (FIRST, SECOND, made(6)))
    store.models.promote(PUMP, first, by="mia", why="the first")
    seen = store.models.live(PUMP)
    store.models.promote(PUMP, second, by="tom", why="faster")

    monkeypatch.setattr(store.models, "live", lambda _: seen)
    with pytest.raises(Moved):
        store.models.promote(PUMP, third, by="mia", why="slower")

    monkeypatch.undo()
    live = store.models.live(PUMP)
    assert live is not None
    assert live.version == second


def test_a_promotion_is_told_to_everybody_else() -> None:
    live = models_module.Live(
        PUMP, 2, (models_module.Promotion("a", 1, "mia", "first"), models_module.Promotion("b", 2, "tom", "newer"))
    )

    event = models_module.model_promoted(live)

    assert event.kind == "Model Promoted"
    assert json.loads(json.dumps(event.detail)) == {
        "version": "1",
        "id": f"{PUMP}#2",
        "asset": PUMP,
        "site": "plant",
        "model": "b",
        "previous": "a",
        "t_ms": 2,
        "by": "tom",
        "why": "newer",
    }


def test_a_model_of_an_older_telltale_is_told_apart_from_a_broken_one() -> None:
    document = json.loads(json.dumps(models_module.as_document(PUMP, FIRST, WISH))) | {"version": 0}

    with pytest.raises(models_module.Outdated, match=r"found version 0.*train again"):
        models_module.of_document(PUMP, "v", document)


def test_a_document_of_another_kind_is_refused() -> None:
    document: dict[str, Any] = {**asset_model.as_json(FIRST.model), "conditions": {}}

    with pytest.raises(ValueError, match="not a stored model"):
        models_module.of_document(PUMP, "v", document)
