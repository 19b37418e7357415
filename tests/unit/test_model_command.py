"""The command over models: what it lists, what it lets go live, and what it hands out."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli import model as model_command
from cli.deployment import Deployment
from cli.problem import Problem
from telltale.adapters.models import Models
from telltale.core.training import History, Made, Wish, make

from tests.aws_line import Aws, Clock, aws, make_table

PUMP = "plant/hall/pump-1"
WISH = Wish(every_s=600.0)


def made(seed: int) -> Made:
    times_s = 1_790_000_000.0 + 600.0 * np.arange(200)
    values = np.random.default_rng(seed).normal(size=(200, 2)) + 10.0
    return make(History(("process/flow", "process/pressure"), times_s, values), WISH, live=None)


FIRST, SECOND = made(1), made(2)


class Shop:
    """A deployment with two versions of one asset, of which none is live."""

    def __init__(self, at: Aws) -> None:
        self.aws = at
        make_table(at.dynamodb, "models")
        self.models = Models(at.s3, at.dynamodb, bucket="lake", table="models", now_ms=Clock())
        later = replace(SECOND, learned_s=(SECOND.learned_s[0], SECOND.learned_s[1] + 86_400))
        self.first, self.second = (self.models.add(PUMP, one, WISH, by="mia").version for one in (FIRST, later))


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with aws() as at:
        outputs = {"LakeBucket": "lake", "ModelsTable": "models", "BusName": "bus"}
        monkeypatch.setattr(model_command, "current", lambda: Deployment(outputs=outputs, environment={}))
        yield Shop(at)


def types(*words: str) -> int:
    parser = argparse.ArgumentParser()
    model_command.add_arguments(parser)
    return model_command.run(parser.parse_args(words))


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, bool]:
    capsys.readouterr()
    types("list", "--json")
    return {row["version"]: row["live"] for row in json.loads(capsys.readouterr().out)}


def test_a_version_goes_live_by_its_first_characters_and_back_again(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    types("promote", PUMP, shop.first[:10], "--why", "the first", "--by", "mia")
    types("promote", PUMP, shop.second, "--why", "newer", "--by", "mia")
    after = listed(capsys)

    types("rollback", PUMP, "--why", "cries wolf", "--by", "tom")

    assert after == {shop.first: False, shop.second: True}
    assert listed(capsys) == {shop.first: True, shop.second: False}
    heard = shop.aws.heard()
    assert [(event["kind"], event["by"], event["why"]) for event in heard] == [
        ("Model Promoted", "mia", "the first"),
        ("Model Promoted", "mia", "newer"),
        ("Model Promoted", "tom", "cries wolf"),
    ]


def test_what_is_live_already_is_not_told_again(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        types("promote", PUMP, shop.first, "--why", "the first", "--by", "mia")

    assert capsys.readouterr().out.splitlines()[-1] == f"{shop.first} of {PUMP} is live already"
    assert len(shop.aws.heard()) == 1


def test_lists_are_for_people_too(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    types("list", PUMP)
    types("show", PUMP, shop.first)

    told = " ".join(capsys.readouterr().out.split())
    assert f"{shop.first} {PUMP}" in told
    assert "gate: held back: no model is live" in told
    assert "smallest lasting step of each that alarms process/flow" in told


def test_an_empty_store_says_what_to_do(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    types("list", "plant/hall/nothing")

    assert "no model of plant/hall/nothing yet: `telltale train --asset ASSET` makes one" in capsys.readouterr().out


def test_an_export_has_all_that_scoring_needs(shop: Shop, tmp_path: Path) -> None:
    types("promote", PUMP, shop.first, "--why", "the first")

    types("export", PUMP, "--out", str(tmp_path / "out"))

    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert set(found) == {"model.json", "report.json", "FORMULA.md", "score.py"}
    assert json.loads(found["model.json"])["tags"] == ["process/flow", "process/pressure"]
    assert json.loads(found["report.json"])["version"] == shop.first


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", PUMP), "no model of plant/hall/pump-1 is live"),
        (("promote", PUMP, "1999", "--why", "x"), "no model of plant/hall/pump-1 begins with '1999'"),
        (("promote", PUMP, "2026", "--why", "x"), "'2026' begins 2 models"),
        (("rollback", PUMP, "--why", "x"), "has no model that was live before"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shop: Shop, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(Problem, match=says):
        types(*words)


def test_an_older_deployment_is_told_to_deploy_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_command, "current", lambda: Deployment(outputs={}, environment={}))

    with pytest.raises(Problem, match="no table of models"):
        types("list")
