"""Notices to people: who gets them, whether they arrive, and what was sent.

  telltale notices [list]                 recipients, their rules, and whether they can be reached
  telltale notices apply                  subscribe mail addresses and numbers of the plant file at SNS
  telltale notices secret SITE NAME       the address of a webhook of Slack or Teams, asked for or from standard input
  telltale notices test RECIPIENT         send a test, at any hour, and wait for how it went
  telltale notices mute RECIPIENT --for 8h     no notices until then; `unmute` ends it
  telltale notices unsubscribe RECIPIENT       no notices until `subscribe`, as by the link in them
  telltale notices log [CASE]             what was sent to whom; of one case also why not, and what comes next

RECIPIENT is a name, or SITE/NAME. Who is told what is said in the plant file (docs/plant.md, docs/notices.md).
"""

import argparse
import getpass
import json
import sys
import time
import uuid
from collections.abc import Iterator

import botocore.exceptions
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from telltale.adapters.cases import Case, Cases
from telltale.adapters.notices.channels import PREFIX
from telltale.adapters.notices.office import explained
from telltale.adapters.notices.sns import CHANNELS, PENDING, People
from telltale.adapters.notices.table import CaseNotices, NoticesTable, Person
from telltale.adapters.registry import Registry
from telltale.core.notices import Mark
from telltale.core.plant import Site
from telltale.core.recipients import Recipient

from cli.deployment import Deployment, current
from cli.listing import moment
from cli.plant_file import did_you_mean, duration_s
from cli.problem import Problem

TEST_S = 90.0  # how long a test may take: the queue, a cold start, a slow channel
LOOK_S = 0.5
MOST_LINES = 50

Whom = tuple[Site, Recipient]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="recipients, their rules, and whether they can be reached")
    apply = actions.add_parser("apply", help="subscribe mail addresses and numbers of the plant file at SNS")
    apply.add_argument("--prune", action="store_true", help="end subscriptions that the plant file no longer has")
    secret = actions.add_parser("secret", help="the address of a webhook of Slack or Teams")
    secret.add_argument("site", metavar="SITE")
    secret.add_argument("name", metavar="NAME", help="as the plant file names it")
    secret.add_argument("--remove", action="store_true", help="take it away")
    words = {
        "test": "send a test, and wait for how it went",
        "mute": "no notices for a time",
        "unmute": "notices as usual",
        "unsubscribe": "no notices any more",
        "subscribe": "notices again",
    }
    for name, says in words.items():
        action = actions.add_parser(name, help=says)
        action.add_argument("recipient", metavar="RECIPIENT", help="its name, or SITE/NAME")
        if name == "mute":
            action.add_argument("--for", dest="length", metavar="TIME", required=True, help="such as 8h or 3d")
    log = actions.add_parser("log", help="what was sent to whom; of one case also why not")
    log.add_argument("case", nargs="?", metavar="CASE", help="its first characters are enough")


def run(args: argparse.Namespace) -> int:
    desk = Desk(current())
    if args.action in (None, "list"):
        desk.show()
        return 0
    if args.action == "apply":
        desk.apply(prune=args.prune)
        return 0
    if args.action == "secret":
        desk.secret(args.site, args.name, remove=args.remove)
        return 0
    if args.action == "log":
        desk.log(args.case)
        return 0
    site, recipient = desk.find(args.recipient)
    if args.action == "test":
        return desk.test(site, recipient)
    desk.change(args.action, site, recipient, length=getattr(args, "length", None))
    return 0


