"""Ten thousand messages that neither MaintainX nor ServiceNow sent, made of ones that they did."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from telltale.adapters.cmms.port import Forged

from tests.aws_line import Clock
from tests.cmms.maintainx_server import MaintainX
from tests.cmms.peer_maintainx import MaintainXPeer
from tests.cmms.peer_servicenow import ServiceNowPeer
from tests.cmms.servicenow_server import Instance

TRIED = 5_000  # of each
CLOCK = Clock()
Message = tuple[dict[str, str], bytes]
Peer = MaintainXPeer | ServiceNowPeer


def maintainx(secret: str) -> Peer:
    server = MaintainX(now_s=CLOCK.s)
    server.url = "https://api.example.com/v1"
    peer = MaintainXPeer(server)
    server.subscriptions[peer._hook]["secret"] = secret
    return peer


def servicenow(secret: str) -> Peer:
    server = Instance(now_s=CLOCK.s)
    server.url = "https://example.service-now.com"
    server.hints_secret = secret.encode()
    return ServiceNowPeer(server)


def changed(text: bytes, chance: random.Random) -> bytes:
    """Another text: a byte changed, taken out, doubled, or the rest cut off."""
    where = chance.randrange(len(text))
    byte = bytes([text[where] ^ 1 << chance.randrange(8)])
    return chance.choice(
        [text[:where] + byte + text[where + 1 :], text[:where] + text[where + 1 :], text + text[where:], text[:where]]
    )


def forged(chance: random.Random, good: Message, old: Message, other: Message, foreign: Message) -> Message:
    """A message of parts that do not belong together."""
    headers, body = good
    name = chance.choice([one for one in headers if "Signature" in one or "Timestamp" in one])
    spoilt = changed(headers[name].encode(), chance).decode("latin-1")
    return chance.choice(
        [
            (headers, changed(body, chance)),
            ({**headers, name: spoilt}, body),
            ({one: value for one, value in headers.items() if one != name}, body),
            (headers, other[1]),
            (other[0], body),
            old,
            ({**old[0], name: headers[name]}, body if "Time" in name else old[1]),
            foreign,
            ({**headers, name: foreign[0][name]}, body),
        ]
    )


@pytest.mark.parametrize(
    ("make", "ref", "other"),
    [(maintainx, "1001", "77"), (servicenow, "0123456789abcdef" * 2, "fedcba9876543210" * 2)],
    ids=["maintainx", "servicenow"],
)
def test_of_ten_thousand_forged_messages_none_is_believed(make: Callable[[str], Peer], ref: str, other: str) -> None:
    peer, stranger = make("the-secret-of-the-two"), make("a-secret-that-was-guessed")
    cmms = peer.cmms(now_ms=CLOCK)
    CLOCK.go(s=-301)
    old = hint(peer, ref)
    CLOCK.go(s=301)
    good, another, foreign = hint(peer, ref), hint(peer, other), hint(stranger, ref)
    sent = {(cmms.verify_webhook(*one)[0].signed_at, one[1]) for one in (good, another)}
    chance, believed = random.Random(6), []

    for _ in range(TRIED):
        headers, body = forged(chance, good, old, another, foreign)
        with suppress(Forged):
            [one] = cmms.verify_webhook(headers, body)
            if (one.signed_at, body) not in sent:  # else it is the same message, with something added to its headers
                believed.append((headers, body))

    assert believed == []
    assert len(sent) == 2


def hint(peer: Peer, ref: str) -> Message:
    headers, body = peer.hint(ref)
    return dict(headers), body
