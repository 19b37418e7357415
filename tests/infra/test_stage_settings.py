"""A stage is described in full and in range, or nothing is synthesised."""

from typing import Any

import pytest
from aws_cdk import RemovalPolicy

from infra.settings import BadSettings, Settings
from tests.infra.assembly import stages_context


def settings(**changed: Any) -> Settings:
    stage = stages_context()["stages"]["production"] | changed
    return Settings.of("plant", {"plant": {k: v for k, v in stage.items() if v is not None}})


@pytest.mark.parametrize("stage", ["demo", "production"])
def test_the_stages_of_cdk_json_are_good(stage: str) -> None:
    assert Settings.of(stage, stages_context()["stages"]).stage == stage


def test_production_keeps_its_data_and_the_demo_leaves_nothing_behind() -> None:
    assert settings(keep_data=True).removal == RemovalPolicy.RETAIN
    assert settings(keep_data=False).removal == RemovalPolicy.DESTROY


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"shards": None}, "shards"),
        ({"shards": "two"}, "shards"),
        ({"shards": True}, "shards"),
        ({"shards": 0}, "shards"),
        ({"keep_data": 1}, "keep_data"),
        ({"hints_url": "yes"}, "hints_url"),
        ({"pages": 1}, "pages"),
        ({"pages_at_once": -1}, "pages_at_once"),
        ({"alarm_email": 7}, "alarm_email"),
        ({"log_days": 8}, "log_days"),
        ({"maintain_hours": 25}, "maintain_hours"),
        ({"stream_retention_hours": 12}, "stream_retention_hours"),
        ({"stream_retention_hours": 169}, "stream_retention_hours"),
        ({"archive_days": 30, "tier_days": 30}, "archive_days"),
        ({"alarm_email": "shift@example.org", "customer_key": False}, "alarm_email"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        settings(**changed)


def test_an_unknown_stage_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadSettings, match=r"'moon'.*demo.*production"):
        Settings.of("moon", stages_context()["stages"])
