"""What the webhook alone has to stand, and what the logbook alone keeps."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import CmmsBusy, CmmsDenied, Forged, Hint, OrderRequest, Status
from telltale.adapters.cmms.webhook import Webhook
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater

from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving

KEY = "ABCDEFGHIJKLMNOPQR27"
REQUEST = OrderRequest(
    key=KEY,
    case_id="case-abcdefghijklmnopqr27",
    title="WARNING: Pump 7 motor DE: 4.8 mm/s is above 4.5",
    description="Where: Pump 7 motor DE\nWhy: 4.8 mm/s is above 4.5 — ≥ zone C",
    severity="WARNING",
    position="plant/hall/pump-7/motor-de",
    asset="plant/hall/pump-7",
    opened_ms=1_790_000_000_000,
)
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added — ok")
SECRET = b"a shared secret of the two"


def now_ms() -> int:
    return round(time.time() * 1000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(SECRET)) as server:
        yield server


@pytest.fixture
def webhook(server: Server) -> Webhook:
    return Webhook(server.url, SECRET, now_ms)


@pytest.fixture
def logbook() -> Iterator[Logbook]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-central-1")
        client.create_table(
            TableName="logbook",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Logbook(client, "logbook", now_ms)


# What the logbook alone keeps


def test_the_logbook_keeps_the_history_of_an_order(logbook: Logbook) -> None:
    ref = logbook.create(REQUEST).ref
    logbook.set_status(ref, Status.IN_PROGRESS, by="mia")
    logbook.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    entry = logbook.entry(ref)

    assert entry is not None
    assert entry.request == REQUEST
    assert [line.text.split(":")[0] for line in entry.history] == ["opened", "IN_PROGRESS by mia", "DONE by mia"]


def test_the_logbook_takes_no_messages_from_outside(logbook: Logbook) -> None:
    with pytest.raises(Forged):
        logbook.verify_webhook({}, b"{}")


# What the webhook alone has to stand


@pytest.mark.parametrize("status", [408, 409, 412, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_for_later(webhook: Webhook, server: Server, status: int) -> None:
    server.fail(status=status)

    with pytest.raises(RetryLater):
        webhook.create(REQUEST)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 405, 413, 422])
def test_an_answer_that_will_not_change_is_a_refusal(webhook: Webhook, server: Server, status: int) -> None:
    server.fail(status=status, Location="http://127.0.0.1:9/", body=b"priority: unknown value")

    with pytest.raises(CmmsRefused, match="priority: unknown value"):
        webhook.create(REQUEST)


@pytest.mark.parametrize("status", [401, 403])
def test_an_answer_that_credentials_would_change_is_for_later(webhook: Webhook, server: Server, status: int) -> None:
    server.fail(status=status, body=b"the token has expired")

    with pytest.raises(CmmsDenied, match="the token has expired"):
        webhook.create(REQUEST)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"[]",
        b"{}",
        b'{"order": null}',
        b'{"order": {}}',
        b'{"order": {"ref": "", "key": "K", "status": "OPEN"}}',
        b'{"order": {"ref": 7, "key": "K", "status": "OPEN"}}',
        b'{"order": {"ref": "7", "key": "K", "status": "FINE"}}',
        b'{"order": {"ref": "7", "key": "K", "status": "OPEN", "changed_ms": "soon"}}',
        b'{"order": {"ref": "7", "key": "K", "status": "DONE", "closure": "yes"}}',
        b'{"order": {"ref": "7", "key": "K", "status": "DONE", "by": {"name": "mia"}}}',
    ],
)
def test_a_good_status_without_an_order_is_no_success(webhook: Webhook, server: Server, body: bytes) -> None:
    server.fail(when="after", status=200, body=body)

    with pytest.raises(RetryLater):
        webhook.create(REQUEST)


def test_a_system_that_cannot_be_reached_is_for_later() -> None:
    with pytest.raises(RetryLater):
        Webhook("http://127.0.0.1:9/closed", SECRET, now_ms).find(KEY)


@pytest.mark.parametrize(
    ("retry_after", "wanted_s"), [("120", 120), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("soon", None), ("", None)]
)
def test_how_long_a_system_asks_to_wait_is_heard(
    webhook: Webhook, server: Server, retry_after: str, wanted_s: float | None
) -> None:
    server.fail(status=429, Retry_After=retry_after)

    with pytest.raises(CmmsBusy) as busy:
        webhook.find(KEY)

    assert busy.value.after_s == wanted_s


@pytest.mark.parametrize(
    "url",
    ["http://cmms.example.com/", "http://10.0.0.7/", "http://localhost.example.com/", "ftp://127.0.0.1/", ""],
)
def test_orders_never_leave_this_computer_in_the_clear(url: str) -> None:
    with pytest.raises(CmmsRefused):
        Webhook(url, SECRET, now_ms)


def test_a_wrong_secret_is_refused_by_the_other_side(server: Server) -> None:
    with pytest.raises(CmmsDenied):
        Webhook(server.url, b"another secret", now_ms).create(REQUEST)

    assert server.orders == {}


def test_a_signed_and_fresh_hint_is_believed(webhook: Webhook, server: Server) -> None:
    headers, body = server.hint("WO-1")

    assert webhook.verify_webhook(headers, body) == [Hint("WO-1")]


@pytest.mark.parametrize("age_s", [301, 3600, -301, 10**12])
def test_a_replayed_hint_is_refused(webhook: Webhook, server: Server, age_s: int) -> None:
    headers, body = server.hint("WO-1", at_s=time.time() - age_s)

    with pytest.raises(Forged):
        webhook.verify_webhook(headers, body)


def test_a_hint_signed_with_another_secret_is_refused(webhook: Webhook, server: Server) -> None:
    with pytest.raises(Forged):
        webhook.verify_webhook(*server.hint("WO-1", secret=b"guessed"))


def test_a_hint_without_a_signature_is_refused(webhook: Webhook) -> None:
    with pytest.raises(Forged):
        webhook.verify_webhook({}, b'{"version":"1","ref":"WO-1"}')


def test_an_old_hint_cannot_be_made_young(webhook: Webhook, server: Server) -> None:
    headers, body = server.hint("WO-1", at_s=time.time() - 3600)

    with pytest.raises(Forged):
        webhook.verify_webhook({**headers, "telltale-timestamp": str(int(time.time()))}, body)


@given(body=st.binary(max_size=40), where=st.integers(0, 200), flip=st.integers(1, 255))
def test_no_changed_byte_passes_as_a_signed_hint(body: bytes, where: int, flip: int) -> None:
    server, receiver = Server(SECRET), Webhook("https://cmms.example.com", SECRET, now_ms)
    headers, signed = server.hint("WO-1")
    changed = bytearray(signed)
    changed[where % len(signed)] ^= flip

    for forged in (bytes(changed), body, signed + body[:1] + b" "):
        with pytest.raises(Forged):
            receiver.verify_webhook(headers, forged)


@pytest.mark.parametrize("value", [None, [], {}, {"ref": 7}, {"ref": ""}, "WO-1"])
def test_a_signed_message_that_names_no_order_is_refused(webhook: Webhook, server: Server, value: Any) -> None:
    with pytest.raises(Forged):
        webhook.verify_webhook(*server.signed(json.dumps(value).encode()))
