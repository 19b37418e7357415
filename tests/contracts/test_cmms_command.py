"""`telltale cmms`: what somebody types who connects a site to its maintenance system."""

import io
import json
from collections.abc import Iterator

import pytest
from cli import cmms as command
from cli import plant as plant_command
from cli.deployment import Deployment
from telltale.adapters.registry import Registry
from telltale.core.plant import Position, Site

from tests.aws_line import Aws, aws
from tests.command import telltale
from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving

Command = tuple[int, str, str]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as made:
        outputs = {
            "LogbookTable": "logbook",
            "RegistryTable": "registry",
            "CmmsSecretsArn": made.cmms_secrets,
            "WebhookSecretArn": made.secret,
        }
        for module in (command, plant_command):
            monkeypatch.setattr(module, "current", lambda: Deployment(outputs=outputs, environment={}))
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(b"shared")) as server:
        yield server


def site(made: Aws, cmms: str = "logbook", **settings: object) -> None:
    registry = Registry(made.dynamodb, "registry")
    registry.put(Site("plant", cmms=cmms, cmms_settings=settings))
    registry.put(Position("plant/hall/pump-7/motor-de"))


def secrets(made: Aws) -> dict[str, dict[str, str]]:
    return dict(json.loads(made.secrets.get_secret_value(SecretId=made.cmms_secrets)["SecretString"]))


def test_a_check_makes_an_order_and_cancels_it(
    made: Aws, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site(made, "webhook", url=server.url, fields={"team": 3, "place": "{site}, {position_name}"})

    status, said, _ = telltale(["cmms", "check", "plant", "--yes"], monkeypatch, capsys)

    [order] = server.orders.values()
    assert status == 0, said
    assert order["status"] == "CANCELLED"
    assert "telltale check" in order["title"].lower()
    assert server.asked[0] == {"team": 3, "place": "plant, motor-de"}


def test_a_check_without_an_order_makes_none(
    made: Aws, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site(made, "webhook", url=server.url)

    status, _, _ = telltale(["cmms", "check", "--no-order"], monkeypatch, capsys)

    assert status == 0
    assert server.orders == {}


def test_a_check_with_a_wrong_secret_fails_and_says_what_the_system_said(
    made: Aws, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site(made, "webhook", url=server.url)
    monkeypatch.setattr("sys.stdin", io.StringIO("a wrong one\n"))
    assert telltale(["cmms", "secret", "plant", "secret"], monkeypatch, capsys)[0] == 0

    status, said, _ = telltale(["cmms", "check", "--yes"], monkeypatch, capsys)

    assert status == 1
    assert "bad signature" in said
    assert server.orders == {}


def test_a_secret_is_set_beside_those_of_other_sites_and_taken_away_again(
    made: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.secrets.put_secret_value(SecretId=made.cmms_secrets, SecretString='{"other": {"secret": "kept"}}')
    site(made, "webhook", url="https://cmms.example.com")
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))

    _, said, _ = telltale(["cmms", "secret", "plant"], monkeypatch, capsys)
    set_to = secrets(made)
    telltale(["cmms", "secret", "plant", "--remove"], monkeypatch, capsys)

    assert "s3cret" not in said
    assert set_to == {"other": {"secret": "kept"}, "plant": {"secret": "s3cret"}}
    assert secrets(made) == {"other": {"secret": "kept"}, "plant": {}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "plnat"], 'did you mean "plant"?'),
        (["secret", "plant"], "has no secrets"),
        (["systems", "webhok"], 'did you mean "webhook"?'),
    ],
)
def test_a_typo_is_told_with_what_was_meant(
    made: Aws, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site(made)

    status, _, errors = telltale(["cmms", *words], monkeypatch, capsys)

    assert status != 0
    assert said in errors


def test_what_a_system_needs_is_listed(
    made: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site(made, "webhook")

    _, listed, _ = telltale(["cmms", "list"], monkeypatch, capsys)
    _, described, _ = telltale(["cmms", "systems", "webhook"], monkeypatch, capsys)

    assert "url" in listed
    assert all(word in described for word in ("url", "pushes", "calls_per_minute", "secret"))
