"""Notices as people get them: by SNS on moto, and by stand-ins for Slack and Teams as strict as the real ones."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from telltale.adapters.cases import Cases, OrderNote
from telltale.adapters.cmms.http import Http
from telltale.adapters.links import Links
from telltale.adapters.notices import office
from telltale.adapters.notices.channels import PREFIX, Channels
from telltale.adapters.notices.office import ATTEMPTS, LAST_WAIT_MS, NoSuchCase, Office, Outcome, explained
from telltale.adapters.notices.slack import Slack
from telltale.adapters.notices.sns import ATTRIBUTE, People, attribute_of
from telltale.adapters.notices.table import NoticesTable
from telltale.adapters.notices.teams import Teams
from telltale.adapters.registry import Registry
from telltale.core.detect import CaseChange
from telltale.core.notice_text import Words
from telltale.core.notices import GIVEN_UP, GRACE_MS, LEASE_MS, SENT, WAITING
from telltale.core.plant import Position, Site
from telltale.core.recipients import USUAL, Digest, Hours, Recipient

from tests.aws_line import POSITION, START_MS, Aws, Clock, change, client, tables
from tests.contracts.chat_servers import Chat, slack, teams

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
MIA = Recipient("mia", "email", "mia@example.com")
TOM = Recipient("tom", "sms", "+4915112345678", severity="ALARM")
HALL = Recipient("hall", "slack", "hall")
SHIFT = Recipient("shift", "teams", "shift")
CASE = "case-" + "a" * 20


@dataclass
class Ears:
    """Queues that get what SNS delivers to each address, by the same filter as the address's own subscription."""

    aws: Aws
    topic: str
    urls: dict[str, str] = field(default_factory=dict)

    def of(self, recipient: Recipient) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.aws.received(self.urls[recipient.name])]

    def listen(self, recipient: Recipient) -> None:
        url = self.aws.sqs.create_queue(QueueName=f"ears-{recipient.name}")["QueueUrl"]
        arn = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({ATTRIBUTE: [attribute_of(recipient.channel, recipient.address)]})
        self.aws.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": policy})
        self.urls[recipient.name] = url


@dataclass
class Plant:
    """A site with recipients, its cases, and functions that send."""

    aws: Aws
    clock: Clock
    topic: str
    ears: Ears
    outcomes: list[Outcome] = field(default_factory=list)
    case: CaseChange | None = None

    @property
    def table(self) -> NoticesTable:
        return NoticesTable(self.aws.dynamodb, "notices")

    @property
    def cases(self) -> Cases:
        return Cases(self.aws.dynamodb, "cases")

    def has(self, *recipients: Recipient, subscribed: bool = True) -> None:
        Registry(self.aws.dynamodb, "registry").put(Site("plant", time_zone="Europe/Berlin", notices=recipients))
        for one in recipients:
            if one.channel in ("email", "sms"):
                self.ears.listen(one)
                if subscribed:
                    self.people().subscribe(one.channel, one.address)

    def knows(self, **secrets: str) -> None:
        """Addresses of webhooks, by name."""
        named = {"plant": {f"{PREFIX}{name}": url for name, url in secrets.items()}}
        self.aws.secrets.put_secret_value(SecretId="cmms", SecretString=json.dumps(named))

    def people(self) -> People:
        return People(self.aws.sns, self.topic, self.clock.s)

    def office(self, **parts: Any) -> Office:
        """Another instance of the function."""
        channels = Channels(self.people(), self.aws.secrets, secrets_arn="cmms", now_ms=self.clock)
        return Office(
            cases=self.cases,
            registry=Registry(self.aws.dynamodb, "registry"),
            **{
                "table": self.table,
                "channel": channels.of,
                "links": Links("https://page.example.com", lambda: b"key", self.clock),
                "told": self.outcomes.append,
                "now_ms": self.clock,
                **parts,
            },
        )

    def becomes(self, what: str = "opened", *, order: str | None = "OPEN", problem: str = "", **fields: Any) -> None:
        """The case changes, and its work order catches up."""
        before = self.case
        self.case = (
            change(what=what, opened_ms=self.clock.now_ms, t_ms=self.clock.now_ms, **fields)
            if before is None
            else replace(before, revision=before.revision + 1, change=what, t_ms=self.clock.now_ms, **fields)
        )
        self.cases.put(POSITION, self.case, changed_at=self.clock.now_ms)
        if order is not None:
            note = OrderNote(order, "WO-17", problem or None)
            self.cases.settle(CASE, self.case.revision, note, watch=order != "REFUSED" and what != "resolved")

    def hears(self) -> None:
        """Its message arrives."""
        self.office().look(CASE)

    def goes(self, *, s: float, every_s: int = MINUTE_S) -> None:
        """Time passes, and the clock looks every minute."""
        for _ in range(round(s / every_s)):
            self.clock.go(s=every_s)
            office = self.office()
            for case_id in office.due():
                office.look(case_id)
            office.digests(Registry(self.aws.dynamodb, "registry").sites(["plant"]).values())

    def states(self) -> list[tuple[str, str]]:
        return [(one.recipient, one.state) for one in self.outcomes]


