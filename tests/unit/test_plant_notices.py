"""The notices of a site in the plant file: what they become, and what is said of those that are wrong."""

from dataclasses import replace

import pytest
from cli.plant import Change
from telltale.adapters.registry import decode, encode
from telltale.core.plant import Site
from telltale.core.recipients import Digest, Hours, Recipient

from tests.unit.test_plant_file import plant_with
from tests.unit.test_plant_file import problem as problem_with

EVERY_DAY = tuple(range(7))


def recipient(text: str) -> Recipient:
    [only] = site(text).notices
    return only


def site(text: str) -> Site:
    return plant_with("p: {}", site=f"notices: {{mia: {text}}}").sites["s"]


def problem(text: str, *, name: str = "mia") -> str:
    return problem_with("p: {}", site=f"notices: {{{name}: {text}}}")


def test_an_address_is_enough() -> None:
    assert recipient("{email: mia@example.com}") == Recipient("mia", "email", "mia@example.com")


def test_all_of_it() -> None:
    found = recipient(
        "{sms: +49 151 2345-6789, severity: alarm, places: [a, a/m/p], tell: [reopened, opened], "
        'hours: ["Mon-Fri 06:00-22:00", "Sat,Sun 8:00-12:00"], quiet: 22:00-06:00, alarm_breaks_quiet: true, '
        "after: 30min, remind: 4h, digest: weekly Mon 07:00, system: true}"
    )

    assert found == Recipient(
        "mia",
        "sms",
        "+4915123456789",
        severity="ALARM",
        places=("a", "a/m/p"),
        tell=("opened", "reopened"),
        hours=(Hours((0, 1, 2, 3, 4), 360, 1320), Hours((5, 6), 480, 720)),
        quiet=(Hours(EVERY_DAY, 1320, 360),),
        alarm_breaks_quiet=True,
        after_min=30,
        remind_min=240,
        digest=Digest(420, 0),
        system=True,
    )


def test_channels_whose_address_is_a_secret_name_it() -> None:
    assert recipient("{slack: hall}") == Recipient("mia", "slack", "hall")
    assert recipient("{teams: hall}") == Recipient("mia", "teams", "hall")


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("00:00-24:00", Hours(EVERY_DAY, 0, 1440)),
        ("Fri-Mon 22:00-06:00", Hours((0, 4, 5, 6), 1320, 360)),
        ("monday 6:00-14:00", Hours((0,), 360, 840)),
        ("Mon-Wed,Fri 06:00 - 14:00", Hours((0, 1, 2, 4), 360, 840)),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, hours: Hours) -> None:
    assert recipient(f'{{slack: hall, hours: "{text}"}}').hours == (hours,)


def test_a_recipient_may_have_a_digest_alone() -> None:
    found = recipient("{email: mia@example.com, tell: nothing, digest: daily 07:00}")

    assert (found.tell, found.digest) == ((), Digest(420))


def test_they_come_back_from_the_registry_as_they_were_written() -> None:
    written = site("{slack: hall, hours: Mon 06:00-14:00, digest: daily 07:00, places: a/m}")

    assert decode("site", encode(written)) == written


def test_a_change_of_a_recipient_is_shown_in_words_before_it_is_written() -> None:
    before = site("{slack: hall}")
    after = replace(before, notices=(replace(before.notices[0], severity="ALARM"),))

    assert list(Change("site", "s", before, after).fields()) == [
        ("notices.mia", "slack hall, from WARNING", "slack hall, from ALARM")
    ]


WRONG = {
    "a misspelt key": ("{emial: mia@example.com}", 'found the key "emial"', 'did you mean "email"?'),
    "no channel": ("{severity: ALARM}", 'recipient "mia": found no channel', "wanted one of email, sms, slack, teams"),
    "two channels": ("{sms: +4915112345678, slack: hall}", "found sms and slack", "wanted one of"),
    "no address": ("{email: mia}", 'found "mia"', "an address such as mia@example.com"),
    "a number without its country": ("{sms: 0151 2345678}", 'found "0151 2345678"', "+4915112345678"),
    "an address that is a secret": (
        "{slack: 'https://hooks.example.com/T0/B0/x'}",
        "notices secret s NAME",
        "can post",
    ),
    "a misspelt severity": ("{slack: hall, severity: alram}", 'found "alram"', 'did you mean "ALARM"?'),
    "a place that is not there": ("{slack: hall, places: a/n}", 'found "a/n"', 'did you mean "a/m"?'),
    "a misspelt change": ("{slack: hall, tell: [opend]}", 'found "opend"', 'did you mean "opened"?'),
    "nothing and something": ("{slack: hall, tell: [nothing, opened]}", "found nothing beside changes", ""),
    "no hours": ("{slack: hall, hours: at night}", 'found "at night"', "Mon-Fri 06:00-22:00"),
    "a day that is none": ("{slack: hall, hours: Mo-Fri 06:00-14:00}", 'found "Mo-Fri 06:00-14:00"', "Mon-Fri"),
    "an hour that is none": ("{slack: hall, quiet: 22:00-25:00}", 'found "22:00-25:00"', "22:00-06:00"),
    "a time without a unit": ("{slack: hall, after: 30}", 'found "30"', "a duration with its unit"),
    "a digest without an hour": ("{slack: hall, digest: daily}", 'found "daily"', "weekly Mon 07:00"),
    "quiet that is not there": ("{slack: hall, alarm_breaks_quiet: true}", "no quiet for alarms to break", ""),
    "a digest at night": (
        "{slack: hall, quiet: 22:00-06:00, digest: daily 05:00}",
        "in the recipient's quiet hours",
        "",
    ),
    "reminders of nothing": ("{slack: hall, tell: resolved, remind: 4h}", "nobody is reminded", ""),
    "a recipient of nothing": ("{slack: hall, tell: nothing}", 'recipient "mia" is told nothing', ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_its_place_and_what_was_wanted(what: str) -> None:
    text, found, wanted = WRONG[what]
    said = problem(text)

    assert said.startswith("4:")
    assert found in said
    assert wanted in said


def test_a_name_that_cannot_be_one_is_said() -> None:
    assert 'found "m/a" as the id of a recipient' in problem("{slack: hall}", name="m/a")
