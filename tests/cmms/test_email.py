"""What only mail does, against a real mail server."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from telltale.adapters.cmms.email import CLAIM_MS, Mailbox
from telltale.adapters.cmms.port import CmmsBusy, CmmsDenied, Status
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.peer import Peer
from tests.cmms.peer_email import NIGHT, ORDER, WORKSHOP, EmailPeer
from tests.cmms.smtp_server import PASSWORD, USER, Inbox, serving
from tests.cmms.test_contract import FOUND, request

pytestmark = pytest.mark.xdist_group("email")
LINK = "https://plant.example.com/e/abc?x=1&y=2"


@pytest.fixture
def plant(started: Callable[[str], Peer]) -> Iterator[EmailPeer]:
    peer = started("email")
    assert isinstance(peer, EmailPeer)
    yield peer
    peer.inbox.answers.clear()


@pytest.fixture
def mailbox(plant: EmailPeer) -> Mailbox:
    return plant.cmms()


def mails(plant: EmailPeer, ref: str, to: str = WORKSHOP) -> list[EmailMessage]:
    return [mail for mail in plant.inbox.to(to) if mail[ORDER] == ref]


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_the_first_mail_says_what_the_order_says_as_text_and_for_a_phone(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(
        plant,
        title="ALARM: Pumpe 7 <Lüfter>: 7.4 ≥ 4.5",
        description=f"Where: Pump 7 & motor\nWhy: 7.4 mm/s\n- x rises\nEvidence: {LINK}",
        severity="ALARM",
        link=LINK,
    )

    mailbox.create(wanted)

    [mail] = mails(plant, wanted.key)
    assert mail["Subject"] == wanted.title
    assert wanted.description in part(mail, "plain").replace("\r\n", "\n")
    page = part(mail, "html")
    assert "Pumpe 7 &lt;Lüfter&gt;" in page
    assert "Pump 7 &amp; motor" in page
    assert page.count('href="https://plant.example.com/e/abc?x=1&amp;y=2"') == 2
    assert not any(word in page for word in ("<script", "src=", "url(", "<img"))


def test_machines_that_answer_mail_are_told_that_a_machine_wrote_it(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant, severity="ALARM")

    mailbox.create(wanted)

    [mail] = mails(plant, wanted.key)
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    assert (mail["Importance"], mail["From"]) == ("high", "Telltale <telltale@plant.example>")
    assert mail["Message-ID"].startswith(f"<{wanted.key}.")


def test_what_follows_is_threaded_below_the_first_mail(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)
    ref = mailbox.create(wanted).ref

    mailbox.update(ref, replace(wanted, title="ALARM: worse", description="Why: 9.9 mm/s", severity="ALARM"))
    mailbox.comment(ref, "ALARM: worse", key="case-a-2")
    mailbox.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    first, worse, done = mails(plant, ref)
    assert worse["In-Reply-To"] == worse["References"] == done["In-Reply-To"] == first["Message-ID"]
    assert len({first["Message-ID"], worse["Message-ID"], done["Message-ID"]}) == 3
    assert worse["Subject"] == "ALARM: worse"
    assert "Why: 9.9 mm/s" in part(worse, "plain")
    assert "DONE by mia: LUBRICATION" in done["Subject"]


def test_everybody_gets_each_mail_once_however_often_it_is_told(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)

    for _ in range(3):
        mailbox.create(wanted)
        mailbox.comment(wanted.key, "now at 7.4 mm/s", key="case-a-2")
        mailbox.set_status(wanted.key, Status.IN_PROGRESS, by="mia")

    for to in (WORKSHOP, NIGHT):
        assert [mail["Subject"] for mail in mails(plant, wanted.key, to)] == [
            wanted.title,
            "now at 7.4 mm/s",
            "IN_PROGRESS by mia",
        ]


def test_what_everybody_has_is_not_even_offered_to_the_server(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)
    mailbox.create(wanted)
    sessions = plant.inbox.sessions

    mailbox.create(wanted)

    assert plant.inbox.sessions == sessions


def test_an_order_is_not_made_before_its_mail_is_out(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)

    with pytest.raises(RetryLater):
        plant.cmms(settings={"port": 9}).create(wanted)
    before = mailbox.find(wanted.key)
    mailbox.create(wanted)

    assert before is None
    assert mailbox.find(wanted.key) is not None
    assert plant.count(wanted.key) == 1


def test_a_mail_that_the_server_takes_later_is_sent_later_and_to_nobody_twice(
    plant: EmailPeer, mailbox: Mailbox
) -> None:
    wanted = request(plant)
    plant.inbox.answers[NIGHT] = ["450 mailbox busy"]

    with pytest.raises(CmmsBusy, match="450 mailbox busy"):
        mailbox.create(wanted)
    waiting = mailbox.find(wanted.key)
    mailbox.create(wanted)

    assert waiting is None
    assert len(mails(plant, wanted.key, WORKSHOP)) == len(mails(plant, wanted.key, NIGHT)) == 1


@pytest.mark.parametrize("answer", ["421 going down", "451 try again", "452 no space"])
def test_an_answer_that_may_pass_is_for_later(plant: EmailPeer, mailbox: Mailbox, answer: str) -> None:
    wanted = request(plant)
    plant.inbox.answers["DATA"] = [answer]

    with pytest.raises(RetryLater):
        mailbox.create(wanted)
    mailbox.create(wanted)

    assert plant.count(wanted.key) == 1


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_a_mail_that_the_server_takes_for_nobody_is_a_refusal(plant: EmailPeer, mailbox: Mailbox, command: str) -> None:
    wanted = request(plant)
    plant.inbox.answers[command] = ["550 no such user"] * 2

    with pytest.raises(CmmsRefused, match="550 no such user"):
        mailbox.create(wanted)

    assert mailbox.find(wanted.key) is None


def test_one_who_cannot_be_reached_does_not_keep_it_from_the_others(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)
    plant.inbox.answers[NIGHT] = ["550 no such user"]

    mailbox.create(wanted)
    mailbox.create(wanted)

    entry = plant.book.entry(wanted.key)
    assert (len(mails(plant, wanted.key)), mails(plant, wanted.key, NIGHT)) == (1, [])
    assert entry is not None
    assert any("not taken for" in line.text and NIGHT in line.text for line in entry.history)


def test_a_worker_that_died_while_it_sent_is_waited_for_and_its_mail_sent_again_under_the_same_id(
    plant: EmailPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(plant)
    dying, note = plant.cmms(), plant.book.comment

    def die(ref: str, text: str, *, key: str) -> None:
        if not text.startswith("mailing"):
            raise SystemExit
        note(ref, text, key=key)

    monkeypatch.setattr(plant.book, "comment", die)
    with pytest.raises(SystemExit):
        dying.create(wanted)
    monkeypatch.undo()
    with pytest.raises(CmmsBusy) as busy:
        plant.cmms().create(wanted)
    plant.cmms(now_ms=lambda: time.time_ns() // 1_000_000 + CLAIM_MS).create(wanted)

    assert busy.value.after_s == pytest.approx(CLAIM_MS / 1000, abs=10)
    first, again = mails(plant, wanted.key)
    assert first["Message-ID"] == again["Message-ID"]


def test_a_connection_that_breaks_after_the_mail_was_taken_is_for_later(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant)
    plant.inbox.answers["DATA"] = ["lost"]

    with pytest.raises(RetryLater):
        mailbox.create(wanted)
    mailbox.create(wanted)

    assert {mail["Message-ID"] for mail in mails(plant, wanted.key)} == {mails(plant, wanted.key)[0]["Message-ID"]}


def test_a_wrong_password_is_no_refusal_of_the_order(plant: EmailPeer) -> None:
    mailbox = plant.cmms(secrets={"user": USER, "password": "wrong", "ca": plant.inbox.ca})

    with pytest.raises(CmmsDenied, match="535"):
        mailbox.create(request(plant))


def test_a_server_that_wants_a_password_where_there_is_none_is_no_refusal(plant: EmailPeer) -> None:
    with pytest.raises(CmmsDenied, match="530"):
        plant.cmms(secrets={"ca": plant.inbox.ca}).create(request(plant))


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(plant: EmailPeer) -> None:
    wanted = request(plant)

    with pytest.raises(CmmsDenied, match="certificate"):
        plant.cmms(secrets={"user": USER, "password": PASSWORD}).create(wanted)

    assert plant.count(wanted.key) == 0


@pytest.mark.parametrize("end", ["", "\\n", "\r\n"])
def test_a_certificate_may_be_typed_on_one_line(plant: EmailPeer, end: str) -> None:
    typed = secrets(plant.inbox) | {"ca": plant.inbox.ca.replace("\n", end)}

    assert plant.cmms(secrets=typed).create(request(plant)).status is Status.OPEN


@pytest.mark.parametrize("ca", ["ca.pem", "-----BEGIN CERTIFICATE-----???-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_said_to_be_none(plant: EmailPeer, ca: str) -> None:
    with pytest.raises(CmmsDenied, match="no certificate"):
        plant.cmms(secrets=secrets(plant.inbox) | {"ca": ca}).create(request(plant))


def test_a_server_of_another_name_gets_nothing(plant: EmailPeer, tmp_path: Path) -> None:
    with serving(tmp_path, host="elsewhere.example") as other:
        mailbox = plant.cmms(settings={"port": other.port}, secrets=secrets(other))

        with pytest.raises(CmmsDenied, match="localhost"):
            mailbox.create(request(plant))

        assert other.mails == []


def test_a_server_without_starttls_gets_nothing_in_the_clear(plant: EmailPeer, tmp_path: Path) -> None:
    with serving(tmp_path, tls="none") as other:
        with pytest.raises(CmmsDenied, match="STARTTLS"):
            plant.cmms(settings={"port": other.port}, secrets=secrets(other)).create(request(plant))

        assert other.mails == []


def test_a_server_that_speaks_tls_from_the_start_is_spoken_to_so(plant: EmailPeer, tmp_path: Path) -> None:
    wanted = request(plant)

    with serving(tmp_path, tls="tls") as other:
        plant.cmms(settings={"port": other.port, "tls": "tls"}, secrets={"ca": other.ca}).create(wanted)

        assert len(other.to(WORKSHOP)) == 1


def test_mail_leaves_this_computer_by_tls_only(plant: EmailPeer) -> None:
    with pytest.raises(CmmsRefused, match="by TLS"):
        plant.cmms(settings={"tls": "none", "host": "mail.plant.example"})


@pytest.mark.parametrize("changes", [{"to": ""}, {"to": "workshop"}, {"from": "telltale"}, {"to": "a@b.example, x"}])
def test_an_address_that_is_none_is_refused(plant: EmailPeer, changes: dict[str, Any]) -> None:
    with pytest.raises(CmmsRefused, match="no mail address"):
        plant.cmms(settings=changes)


def test_no_text_of_a_case_becomes_a_header_or_a_recipient(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(
        plant, title="ALARM\r\nBcc: all@plant.example", fields={"Reply-To": "boss@plant.example\nBcc: x@y.example"}
    )

    mailbox.create(wanted)

    [mail] = mails(plant, wanted.key)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "ALARM Bcc: all@plant.example"
    assert {to for to, one in plant.inbox.mails if one[ORDER] == wanted.key} == {WORKSHOP, NIGHT}


def test_a_field_of_the_plant_file_is_a_header(plant: EmailPeer, mailbox: Mailbox) -> None:
    wanted = request(plant, fields={"Reply-To": "planner@plant.example", "Importance": "low"})

    mailbox.create(wanted)

    [mail] = mails(plant, wanted.key)
    assert (mail["Reply-To"], mail["Importance"]) == ("planner@plant.example", "low")


def secrets(inbox: Inbox) -> dict[str, str]:
    return {"user": USER, "password": PASSWORD, "ca": inbox.ca}
