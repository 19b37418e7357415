"""`telltale notices`, and `plant apply` with recipients, on moto: what people see and what is kept."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cli import notices as command
from cli import plant as plant_command
from cli import redrive as redrive_command
from cli.__main__ import main
from cli.deployment import Deployment
from telltale.adapters.cases import Cases
from telltale.adapters.notices.table import NoticesTable
from telltale.adapters.registry import Registry
from telltale.core.notices import SENT, Mark
from telltale.core.plant import Site
from telltale.core.recipients import Recipient

from tests.aws_line import POSITION, START_MS, Aws, aws, change, client
from tests.contracts.test_notices import CASE, make_notices

MIA = Recipient("mia", "email", "mia@example.com")
HALL = Recipient("hall", "slack", "hall", severity="ALARM")
Say = Callable[..., tuple[int, str, str]]


@dataclass
class Made:
    aws: Aws
    topic: str
    queue: str

    @property
    def table(self) -> NoticesTable:
        return NoticesTable(self.aws.dynamodb, "notices")

    def addresses(self) -> list[str]:
        found = self.aws.sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
        return sorted(one["Endpoint"] for one in found)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    with aws() as account:
        make_notices(account.dynamodb)
        found = Made(
            account,
            account.sns.create_topic(Name="people")["TopicArn"],
            account.sqs.create_queue(QueueName="to-be-sent")["QueueUrl"],
        )
        outputs = {
            "RegistryTable": "registry",
            "CasesTable": "cases",
            "StatesTable": "states",
            "NoticesTable": "notices",
            "PeopleTopicArn": found.topic,
            "NoticesQueueUrl": found.queue,
            "CmmsSecretsArn": account.cmms_secrets,
            "LedgerTable": "ledger",
            "OrdersQueueUrl": account.queue,
            "OrdersDeadLettersUrl": account.dead_letters,
            "NoticesDeadLettersUrl": account.sqs.create_queue(QueueName="not-sent")["QueueUrl"],
        }
        for module in (command, plant_command, redrive_command):
            monkeypatch.setattr(module, "current", lambda: Deployment(outputs=outputs, environment={}))
        Registry(account.dynamodb, "registry").put(Site("plant", notices=(MIA, HALL)))
        yield found


@pytest.fixture
def say(made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["telltale", *words])
        status = main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_each_recipient_is_listed_with_what_keeps_it_from_being_reached(made: Made, say: Say) -> None:
    _, said, _ = say("notices")

    [mia] = [line for line in said.splitlines() if "plant/mia" in line]
    [hall] = [line for line in said.splitlines() if "plant/hall" in line]
    assert "not subscribed: `telltale notices apply`" in mia
    assert "no address: `telltale notices secret plant hall`" in hall


def test_addresses_are_subscribed_once(made: Made, say: Say) -> None:
    _, first, _ = say("notices", "apply")
    _, second, _ = say("notices", "apply")

    assert "+ mia@example.com: SNS has sent a mail that has to be confirmed" in first
    assert "every address of the plant file is subscribed" in second
    assert made.addresses() == ["mia@example.com"]


def test_an_address_that_the_plant_file_no_longer_has_is_ended_only_when_asked(made: Made, say: Say) -> None:
    say("notices", "apply")
    Registry(made.aws.dynamodb, "registry").put(Site("plant", notices=(HALL,)))

    _, kept, _ = say("notices", "apply")
    before = made.addresses()
    _, ended, _ = say("notices", "apply", "--prune")

    assert "--prune ends its subscription" in kept
    assert (before, made.addresses()) == (["mia@example.com"], [])
    assert "its subscription is ended" in ended


def test_the_address_of_a_webhook_is_kept_beside_other_secrets_and_never_shown(
    made: Made, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.aws.secrets.put_secret_value(SecretId=made.aws.cmms_secrets, SecretString='{"plant": {"token": "t"}}')
    monkeypatch.setattr("sys.stdin", io.StringIO("https://hooks.example.com/T0/B0/x\n"))

    status, said, _ = say("notices", "secret", "plant", "hall")

    kept = json.loads(made.aws.secrets.get_secret_value(SecretId=made.aws.cmms_secrets)["SecretString"])
    assert status == 0
    assert kept == {"plant": {"token": "t", "notice:hall": "https://hooks.example.com/T0/B0/x"}}
    assert "hooks.example.com" not in said
    say("notices", "secret", "plant", "hall", "--remove")
    kept = json.loads(made.aws.secrets.get_secret_value(SecretId=made.aws.cmms_secrets)["SecretString"])
    assert kept == {"plant": {"token": "t"}}


def test_a_name_that_no_recipient_has_is_refused_with_the_nearest(made: Made, say: Say) -> None:
    _, _, secret = say("notices", "secret", "plant", "hal")
    _, _, test = say("notices", "test", "miaa")

    assert 'did you mean "hall"?' in secret
    assert 'did you mean "mia"?' in test


def test_a_test_goes_by_the_queue_and_says_how_it_went(made: Made, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["", "SNS: Throttled"])

    def answered(*what: Any, **kwargs: Any) -> Any:
        sent = real(*what, **kwargs)
        asked = json.loads(kwargs["MessageBody"])["test"]
        made.table.tried(asked["id"], next(answers))
        return sent

    sqs = Deployment({}, {}).client("sqs")
    real = sqs.send_message
    monkeypatch.setattr(sqs, "send_message", answered)
    monkeypatch.setattr(Deployment, "client", lambda self, service: sqs if service == "sqs" else client(service))

    good, said, _ = say("notices", "test", "mia")
    bad, _, problem = say("notices", "test", "plant/mia")

    assert (good, bad) == (0, 1)
    assert said == "sent to plant/mia by email\n"
    assert "plant/mia was not reached: SNS: Throttled" in problem


def test_mute_unsubscribe_and_back(made: Made, say: Say) -> None:
    say("notices", "mute", "mia", "--for", "8h")
    muted = made.table.person("plant", "mia").muted_until_ms
    _, listed, _ = say("notices", "list")
    say("notices", "unmute", "mia")
    unmuted = made.table.person("plant", "mia").muted_until_ms
    say("notices", "unsubscribe", "mia")
    _, applied, _ = say("notices", "apply")
    off = made.addresses()
    say("notices", "subscribe", "mia")

    assert "muted until" in listed
    assert muted > unmuted == 0
    assert "`telltale notices subscribe` asks it again" in applied
    assert (off, made.addresses()) == ([], ["mia@example.com"])
    assert made.table.person("plant", "mia").off_by == ""


def test_the_log_says_what_was_sent_and_of_a_case_why_not(made: Made, say: Say) -> None:
    _, nothing, _ = say("notices", "log")
    Cases(made.aws.dynamodb, "cases").put(POSITION, change(), changed_at=START_MS)
    made.table.opened(CASE, [1], START_MS)
    token = made.table.claim(CASE, "mia", "opened", Mark(1, "claimed", START_MS, 1, 1, "opened"))
    made.table.settle(CASE, "mia", "opened", Mark(1, SENT, START_MS, 1, 1, "opened", 1), token or "")

    _, everything, _ = say("notices", "log")
    _, of_one, _ = say("notices", "log", "aaaa")

    assert nothing == "nothing was sent yet\n"
    assert everything == f"2026-09-21 14:13  {CASE}  mia: opened sent\n"
    assert of_one.splitlines()[1:] == ["mia: told", "hall: WARNING is below ALARM"]


def test_dead_letters_of_notices_go_round_again_by_their_own_queue(made: Made, say: Say) -> None:
    dead = made.aws.sqs.get_queue_url(QueueName="not-sent")["QueueUrl"]
    made.aws.sqs.send_message(QueueUrl=dead, MessageBody="a notice")
    made.aws.sqs.send_message(QueueUrl=made.aws.dead_letters, MessageBody="an order")

    _, said, _ = say("redrive")

    assert said.startswith("2 dead letters")
    assert (made.aws.received(made.queue), made.aws.received(made.aws.queue)) == (["a notice"], ["an order"])
    assert made.aws.received(dead) == []


def test_applying_a_plant_file_subscribes_its_addresses(made: Made, say: Say, tmp_path: Any) -> None:
    file = tmp_path / "plant.yaml"
    file.write_text(
        "sites: {plant: {notices: {tom: {sms: +4915112345678}}, areas: {a: {assets: {m: {positions: {p: }}}}}}}"
    )

    _, said, _ = say("plant", "apply", str(file), "--yes")

    assert "+ +4915112345678: subscribed" in said
    assert made.addresses() == ["+4915112345678"]