@pytest.fixture
def plant() -> Iterator[Plant]:
    with tables() as made:
        clock = Clock()
        make_notices(made.dynamodb)
        topic = client("sns").create_topic(Name="people")["TopicArn"]
        made.secrets.create_secret(Name="cmms", SecretString="{}")
        Registry(made.dynamodb, "registry").put(Position(POSITION, name="motor DE", asset_name="Pump 7"))
        yield Plant(made, clock, topic, Ears(made, topic))


def make_notices(dynamodb: Any) -> None:
    """The table as the stack makes it."""
    dynamodb.create_table(
        TableName="notices",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (("pk", "S"), ("look", "S"), ("look_ms", "N"))
        ],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "look",
                "KeySchema": [
                    {"AttributeName": "look", "KeyType": "HASH"},
                    {"AttributeName": "look_ms", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


# ---- who is told, once ---------------------------------------------------------------------------


def test_a_case_is_told_to_each_address_by_its_own_channel_and_to_no_other(plant: Plant) -> None:
    plant.has(MIA, TOM)
    plant.becomes(severity="ALARM")

    plant.hears()

    [mail], [text] = plant.ears.of(MIA), plant.ears.of(TOM)
    assert mail["Subject"] == "ALARM: Pump 7 motor DE: x: 4.8 mm/s is above 4.5"
    assert "Work order: WO-17 (OPEN)" in mail["Message"]
    assert "Evidence: https://page.example.com/1." in mail["Message"]
    assert "Stop these notices: https://page.example.com/1." in mail["Message"]
    assert text["Message"].startswith("ALARM Pump 7 motor DE: x: 4.8")
    assert mail["Message"].count(text["Message"].rsplit(" ", 1)[1]) == 1  # the same link
    assert text["MessageAttributes"]["AWS.SNS.SMS.SMSType"]["Value"] == "Transactional"


def test_a_message_that_comes_again_and_again_sends_nothing_more(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()

    for _ in range(5):
        plant.hears()
    plant.goes(s=HOUR_S, every_s=300)

    assert len(plant.ears.of(MIA)) == 1


def test_two_functions_that_look_at_once_send_once(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()
    office = plant.office()

    class Slow:
        """Sends only after another function has looked at the same case."""

        def send(self, *what: Any) -> None:
            plant.hears()
            plant.people().send(*what)

    plant.office(channel=lambda *_: Slow()).look(CASE)
    office.look(CASE)

    assert len(plant.ears.of(MIA)) == 1


def test_two_functions_that_both_found_it_due_send_once(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()

    class Overtaken(NoticesTable):
        def claim(self, *what: Any) -> str | None:
            plant.hears()
            return super().claim(*what)

    plant.office(table=Overtaken(plant.aws.dynamodb, "notices")).look(CASE)

    assert len(plant.ears.of(MIA)) == 1


def test_who_looked_at_an_old_revision_does_not_call_off_the_look_that_a_newer_one_asked_for(plant: Plant) -> None:
    plant.table.look_again(CASE, 2, START_MS)

    plant.table.look_again(CASE, 1, None)

    assert list(plant.table.due(START_MS)) == [CASE]


def test_what_a_function_that_died_did_not_send_is_sent_when_its_claim_is_over(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()

    class Killed:
        def send(self, *_: Any) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        plant.office(channel=lambda *_: Killed()).look(CASE)
    plant.hears()
    assert plant.ears.of(MIA) == []
    plant.goes(s=LEASE_MS / 1000)

    assert len(plant.ears.of(MIA)) == 1


def test_old_news_that_comes_late_tells_nothing_old(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()
    plant.becomes("updated", severity="ALARM")
    plant.becomes("resolved", closure={"failure_mode": "IMBALANCE", "action_taken": "ADJUST"}, by="mia")

    plant.hears()

    assert plant.ears.of(MIA) == []


def test_a_case_is_told_from_its_opening_to_its_end(plant: Plant) -> None:
    plant.has(MIA)
    subjects = []

    for what, fields in (
        ("opened", {}),
        ("updated", {"severity": "ALARM"}),
        ("acknowledged", {"by": "tom"}),
        ("resolved", {"closure": {"failure_mode": "IMBALANCE", "action_taken": "ADJUST"}, "by": "tom"}),
        ("reopened", {"closure": None}),
    ):
        plant.becomes(what, **fields)
        plant.hears()
        subjects += [one["Subject"].split(": Pump")[0] for one in plant.ears.of(MIA)]

    assert subjects == ["WARNING", "Now ALARM", "Resolved by tom", "Open again: ALARM"]


def test_a_case_nobody_knows_is_a_fault_of_ours(plant: Plant) -> None:
    with pytest.raises(NoSuchCase):
        plant.hears()


def test_a_site_without_recipients_costs_nothing(plant: Plant) -> None:
    plant.has()
    plant.becomes()

    plant.hears()

    assert plant.table.case(CASE) is None


# ---- cases that are not told ---------------------------------------------------------------------


def test_a_case_whose_order_is_not_there_yet_waits_and_is_told_without_it_at_last(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes(order=None)

    plant.hears()
    assert plant.ears.of(MIA) == []
    plant.goes(s=GRACE_MS / 1000)

    [mail] = plant.ears.of(MIA)
    assert "Work order" not in mail["Message"]


@pytest.mark.parametrize(
    ("order", "fields"),
    [("CHILD", {}), ("SHELVED", {}), ("OPEN", {"parent": "case-b"}), ("OPEN", {"until_ms": START_MS + 10**9})],
)
def test_a_case_that_is_shelved_or_that_another_order_names_is_told_to_nobody(
    plant: Plant, order: str, fields: Mapping[str, Any]
) -> None:
    plant.has(MIA)
    plant.becomes(order=order, **fields)

    plant.hears()
    plant.goes(s=HOUR_S, every_s=300)

    assert plant.ears.of(MIA) == []


def test_a_case_that_parts_from_another_is_told_then(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes(order="CHILD")
    plant.hears()

    plant.becomes("grouped", parent="case-b", order="CHILD")
    plant.hears()
    plant.becomes("grouped", parent="")
    plant.hears()

    assert len(plant.ears.of(MIA)) == 1


# ---- escalation, reminders, hours ----------------------------------------------------------------


def test_who_comes_next_is_told_when_nobody_acknowledges(plant: Plant) -> None:
    chief = Recipient("chief", "email", "chief@example.com", after_min=30)
    plant.has(MIA, chief)
    plant.becomes()
    plant.hears()

    plant.goes(s=29 * MINUTE_S)
    before = plant.ears.of(chief)
    plant.goes(s=2 * MINUTE_S)

    assert before == []
    [mail] = plant.ears.of(chief)
    assert mail["Subject"].startswith("WARNING, not acknowledged for 30 min: Pump 7")


def test_nobody_comes_next_once_it_is_acknowledged(plant: Plant) -> None:
    chief = Recipient("chief", "email", "chief@example.com", after_min=30)
    plant.has(MIA, chief)
    plant.becomes()
    plant.hears()

    plant.becomes("acknowledged", by="mia")
    plant.hears()
    plant.goes(s=HOUR_S, every_s=300)

    assert plant.ears.of(chief) == []


def test_reminders_come_until_somebody_acknowledges(plant: Plant) -> None:
    plant.has(replace(MIA, remind_min=240))
    plant.becomes()
    plant.hears()

    plant.goes(s=9 * HOUR_S, every_s=900)
    plant.becomes("acknowledged", by="tom")
    plant.hears()
    plant.goes(s=9 * HOUR_S, every_s=900)

    subjects = [one["Subject"].split(": Pump")[0] for one in plant.ears.of(MIA)]
    assert subjects == ["WARNING", *(f"Still WARNING, open for {h} h, nobody has acknowledged it" for h in (4, 8))]


def test_a_quiet_night_is_quiet_and_the_morning_tells(plant: Plant) -> None:
    """The tests' clock begins at 14:13 UTC in September, 16:13 in Berlin."""
    night = (Hours(tuple(range(7)), 16 * 60, 6 * 60),)
    plant.has(replace(MIA, quiet=night), replace(TOM, severity="WARNING", quiet=night, alarm_breaks_quiet=True))
    plant.becomes(severity="ALARM")

    plant.hears()
    assert (len(plant.ears.of(MIA)), len(plant.ears.of(TOM))) == (0, 1)
    plant.goes(s=13 * HOUR_S, every_s=900)
    assert plant.ears.of(MIA) == []
    plant.goes(s=HOUR_S, every_s=900)

    assert (len(plant.ears.of(MIA)), len(plant.ears.of(TOM))) == (1, 0)


def test_why_somebody_is_not_told_can_be_asked(plant: Plant) -> None:
    plant.has(TOM)
    plant.becomes()
    plant.hears()
    case, site = plant.cases.get(CASE), Registry(plant.aws.dynamodb, "registry").sites(["plant"])["plant"]
    assert case is not None

    found = explained(case, TOM, plant.table.case(CASE), site=site, now_ms=plant.clock.now_ms, table=plant.table)

    assert found.why == "WARNING is below ALARM"


# ---- channels ------------------------------------------------------------------------------------


@pytest.fixture
def hall() -> Iterator[Chat]:
    with slack() as chat:
        yield chat


@pytest.fixture
def shift() -> Iterator[Chat]:
    with teams() as chat:
        yield chat


EVIDENCE: dict[str, dict[str, Any]] = {
    "diagnosis": {
        "verdict": "BEARING_OUTER_RACE", "confidence": 0.8, "reason": "lines at BPFO <104.6 Hz> & its harmonics",
        "findings": [], "capture_id": "s-1@1", "t_ms": START_MS,
    },
    "prognosis": {"says": "reaches 7.1 mm/s in 9 to 20 days"},
}  # fmt: skip


def test_slack_and_teams_take_every_kind_of_notice(plant: Plant, hall: Chat, shift: Chat) -> None:
    every = (*USUAL, "updated", "acknowledged", "confirmed")
    both = [replace(one, tell=every, remind_min=600, system=True, digest=Digest(0)) for one in (HALL, SHIFT)]
    plant.has(*both)
    plant.knows(hall=hall.url, shift=shift.url)
    plant.becomes("opened", evidence=EVIDENCE, fault="BEARING_OUTER_RACE", reason="y: env_rms_g <0.065> & more " * 40)
    plant.hears()
    plant.becomes("updated", order="REFUSED", problem="asset <RW-P1> & co unknown")
    plant.hears()
    plant.goes(s=10 * HOUR_S, every_s=3600)
    for what, fields in (
        ("updated", {"severity": "ALARM"}),
        ("acknowledged", {"by": "tom"}),
        ("resolved", {"closure": {"failure_mode": "OTHER", "note": "dry <grease> & dust"}, "by": "tom"}),
        ("confirmed", {}),
        ("reopened", {"closure": None}),
    ):
        plant.becomes(what, **fields)
        plant.hears()
    plant.goes(s=DAY_S, every_s=3600)

    assert {state for _, state in plant.states()} == {SENT}
    assert len(hall.taken) == len(shift.taken) > 9
    assert {"text", "blocks", "unfurl_links", "unfurl_media"} == set(hall.taken[0])
    assert "https://page.example.com/1." in json.dumps(hall.taken[0])
    assert "https://page.example.com/1." in json.dumps(shift.taken[0])


def test_a_long_story_is_cut_to_what_teams_takes(plant: Plant, shift: Chat) -> None:
    plant.has(SHIFT)
    plant.knows(shift=shift.url)
    long = {"diagnosis": {**EVIDENCE["diagnosis"], "reason": "ö" * 9000}, "prognosis": {"says": "ö" * 9000}}
    plant.becomes(reason="ö" * 9000, evidence=long)

    plant.hears()

    assert plant.states() == [("shift", SENT)]


def test_a_digest_of_many_long_lines_is_cut_to_what_slack_and_teams_take(hall: Chat, shift: Chat) -> None:
    many = tuple((f"Open {number}", "&<ö>" * 400) for number in range(60))
    long = Words("ALARM", "&" * 2000, "", many, link="https://page.example.com/1", why="ö" * 900)

    Slack(Http(hall.url, now_ms=Clock()), "slack").send(HALL, long)
    Teams(Http(shift.url, now_ms=Clock()), "teams").send(SHIFT, long)

    assert (len(hall.taken), len(shift.taken)) == (1, 1)


def test_a_channel_that_is_down_keeps_no_other_from_its_turn_and_is_asked_less_and_less_often(
    plant: Plant, hall: Chat
) -> None:
    hall.weather = [(500, {}, "rollup_error")] * 5
    plant.has(HALL, MIA)
    plant.knows(hall=hall.url)
    plant.becomes()

    plant.hears()
    assert len(plant.ears.of(MIA)) == 1
    plant.goes(s=20 * MINUTE_S)
    assert (hall.asked, hall.taken) == (5, [])  # at once, and after 1, 2, 4 and 8 minutes
    plant.goes(s=20 * MINUTE_S)

    assert len(hall.taken) == 1
    assert plant.states()[-1] == ("hall", SENT)


def test_slack_is_left_alone_for_as_long_as_it_asks(plant: Plant, hall: Chat) -> None:
    hall.weather = [(429, {"Retry-After": "600"}, "rate_limited")]
    plant.has(HALL)
    plant.knows(hall=hall.url)
    plant.becomes()
    plant.hears()

    plant.goes(s=9 * MINUTE_S)
    asked = hall.asked
    plant.goes(s=2 * MINUTE_S)

    assert (asked, hall.asked, len(hall.taken)) == (1, 2, 1)


def test_what_is_over_when_its_channel_is_back_is_not_told(plant: Plant, hall: Chat) -> None:
    hall.weather = [(503, {}, "")]
    plant.has(HALL)
    plant.knows(hall=hall.url)
    plant.becomes()
    plant.hears()

    plant.becomes("resolved", by="tom")
    plant.goes(s=HOUR_S, every_s=300)

    assert hall.taken == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_webhook_that_is_gone_is_told_again_with_a_new_address_and_the_old_one_is_in_no_error(
    plant: Plant, hall: Chat, status: int
) -> None:
    hall.weather = [(status, {}, f"no_service at {hall.url}")]
    plant.has(HALL)
    plant.knows(hall=hall.url)
    plant.becomes()

    plant.hears()
    plant.goes(s=2 * MINUTE_S)

    first, second = plant.outcomes
    assert (first.state, second.state) == (WAITING, SENT)
    assert f"answered {status}" in first.problem
    assert "verysecret" not in first.problem


def test_an_address_that_does_not_answer_is_in_no_error(plant: Plant, hall: Chat) -> None:
    plant.has(HALL)
    plant.knows(hall=hall.url.replace("127.0.0.1", "127.0.0.2").replace(hall.url.split(":")[2].split("/")[0], "9"))
    plant.becomes()

    plant.hears()

    assert plant.outcomes[0].problem.startswith("Slack's webhook 'hall' of plant could not be reached")
    assert "verysecret" not in plant.outcomes[0].problem


def test_a_notice_that_a_channel_calls_wrong_is_given_up_and_said(plant: Plant, hall: Chat) -> None:
    hall.weather = [(400, {}, "invalid_blocks")]
    plant.has(HALL)
    plant.knows(hall=hall.url)
    plant.becomes()

    plant.hears()
    plant.goes(s=HOUR_S, every_s=300)

    [outcome] = plant.outcomes
    assert (outcome.state, outcome.problem) == (
        GIVEN_UP,
        "Slack's webhook 'hall' of plant answered 400: invalid_blocks",
    )


def test_a_secret_that_is_not_set_is_named_and_the_notice_sent_once_it_is(plant: Plant, hall: Chat) -> None:
    plant.has(HALL)
    plant.becomes()
    plant.hears()

    assert "`telltale notices secret plant hall`" in plant.outcomes[0].problem
    plant.knows(hall=hall.url)
    plant.goes(s=MINUTE_S)

    assert len(hall.taken) == 1


def test_a_channel_that_has_just_failed_is_left_alone_by_the_other_notices(plant: Plant, hall: Chat) -> None:
    hall.weather = [(500, {}, "")]
    plant.has(HALL)
    plant.knows(hall=hall.url)
    desk, other = plant.office(), "case-" + "b" * 20
    plant.becomes(severity="ALARM")
    plant.cases.put(POSITION, change(case_id=other, severity="ALARM"), changed_at=plant.clock.now_ms)
    plant.cases.settle(other, 1, OrderNote("OPEN", "WO-18"), watch=True)

    desk.look(CASE)
    desk.look(other)
    asked = hall.asked
    plant.clock.go(s=MINUTE_S)
    desk.look(other)
    desk.look(CASE)

    assert (asked, hall.asked, len(hall.taken)) == (1, 3, 2)


def test_a_channel_is_asked_for_a_day_before_a_notice_is_given_up() -> None:
    waits_ms = [min(MINUTE_S * 1000 * 2**attempt, LAST_WAIT_MS) for attempt in range(ATTEMPTS - 1)]

    assert sum(waits_ms) / 1000 == pytest.approx(DAY_S, rel=0.01)


def test_a_channel_that_never_comes_back_is_given_up(plant: Plant, hall: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "ATTEMPTS", 8)
    hall.weather = [(500, {}, "")] * 100
    plant.has(HALL)
    plant.knows(hall=hall.url)
    plant.becomes()
    plant.hears()

    plant.goes(s=3 * HOUR_S, every_s=600)

    assert [state for _, state in plant.states()] == [WAITING] * 7 + [GIVEN_UP]
    assert hall.asked == 8


# ---- mail that is not confirmed, and people who leave --------------------------------------------


class Sns:
    """moto's SNS, with subscriptions as real SNS lists them: mail waits for its owner, who may also leave."""

    def __init__(self, sns: Any) -> None:
        self._sns = sns
        self.pending: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sns, name)

    def get_paginator(self, name: str) -> Any:
        pages = self._sns.get_paginator(name)

        class Pages:
            def paginate(_, **what: Any) -> Iterator[Any]:  # noqa: N805  # `self` is the outer one
                for page in pages.paginate(**what):
                    for one in page["Subscriptions"]:
                        if one["Endpoint"] in self.pending:
                            one["SubscriptionArn"] = "PendingConfirmation"
                    yield page

        return Pages()


def test_mail_waits_until_its_owner_has_confirmed(plant: Plant) -> None:
    plant.aws.sns = sns = Sns(plant.aws.sns)
    plant.has(MIA)
    sns.pending.add(MIA.address)
    plant.becomes()

    plant.hears()
    assert plant.states() == [("mia", WAITING)]
    sns.pending.clear()
    plant.goes(s=MINUTE_S)

    assert len(plant.ears.of(MIA)) == 1


def test_an_address_that_was_never_subscribed_says_how_it_is(plant: Plant) -> None:
    plant.has(MIA, subscribed=False)
    plant.becomes()

    plant.hears()

    assert plant.outcomes[0].problem == "mia@example.com is not subscribed: `telltale notices apply`"


def test_who_leaves_by_the_link_in_sns_own_mail_is_asked_no_more(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()
    plant.hears()
    plant.people().unsubscribe(plant.people().subscriptions()["email", MIA.address])

    plant.clock.go(s=120)
    plant.becomes("updated", severity="ALARM")
    plant.hears()

    assert plant.table.person("plant", "mia").off_by == "the link in SNS's mail"
    assert plant.outcomes[-1].state == GIVEN_UP


def test_who_uses_the_link_in_a_notice_is_told_no_more_until_subscribed_again(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()
    plant.hears()
    plant.ears.of(MIA)
    left_ms = plant.clock.now_ms

    plant.office().unsubscribed("plant", "mia", left_ms)
    plant.becomes("updated", severity="ALARM")
    plant.hears()
    assert plant.ears.of(MIA) == []
    plant.clock.go(s=60)
    plant.table.subscribe("plant", "mia", at_ms=plant.clock.now_ms)
    plant.office().unsubscribed("plant", "mia", left_ms)  # the same message, delivered again late
    plant.hears()

    assert [one["Subject"].split(":")[0] for one in plant.ears.of(MIA)] == ["Now ALARM"]


def test_who_is_muted_hears_of_what_is_still_so_afterwards(plant: Plant) -> None:
    plant.has(MIA)
    plant.table.mute("plant", "mia", until_ms=plant.clock.now_ms + HOUR_S * 1000, by="mia")
    plant.becomes()

    plant.hears()
    plant.goes(s=59 * MINUTE_S)
    assert plant.ears.of(MIA) == []
    plant.goes(s=2 * MINUTE_S)

    assert len(plant.ears.of(MIA)) == 1


def test_a_person_of_two_sites_has_one_subscription(plant: Plant) -> None:
    people = plant.people()

    people.subscribe("email", "mia@example.com")
    people.subscribe("email", "mia@example.com")

    assert list(people.subscriptions()) == [("email", "mia@example.com")]


# ---- digests -------------------------------------------------------------------------------------


def test_a_digest_tells_what_is_open_what_was_closed_and_what_was_false(plant: Plant) -> None:
    """From 16:13 in Berlin, when it begins, to 18:00."""
    plant.has(replace(MIA, tell=(), digest=Digest(18 * 60)))
    for number, closure in enumerate((None, {"failure_mode": "NO_ISSUE"}, {"failure_mode": "IMBALANCE"})):
        case = change(case_id=f"case-{number}", severity="ALARM" if number == 0 else "WARNING", fault="IMBALANCE")
        plant.cases.put(POSITION, case, changed_at=START_MS)
        if closure is not None:
            plant.cases.put(
                POSITION, replace(case, revision=2, change="resolved", closure=closure), changed_at=START_MS
            )

    plant.goes(s=1.7 * HOUR_S, every_s=600)
    assert plant.ears.of(MIA) == []
    plant.goes(s=HOUR_S, every_s=600)

    [mail] = plant.ears.of(MIA)
    assert mail["Subject"] == "plant: 1 open, 2 closed, 1 false alarm"
    assert "Open 1: ALARM Pump 7 motor DE: imbalance" in mail["Message"]
    assert "Closed 1: WARNING Pump 7 motor DE: imbalance (NO_ISSUE)" in mail["Message"]


def test_a_digest_whose_channel_is_down_comes_later_and_once(plant: Plant, hall: Chat) -> None:
    hall.weather = [(503, {}, "")] * 2
    plant.has(replace(HALL, digest=Digest(18 * 60)))
    plant.knows(hall=hall.url)

    plant.goes(s=4 * HOUR_S, every_s=300)

    assert (hall.asked, len(hall.taken)) == (3, 1)


# ---- what no event told of, and trials -----------------------------------------------------------


def test_a_case_whose_events_were_lost_is_found_by_the_clock_and_one_of_long_ago_is_left(plant: Plant) -> None:
    plant.has(MIA)
    plant.becomes()

    plant.clock.go(s=10 * MINUTE_S)
    found = list(plant.office().missed())
    plant.clock.go(s=2 * HOUR_S)

    assert (found, list(plant.office().missed())) == ([CASE], [])


def test_a_test_is_sent_at_any_hour_and_says_how_it_went(plant: Plant, hall: Chat) -> None:
    plant.has(replace(HALL, quiet=(Hours(tuple(range(7)), 0, 1440),)), replace(MIA), subscribed=False)
    plant.knows(hall=hall.url)

    for _ in range(2):
        plant.office().tried("plant", "hall", by="tom", id_="t-1")
    plant.office().tried("plant", "mia", by="tom", id_="t-2")
    plant.office().tried("plant", "nobody", by="tom", id_="t-3")

    assert len(hall.taken) == 1
    assert plant.table.trial("t-1") == ""
    assert "not subscribed" in (plant.table.trial("t-2") or "")
    assert plant.table.trial("t-3") == "plant has no recipient nobody"
    assert plant.table.trial("t-4") is None
