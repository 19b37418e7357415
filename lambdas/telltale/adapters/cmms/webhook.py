"""Any maintenance system behind one HTTPS address that speaks Telltale's signed messages (docs/webhook.md).

Every request is a POST of `{"version":"1","action":…,"key"|"ref":…,…}`, every good answer 2xx with
`{"order": {"ref","key","status",…} | null}`. Both directions are signed in the same way: HMAC-SHA256 with the
shared secret over `<timestamp>.<body>`, so that neither the body nor its age can be forged.
"""

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3

from telltale.adapters.cmms.port import Capabilities, CmmsBusy, Forged, Hint, Order, OrderRequest, Status
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

SIGNATURE = "Telltale-Signature"
TIMESTAMP = "Telltale-Timestamp"  # seconds since 1970-01-01 UTC
IDEMPOTENCY = "Idempotency-Key"
REPLAY_WINDOW_S = 300  # older or newer than this is refused; the usual five minutes of signed webhooks
CONNECT_S, READ_S = 3.0, 10.0  # guesses: a healthy system answers in well under a second
MAX_ANSWER_BYTES = 1_000_000
COME_AGAIN = (408, 409, 412, 425, 429)  # may pass, as may every 5xx
SHOWN = 200  # characters of an unexpected answer that go into an error


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hex HMAC-SHA256 over `timestamp.body`."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """One endpoint. Raises CmmsRefused for an address that is neither https nor on this computer."""

    name = "webhook"

    def __init__(self, url: str, secret: bytes, now_ms: Callable[[], int], *, pushes: bool = False) -> None:
        if not _allowed(url):
            raise CmmsRefused(f"webhook address {url!r} is not https; http is for this computer only")
        self.capabilities = Capabilities(upsert=False, pushes=pushes)
        self._url = url
        self._secret = secret
        self._now_ms = now_ms
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S), retries=False, maxsize=1
        )

    def find(self, key: str) -> Order | None:
        return self._ask({"action": "find", "key": key})

    def create(self, request: OrderRequest) -> Order:
        return self._tell({"action": "create", "key": request.key, "order": asdict(request)}, once=request.key)

    def get(self, ref: str) -> Order | None:
        return self._ask({"action": "get", "ref": ref})

    def update(self, ref: str, request: OrderRequest) -> Order:
        return self._tell({"action": "update", "ref": ref, "order": asdict(request)})

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._tell({"action": "comment", "ref": ref, "text": text}, once=key)

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        closed = {"closure": closure.as_dict()} if closure else {}
        order = self._tell({"action": "set_status", "ref": ref, "status": status, "by": by, **closed})
        if order.status != status:
            raise CmmsRefused(f"order {ref} is {order.status} and stays so; {status} was wanted")
        return order

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        given = {name.lower(): value for name, value in headers.items()}
        timestamp = given.get(TIMESTAMP.lower(), "")
        if not hmac.compare_digest(
            given.get(SIGNATURE.lower(), "").encode(), signature(self._secret, timestamp, body).encode()
        ):
            raise Forged(f"{SIGNATURE} does not match timestamp and body")
        age_s = self._now_ms() / 1000 - int(timestamp) if timestamp.isdecimal() else None
        if age_s is None or abs(age_s) > REPLAY_WINDOW_S:
            raise Forged(f"{TIMESTAMP} {timestamp!r} is not within {REPLAY_WINDOW_S} s of now")
        document = _json(body)
        if not isinstance(document, dict) or not isinstance(document.get("ref"), str) or not document["ref"]:
            raise Forged('the body is not {"version":"1","ref":"…"}')
        return [Hint(document["ref"])]

    def _tell(self, message: Mapping[str, Any], once: str | None = None) -> Order:
        order = self._ask(message, once)
        if order is None:
            raise RetryLater(f"{self._url} answered {message['action']} without an order")
        return order

    def _ask(self, message: Mapping[str, Any], once: str | None = None) -> Order | None:
        body = json.dumps({"version": "1", **message}, ensure_ascii=False, allow_nan=False).encode()
        status, headers, answer = self._post(body, once)
        if status in COME_AGAIN or status >= 500:
            raise CmmsBusy(f"{self._url} answered {status}", self._after_s(headers.get("Retry-After")))
        if not 200 <= status < 300:
            shown = answer[:SHOWN].decode(errors="replace")
            raise CmmsRefused(f"{self._url} answered {status} to {message['action']}: {shown}")
        return self._order(answer)

    def _post(self, body: bytes, once: str | None) -> tuple[int, Mapping[str, str], bytes]:
        timestamp = str(self._now_ms() // 1000)
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: signature(self._secret, timestamp, body),
            **({IDEMPOTENCY: once} if once else {}),
        }
        try:
            response = self._http.request(
                "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
            )
            try:
                return response.status, response.headers, response.read(MAX_ANSWER_BYTES)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise RetryLater(f"{self._url} could not be reached: {error}") from error

    def _order(self, answer: bytes) -> Order | None:
        """The order in a 2xx answer. Anything else there (a proxy's page, say) proves nothing: ask again later."""
        document = _json(answer)
        if not isinstance(document, dict) or "order" not in document:
            raise RetryLater(f"{self._url} answered without an order: {answer[:SHOWN].decode(errors='replace')}")
        found = document["order"]
        if found is None:
            return None
        try:
            return Order(
                ref=_text(found["ref"]),
                key=_text(found["key"]),
                status=Status(found["status"]),
                raw_status=str(found.get("raw_status", found["status"])),
                changed_ms=int(found.get("changed_ms") or self._now_ms()),
                by=_text(found["by"]) if found.get("by") is not None else None,
                closure=_codes(found["closure"]) if found.get("closure") is not None else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RetryLater(f"{self._url} answered with an order that cannot be read: {error!r}") from error

    def _after_s(self, retry_after: str | None) -> float | None:
        """Retry-After, in seconds or as a date (RFC 9110, 10.2.3)."""
        if retry_after is None:
            return None
        if retry_after.isdecimal():
            return float(retry_after)
        try:
            return max(0.0, parsedate_to_datetime(retry_after).timestamp() - self._now_ms() / 1000)
        except ValueError:
            return None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a text")
    return value


def _codes(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object of closure codes")
    return {str(name): str(code) for name, code in value.items() if code is not None}


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _allowed(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or ""))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
