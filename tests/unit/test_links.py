"""Signed links: nothing but what was signed is read, and only in its time."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.adapters.links import DAY_S, LinkKeys, Links, evidence_expires_s
from telltale.core.links import EVIDENCE, UNSUBSCRIBE, BadLink, Claims, Expired, read, sign

KEY, OTHER = b"k" * 64, b"o" * 64
NOW_S = 1_790_000_000
CASE = Claims(EVIDENCE, "case-ut4munfinmzteh2n4chw", NOW_S + DAY_S)
TOKEN_LETTERS = string.ascii_letters + string.digits + "-_."

texts = st.text(max_size=50)
subjects = st.one_of(texts, st.from_regex(r"case-[a-z2-7]{20}", fullmatch=True))
claims = st.builds(Claims, st.sampled_from((EVIDENCE, UNSUBSCRIBE)), subjects, st.integers(NOW_S + 1, 2**40), texts)


@given(claims, st.binary(min_size=1))
def test_what_was_signed_is_read_as_it_was(signed: Claims, key: bytes) -> None:
    token = sign(key, signed)

    assert read([key], token, now_s=NOW_S) == signed
    assert set(token) <= set(TOKEN_LETTERS)  # so that no mail program breaks or quotes it


@given(claims, st.data())
def test_a_token_with_any_one_character_changed_is_refused(signed: Claims, data: st.DataObject) -> None:
    token = sign(KEY, signed)
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from([one for one in TOKEN_LETTERS if one != token[at]]))

    with pytest.raises(BadLink):
        read([KEY], token[:at] + letter + token[at + 1 :], now_s=NOW_S)


@given(claims, st.data())
def test_a_token_cut_or_lengthened_is_refused(signed: Claims, data: st.DataObject) -> None:
    token = sign(KEY, signed)
    cut = token[: data.draw(st.integers(0, len(token) - 1))]
    longer = token + data.draw(st.text(min_size=1))

    for altered in (cut, longer):
        with pytest.raises(BadLink):
            read([KEY], altered, now_s=NOW_S)


@given(st.text())
def test_whatever_else_is_sent_is_refused_and_nothing_breaks(text: str) -> None:
    for token in (text, f"1.{text}.{text}", f"1.{text}."):
        with pytest.raises(BadLink):
            read([KEY], token, now_s=NOW_S)


@given(claims)
def test_a_token_of_another_key_is_refused(signed: Claims) -> None:
    with pytest.raises(BadLink):
        read([KEY], sign(OTHER, signed), now_s=NOW_S)


def test_claims_of_another_token_are_not_good_with_this_signature() -> None:
    mine, theirs = sign(KEY, CASE), sign(KEY, Claims(EVIDENCE, "case-another", CASE.expires_s))
    swapped = ".".join((*theirs.split(".")[:2], mine.split(".")[2]))

    with pytest.raises(BadLink):
        read([KEY], swapped, now_s=NOW_S)


def test_a_link_is_good_until_its_second_and_then_says_that_it_is_over() -> None:
    token = sign(KEY, CASE)

    assert read([KEY], token, now_s=CASE.expires_s - 0.001) == CASE
    with pytest.raises(Expired):
        read([KEY], token, now_s=CASE.expires_s)


def test_an_altered_link_that_claims_to_be_old_is_not_called_expired() -> None:
    old = sign(OTHER, Claims(EVIDENCE, "case-x", NOW_S - 1))

    with pytest.raises(BadLink) as refused:
        read([KEY], old, now_s=NOW_S)
    assert not isinstance(refused.value, Expired)


def test_no_key_reads_nothing() -> None:
    with pytest.raises(BadLink):
        read([], sign(b"", CASE), now_s=NOW_S)


# ---- addresses ----------------------------------------------------------------------------------


def links(now_ms: int, base_url: str = "https://pages.example/") -> Links:
    return Links(base_url, lambda: KEY, lambda: now_ms)


@given(st.integers(0, 2_000), st.integers(0, 2_000 * DAY_S * 1000))
def test_the_link_of_a_case_stays_the_same_for_a_month_and_is_good_for_two(days: int, opened_ms: int) -> None:
    now_ms = opened_ms + days * DAY_S * 1000
    expires_s = evidence_expires_s(opened_ms, now_ms)

    assert 60 * DAY_S <= expires_s - now_ms // 1000 <= 90 * DAY_S
    assert (expires_s - opened_ms // 1000) % (30 * DAY_S) == 0


def test_the_link_of_a_case_is_an_address_that_its_token_can_be_read_from() -> None:
    opened_ms = NOW_S * 1000

    first, later = (links(opened_ms + days * DAY_S * 1000).evidence("case-a", opened_ms=opened_ms) for days in (0, 29))

    assert first == later
    assert read([KEY], first.removeprefix("https://pages.example/"), now_s=NOW_S) == Claims(
        EVIDENCE, "case-a", NOW_S + 90 * DAY_S
    )


def test_a_link_that_was_sent_to_somebody_says_to_whom() -> None:
    link = links(NOW_S * 1000).evidence("case-a", opened_ms=NOW_S * 1000, to="mia@example.com")

    assert read([KEY], link.rsplit("/", 1)[1], now_s=NOW_S).to == "mia@example.com"


def test_a_link_to_unsubscribe_is_good_for_more_than_a_year() -> None:
    link = links(NOW_S * 1000).unsubscribe("riverside", "mia@example.com")
    said = read([KEY], link.rsplit("/", 1)[1], now_s=NOW_S + 400 * DAY_S)

    assert (said.purpose, said.subject, said.to) == (UNSUBSCRIBE, "riverside", "mia@example.com")


def test_a_stage_without_pages_has_no_links() -> None:
    nowhere = Links("", lambda: pytest.fail("no key is needed"), lambda: NOW_S * 1000)

    assert nowhere.evidence("case-a", opened_ms=0) == nowhere.unsubscribe("riverside", "mia@example.com") == ""


# ---- keys ---------------------------------------------------------------------------------------


class Secrets:
    """Secrets Manager with one secret: it keeps the present version and the one before."""

    class exceptions:  # noqa: N801  # botocore's name
        class ResourceNotFoundException(Exception):
            pass

    def __init__(self, value: str) -> None:
        self.stages = {"AWSCURRENT": value}

    def rotate(self, value: str) -> None:
        self.stages = {"AWSCURRENT": value, "AWSPREVIOUS": self.stages["AWSCURRENT"]}

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803  # botocore's
        if VersionStage not in self.stages:
            raise self.exceptions.ResourceNotFoundException
        return {"SecretString": self.stages[VersionStage]}


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def keys(secrets: Secrets, clock: Clock) -> LinkKeys:
    return LinkKeys(secrets, "arn", clock)  # type: ignore[arg-type]  # the part of the client that is used


def test_after_a_rotation_links_of_both_keys_are_good_and_after_two_the_first_is_revoked() -> None:
    secrets, clock = Secrets("one"), Clock()
    known = keys(secrets, clock)
    first = sign(known.current(), CASE)

    secrets.rotate("two")
    clock.now_s += 301
    second = sign(known.current(), CASE)
    assert second != first
    assert known.claims(first, now_s=NOW_S) == known.claims(second, now_s=NOW_S) == CASE

    secrets.rotate("three")
    clock.now_s += 301
    assert known.claims(second, now_s=NOW_S) == CASE
    with pytest.raises(BadLink):
        known.claims(first, now_s=NOW_S)


def test_a_link_of_a_key_that_was_rotated_a_minute_ago_is_good_where_the_old_key_is_still_remembered() -> None:
    secrets, clock = Secrets("one"), Clock()
    known = keys(secrets, clock)
    known.current()

    secrets.rotate("two")
    clock.now_s += 60

    assert known.claims(sign(b"two", CASE), now_s=NOW_S) == CASE


def test_strangers_cannot_have_the_secret_read_all_the_time() -> None:
    secrets, clock = Secrets("one"), Clock()
    known = keys(secrets, clock)
    known.current()
    secrets.rotate("two")
    clock.now_s += 29

    with pytest.raises(BadLink):
        known.claims(sign(b"two", CASE), now_s=NOW_S)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="is empty"):
        keys(Secrets(""), Clock()).current()