class Desk:
    """The commands, on one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        outputs, dynamodb = deployment.outputs, deployment.client("dynamodb")
        if "PeopleTopicArn" not in outputs:
            raise Problem("this deployment sends no notices yet", "Deploy it again: `scripts/telltale up` or `deploy`.")
        self._table = NoticesTable(dynamodb, outputs["NoticesTable"])
        self._cases = Cases(dynamodb, outputs["CasesTable"])
        self._people = People(deployment.client("sns"), outputs["PeopleTopicArn"])
        self._sites = Registry(dynamodb, outputs["RegistryTable"]).plant().sites

    # ---- who

    def find(self, name: str) -> Whom:
        """The recipient; Problem when there is none, or there are several."""
        everybody = [(site, one) for site in self._sites.values() for one in site.notices]
        found = [(site, one) for site, one in everybody if name in (one.name, f"{site.id}/{one.name}")]
        if not found:
            known = [f"{site.id}/{one.name}" for site, one in everybody]
            near = did_you_mean(name, [*known, *(one.name for _, one in everybody)])
            raise Problem(f"no recipient is called {name!r}{near}: {', '.join(known) or 'there are none'}")
        if len(found) > 1:
            raise Problem(
                f"{name!r} is a recipient of several sites: {', '.join(f'{s.id}/{r.name}' for s, r in found)}"
            )
        return found[0]

    def show(self) -> None:
        table = Table("recipient", "told", "reached", box=None, pad_edge=False)
        subscriptions = self._people.subscriptions()
        secrets = self._secrets()
        for site in self._sites.values():
            for one in site.notices:
                person = self._table.person(site.id, one.name)
                arn = subscriptions.get((one.channel, one.address.lower()))
                known = f"{PREFIX}{one.address}" in secrets.get(site.id, {})
                reached = self._reached(site, one, person, arn, known=known)
                table.add_row(f"{site.id}/{one.name}", escape(str(one)), escape(reached))
        if table.row_count:
            Console().print(table)
        else:
            print("nobody gets notices: name recipients under `notices` of a site in the plant file (docs/notices.md)")

    def _reached(self, site: Site, one: Recipient, person: Person, arn: str | None, *, known: bool) -> str:
        if person.off_by:
            return f"unsubscribed {moment(person.off_ms)} UTC by {person.off_by}"
        if one.channel not in CHANNELS:
            reached = (
                "its address is set" if known else f"no address: `telltale notices secret {site.id} {one.address}`"
            )
        elif arn is None:
            reached = "not subscribed: `telltale notices apply`"
        elif arn == PENDING:
            reached = "pending: SNS's mail is not confirmed"
        else:
            reached = "subscribed" + (", but has answered STOP" if self._opted_out(one) else "")
        muted = person.muted_until_ms > _now_ms()
        return reached + (f"; muted until {moment(person.muted_until_ms)} UTC by {person.muted_by}" if muted else "")

    def _opted_out(self, one: Recipient) -> bool:
        """The number has answered STOP. Not asked where SNS does not tell, as on one computer."""
        if one.channel != "sms":
            return False
        try:
            answer = self._deployment.client("sns").check_if_phone_number_is_opted_out(phoneNumber=one.address)
        except botocore.exceptions.ClientError:
            return False
        return bool(answer.get("isOptedOut"))

    # ---- addresses

    def apply(self, *, prune: bool) -> None:
        """Subscribes who is not; with `prune` also ends what nobody is told by any more."""
        if not self.subscribe_missing():
            print("every address of the plant file is subscribed")
        wanted = {(one.channel, one.address.lower()) for site in self._sites.values() for one in site.notices}
        for (channel, address), arn in self._people.subscriptions().items():
            if channel not in CHANNELS or (channel, address) in wanted:
                continue
            if arn == PENDING:
                print(f"- {address}: no longer in the plant file, and never confirmed; SNS forgets it by itself")
            elif prune:
                self._people.unsubscribe(arn)
                print(f"- {address}: its subscription is ended")
            else:
                print(f"- {address}: no longer in the plant file; --prune ends its subscription")

    def subscribe_missing(self) -> list[str]:
        """Subscribes the addresses that are not, but those whose owners have left; answers them."""
        known, new = self._people.subscriptions(), []
        for site, one in self._by_sns():
            address = one.address.lower()
            person = self._table.person(site.id, one.name)
            if (one.channel, address) in known or address in new:
                continue
            if person.off_by:
                print(f"  {one.address}: unsubscribed by {person.off_by}; `telltale notices subscribe` asks it again")
                continue
            self._people.subscribe(one.channel, one.address)
            new.append(address)
            asked = "SNS has sent a mail that has to be confirmed" if one.channel == "email" else "subscribed"
            print(f"+ {one.address}: {asked}")
        return new

    def _by_sns(self) -> Iterator[Whom]:
        return ((site, one) for site in self._sites.values() for one in site.notices if one.channel in CHANNELS)

    def secret(self, site: str, name: str, *, remove: bool) -> None:
        if site not in self._sites:
            raise Problem(f"no site is called {site!r}{did_you_mean(site, self._sites)}: {', '.join(self._sites)}")
        names = {one.address for one in self._sites[site].notices if one.channel not in CHANNELS}
        if name not in names and not remove:
            known = ", ".join(sorted(names)) or "none"
            raise Problem(
                f"no recipient of {site} names {name!r}{did_you_mean(name, names)}: {known}",
                "The plant file names it: `slack: NAME` or `teams: NAME`; apply it first.",
            )
        value = "" if remove else _asked(f"Address of the webhook {name} of {site}")
        if not remove and not value.startswith("https://"):
            raise Problem("that is no address that begins with https://")
        everything = self._secrets()
        own = {key: kept for key, kept in everything.get(site, {}).items() if key != f"{PREFIX}{name}"}
        everything[site] = own if remove else {**own, f"{PREFIX}{name}": value}
        self._deployment.client("secretsmanager").put_secret_value(
            SecretId=self._deployment.outputs["CmmsSecretsArn"], SecretString=json.dumps(everything)
        )
        print(f"{'taken away' if remove else 'kept'}: {PREFIX}{name} of {site}")

    def _secrets(self) -> dict[str, dict[str, str]]:
        client, arn = self._deployment.client("secretsmanager"), self._deployment.outputs["CmmsSecretsArn"]
        return dict(json.loads(client.get_secret_value(SecretId=arn)["SecretString"] or "{}"))

    # ---- people

    def test(self, site: Site, recipient: Recipient) -> int:
        """Has the function send a test, so that its network and its rights are what is tried."""
        id_ = str(uuid.uuid4())
        asked = {"site": site.id, "recipient": recipient.name, "by": getpass.getuser(), "id": id_}
        self._deployment.client("sqs").send_message(
            QueueUrl=self._deployment.outputs["NoticesQueueUrl"],
            MessageBody=json.dumps({"test": asked}),
            DelaySeconds=0,
        )
        deadline = time.monotonic() + TEST_S
        while (problem := self._table.trial(id_)) is None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        if problem is None:
            raise Problem(f"nobody knows after {TEST_S:.0f} s how it went", "`telltale logs send` may say why.")
        if problem:
            raise Problem(f"{site.id}/{recipient.name} was not reached: {problem}")
        print(f"sent to {site.id}/{recipient.name} by {recipient.channel}")
        return 0

    def change(self, what: str, site: Site, recipient: Recipient, *, length: str | None) -> None:
        who, now, by = f"{site.id}/{recipient.name}", _now_ms(), getpass.getuser()
        if what == "mute":
            seconds = duration_s(length or "")
            if seconds is None:
                raise Problem(f"found {length!r}, wanted a time such as 8h or 3d")
            until_ms = now + round(seconds * 1000)
            self._table.mute(site.id, recipient.name, until_ms=until_ms, by=by)
            print(f"{who} gets no notices until {moment(until_ms)} UTC; then what is still so")
        elif what == "unmute":
            self._table.mute(site.id, recipient.name, until_ms=0, by=by)
            print(f"{who} gets notices as usual")
        elif what == "unsubscribe":
            self._table.unsubscribe(site.id, recipient.name, by=by, at_ms=now)
            print(f"{who} gets no notices until `telltale notices subscribe {who}`")
        else:
            self._table.subscribe(site.id, recipient.name, at_ms=now)
            print(f"{who} gets notices")
            if recipient.channel in CHANNELS:
                self.subscribe_missing()

    # ---- what was sent

    def log(self, prefix: str | None) -> None:
        if prefix is None:
            lines = [line for known in self._table.cases() for line in _lines(known)]
            for _, line in sorted(lines)[-MOST_LINES:]:
                print(line)
            if not lines:
                print("nothing was sent yet")
            return
        case = self._case(prefix)
        known = self._table.case(case.change.case_id)
        for _, line in sorted(_lines(known)) if known else ():
            print(line)
        site = self._sites.get(case.site)
        for one in site.notices if site is not None else ():
            assert site is not None
            decision = explained(case, one, known, site=site, now_ms=_now_ms(), table=self._table)
            again = f"; looks again {moment(decision.again_ms)} UTC" if decision.again_ms is not None else ""
            print(f"{one.name}: {f'due: {decision.notice.kind}' if decision.notice else decision.why}{again}")

    def _case(self, prefix: str) -> Case:
        found = [one for one in self._cases.all() if one.change.case_id.removeprefix("case-").startswith(_bare(prefix))]
        if len(found) != 1:
            raise Problem(f"{len(found)} cases begin with {prefix!r}", "`telltale cases --all` shows them.")
        return found[0]


def subscribe_after(deployment: Deployment) -> None:
    """What `plant apply` does once it has changed who is told: subscribes the new addresses."""
    if "PeopleTopicArn" in deployment.outputs:
        Desk(deployment).subscribe_missing()


def _lines(known: CaseNotices) -> Iterator[tuple[int, str]]:
    for (recipient, _), mark in known.marks.items():
        yield mark.at_ms, f"{moment(mark.at_ms)}  {known.case_id}  {recipient}: {_said(mark)}"


def _said(mark: Mark) -> str:
    tries = f" after {mark.attempts} tries" if mark.attempts > 1 else ""
    return f"{mark.kind} {mark.state}{tries}" + (f": {mark.problem}" if mark.problem else "")


def _bare(case_id: str) -> str:
    return case_id.removeprefix("case-")


def _asked(what: str) -> str:
    return (getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
