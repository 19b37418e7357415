"""What `plant apply` shows, asks and writes, against a real registry on moto."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from cli import plant
from cli.plant import Change, diff
from cli.plant_file import parse
from cli.problem import Problem
from moto import mock_aws
from telltale.adapters.registry import Registry
from telltale.core.plant import Gateway, Plant, Sensor

ONE = "sites: {s: {gateways: {g: }, areas: {a: {assets: {m: {speed_rpm: 1480, positions: {p: {sensor: x}}}}}}}}"
FASTER = ONE.replace("1480", "2950")
MORE = ONE.replace("p: {sensor: x}", "p: {sensor: x}, q: {sensor: y}")
ELSEWHERE = ONE.replace("{s:", "{t:").replace("g:", "h:").replace("x", "z")


def described(text: str) -> Plant:
    return parse(text, file="plant.yaml")


NOTHING = Plant({}, {}, {}, {})


def signs(changes: list[Change]) -> list[str]:
    return [f"{change.sign} {change.kind} {change.id}" for change in changes]


def test_a_new_plant_is_written_from_the_site_down() -> None:
    assert signs(diff(NOTHING, described(ONE))) == ["+ site s", "+ gateway g", "+ position s/a/m/p", "+ sensor x"]


def test_a_change_shows_the_old_and_the_new_value() -> None:
    [change] = diff(described(ONE), described(FASTER))

    assert list(change.fields()) == [("speed_rpm", "1480", "2950")]


def test_a_replaced_sensor_shows_its_dates() -> None:
    replaced = ONE.replace("{sensor: x}", "{sensor: {id: x, to: 2026-01-01}}")

    [change] = diff(described(ONE), described(replaced))

    assert list(change.fields()) == [("assignment 1", "s/a/m/p", "s/a/m/p until 2026-01-01T00:00:00Z")]


def test_what_the_file_no_longer_has_is_removed() -> None:
    assert signs(diff(described(MORE), described(ONE))) == ["- position s/a/m/q", "- sensor y"]


def test_the_same_plant_is_no_change() -> None:
    assert diff(described(MORE), described(MORE)) == []


def test_a_file_speaks_only_for_its_own_sites() -> None:
    both = parse(f"{ELSEWHERE[:-1]}, {ONE.removeprefix('sites: {')}", file="both.yaml")

    assert diff(both, described(ONE)) == []


def test_a_sensor_of_another_site_is_not_taken_over_silently() -> None:
    with pytest.raises(Problem) as caught:
        diff(described(ELSEWHERE), described(ONE.replace("x", "z")))

    assert "sensor z belongs to site t" in str(caught.value)


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that the command finds as the current deployment's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        dynamodb: Any = boto3.client("dynamodb", region_name="eu-central-1")
        for name in ("registry", "states"):
            dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        outputs = {"RegistryTable": "registry", "StatesTable": "states"}
        deployment = SimpleNamespace(outputs=outputs, client=lambda service: dynamodb)
        monkeypatch.setattr(plant, "current", lambda: deployment)
        yield Registry(dynamodb, "registry")


def telltale_plant(*words: str) -> int:
    parser = argparse.ArgumentParser()
    plant.add_arguments(parser)
    return plant.run(parser.parse_args(words))


def written(folder: Path, text: str) -> str:
    path = folder / "plant.yaml"
    path.write_text(text)
    return str(path)


def test_applying_a_file_makes_the_registry_say_what_it_says(registry: Registry, tmp_path: Path) -> None:
    telltale_plant("apply", written(tmp_path, MORE), "--yes")

    assert registry.plant() == described(MORE)


def test_applying_a_file_again_changes_nothing(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    telltale_plant("apply", written(tmp_path, MORE), "--yes")
    capsys.readouterr()

    telltale_plant("apply", written(tmp_path, MORE), "--yes")

    assert capsys.readouterr().out == "the registry already is as the file says\n"


def test_a_dry_run_only_shows(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    telltale_plant("apply", written(tmp_path, ONE), "--dry-run")

    assert "+ position s/a/m/p\n    name: p\n" in capsys.readouterr().out
    assert registry.plant() == NOTHING


def test_yes_alone_removes_nothing(registry: Registry, tmp_path: Path) -> None:
    telltale_plant("apply", written(tmp_path, MORE), "--yes")

    telltale_plant("apply", written(tmp_path, FASTER), "--yes")

    assert registry.plant().sensors.keys() == {"x", "y"}
    assert registry.plant().positions["s/a/m/p"].speed_rpm == 2950


def test_prune_removes_what_the_file_no_longer_has_and_nothing_of_other_sites(
    registry: Registry, tmp_path: Path
) -> None:
    telltale_plant("apply", written(tmp_path, ELSEWHERE), "--yes")
    telltale_plant("apply", written(tmp_path, MORE), "--yes")

    telltale_plant("apply", written(tmp_path, ONE), "--yes", "--prune")

    assert registry.plant().sensors.keys() == {"x", "z"}
    assert registry.plant().positions.keys() == {"s/a/m/p", "t/a/m/p"}


@pytest.mark.parametrize(("answers", "left"), [(["y", "y"], {"x"}), (["y", "n"], {"x", "y"}), (["n"], {"x", "y"})])
def test_a_person_is_asked_for_changes_and_for_removals(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str], left: set[str]
) -> None:
    telltale_plant("apply", written(tmp_path, MORE), "--yes")
    remaining = iter(answers)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: next(remaining))

    telltale_plant("apply", written(tmp_path, FASTER))

    assert registry.plant().sensors.keys() == left
    assert (registry.plant().positions["s/a/m/p"].speed_rpm == 2950) == (answers[0] == "y")


def test_without_a_person_to_ask_nothing_is_written(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)

    with pytest.raises(Problem):
        telltale_plant("apply", written(tmp_path, ONE))

    assert registry.plant() == NOTHING


def test_a_wrong_file_changes_nothing_and_says_every_line(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        telltale_plant("apply", written(tmp_path, "sites:\n  s: {nam: x,\n      are: {}}"), "--yes")

    assert "plant.yaml:2:7:" in str(caught.value)
    assert "plant.yaml:3:7:" in str(caught.value)
    assert registry.plant() == NOTHING


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        telltale_plant("check", str(tmp_path / "plnt.yaml"))

    assert "No such file" in str(caught.value)


def test_a_right_file_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert telltale_plant("check", written(tmp_path, MORE)) == 0

    assert "1 site, 2 positions, 2 sensors, 1 gateway" in capsys.readouterr().out


def test_showing_the_registry_names_positions_and_who_sits_there(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    telltale_plant("apply", written(tmp_path, MORE), "--yes")
    registry.put(Gateway("g2", "s"))
    registry.put(Sensor("gone", ()))
    capsys.readouterr()

    telltale_plant("show")

    shown = capsys.readouterr().out
    assert "s/a/m/p" in shown
    assert "1480" in shown
    assert "gateways: g, g2" in shown
