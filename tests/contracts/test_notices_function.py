"""The function that sends notices: from an event on the bus to a mail, by message and by the clock."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import send_notices
from telltale.adapters.cases import Cases, OrderNote
from telltale.adapters.events import Events, case_changed
from telltale.adapters.links import LinkKeys
from telltale.adapters.notices.sns import People
from telltale.adapters.notices.table import NoticesTable
from telltale.adapters.registry import Registry
from telltale.core.links import UNSUBSCRIBE
from telltale.core.plant import Site
from telltale.core.recipients import Digest, Hours, Recipient

from tests.aws_line import POSITION, Aws, aws, change, plant
from tests.contracts.test_notices import CASE, MIA, Ears, make_notices

PAGE = "https://page.example.com/"


@dataclass
class Context:
    """What Lambda tells a function of its run."""

    left_ms: int = 100_000
    function_name: str = "send_notices"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:send_notices"
    aws_request_id: str = "r-1"

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws() as account:
        make_notices(account.dynamodb)
        topic = account.sns.create_topic(Name="people")["TopicArn"]
        key = account.secrets.create_secret(Name="link-key", SecretString="k" * 64)["ARN"]
        told = {
            "REGISTRY_TABLE": "registry",
            "CASES_TABLE": "cases",
            "NOTICES_TABLE": "notices",
            "PEOPLE_TOPIC_ARN": topic,
            "CMMS_SECRETS_ARN": account.cmms_secrets,
            "LINK_KEY_ARN": key,
            "PAGES_URL": PAGE,
        }
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        send_notices.office.cache_clear()
        send_notices.sites.cache_clear()
        yield account


def ears(made: Aws, *recipients: Recipient) -> Ears:
    topic = made.sns.create_topic(Name="people")["TopicArn"]
    found = Ears(made, topic)
    for one in recipients:
        found.listen(one)
        People(made.sns, topic).subscribe(one.channel, one.address)
    registry = Registry(made.dynamodb, "registry")
    for item in plant():
        registry.put(Site("plant", notices=recipients) if isinstance(item, Site) else item)
    return found


def opens(made: Aws, *, case_id: str = CASE, order: str | None = "OPEN") -> None:
    """Detection opens a case, and tells of it; its order is made."""
    now = send_notices.now_ms()
    one = change(case_id=case_id, opened_ms=now, t_ms=now)
    cases = Cases(made.dynamodb, "cases")
    cases.put(POSITION, one, changed_at=now)
    if order is not None:
        cases.settle(case_id, 1, OrderNote(order, "WO-1"), watch=True)
    Events(made.events, "bus").put([case_changed(POSITION, one)])


def records(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]}


def run(event: dict[str, Any], left_ms: int = 100_000) -> dict[str, Any]:
    return send_notices.handler(event, Context(left_ms))


def test_an_event_on_the_bus_becomes_a_mail(made: Aws) -> None:
    heard = ears(made, MIA)
    opens(made)

    answer = run(records(*made.received(made.queue)))

    [mail] = heard.of(MIA)
    assert answer == {"batchItemFailures": []}
    assert mail["Subject"].startswith("WARNING: Pump 7 motor DE")


def test_it_puts_nothing_where_it_would_hear_it_again(made: Aws) -> None:
    ears(made, MIA)
    opens(made)
    run(records(*made.received(made.queue)))

    assert made.received(made.queue) == []
    assert [one["kind"] for one in made.heard()] == ["Case Opened"]


@pytest.mark.parametrize("poison", ["", "[]", "{}", '{"detail": {}}', '{"detail": {"case_id": "case-x"}}'])
def test_a_message_that_makes_no_sense_comes_again_and_keeps_no_other_from_its_turn(made: Aws, poison: str) -> None:
    heard = ears(made, MIA)
    opens(made)

    answer = run(records(poison, *made.received(made.queue)))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    assert len(heard.of(MIA)) == 1


def test_a_message_for_which_no_time_is_left_comes_again(made: Aws) -> None:
    heard = ears(made, MIA)
    opens(made)

    answer = run(records(*made.received(made.queue)), left_ms=1000)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    assert heard.of(MIA) == []


@pytest.mark.parametrize("whom", ["recipient", "to"])
def test_the_link_in_a_mail_stops_them_once_the_page_has_told(made: Aws, whom: str) -> None:
    heard = ears(made, MIA)
    opens(made)
    run(records(*made.received(made.queue)))
    [mail] = heard.of(MIA)
    link = next(line for line in mail["Message"].splitlines() if line.startswith("Stop these notices: "))
    keys = LinkKeys(made.secrets, "link-key")
    claims = keys.claims(link.rsplit("/", 1)[1], now_s=send_notices.now_ms() / 1000)

    said = {"site": claims.subject, whom: claims.to, "at_ms": send_notices.now_ms()}
    run(records(json.dumps({"unsubscribe": said})))
    opens(made, case_id="case-" + "b" * 20)
    run(records(*made.received(made.queue)))

    assert claims.purpose == UNSUBSCRIBE
    assert heard.of(MIA) == []


def test_a_test_is_sent_and_its_outcome_kept(made: Aws) -> None:
    heard = ears(made, MIA)

    run(records(json.dumps({"test": {"site": "plant", "recipient": "mia", "by": "tom", "id": "t-1"}})))

    assert [one["Subject"] for one in heard.of(MIA)] == ["Test: notices of plant reach mia"]
    assert NoticesTable(made.dynamodb, "notices").trial("t-1") == ""


def test_the_clock_looks_at_what_is_due_and_a_case_that_fails_keeps_no_other_from_its_turn(made: Aws) -> None:
    heard = ears(made, MIA)
    table, now = NoticesTable(made.dynamodb, "notices"), send_notices.now_ms()
    opens(made)
    table.look_again("case-gone", 1, now - 2000)
    table.look_again(CASE, 1, now - 1000)

    answer = run({})

    assert answer["looked"] >= 1
    assert len(heard.of(MIA)) == 1
    assert list(table.due(send_notices.now_ms())) == ["case-gone"]


def test_a_digest_goes_out_by_the_clock(made: Aws) -> None:
    now = send_notices.now_ms() // 60_000 % 1440
    whom = Recipient("chief", "email", "chief@example.com", tell=(), digest=Digest(now))
    quiet = Recipient("quiet", "email", "q@example.com", digest=Digest(now), quiet=(Hours(tuple(range(7)), 0, 1440),))
    heard = ears(made, whom, quiet)

    run({})
    run({})

    assert [one["Subject"] for one in heard.of(whom)] == ["plant: 0 open, 0 closed, 0 false alarms"]
    assert heard.of(quiet) == []
