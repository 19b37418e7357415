"""Any maintenance system behind one HTTPS address that speaks Telltale's signed messages (docs/webhook.md).

Every request is a POST of `{"version":"1","action":…,"key"|"ref":…,…}`, every good answer 2xx with
`{"order": {"ref","key","status",…} | null}`. Both directions are signed in the same way: HMAC-SHA256 with the
shared secret over `<timestamp>.<body>`, so that neither the body nor its age can be forged.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import Http, shown
from telltale.adapters.cmms.port import (
    FIELDS,
    Capabilities,
    Forged,
    Hint,
    Order,
    OrderRequest,
    Plain,
    Status,
    moved,
)
from telltale.core.closure import Closure
from telltale.core.errors import RetryLater

SIGNATURE = "Telltale-Signature"
TIMESTAMP = "Telltale-Timestamp"  # seconds since 1970-01-01 UTC
IDEMPOTENCY = "Idempotency-Key"
REPLAY_WINDOW_S = 300  # older or newer than this is refused; the usual five minutes of signed webhooks


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hex HMAC-SHA256 over `timestamp.body`."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook(Plain):
    """One endpoint. Raises CmmsRefused for an address that is neither https nor on this computer."""

    name = "webhook"

    def __init__(
        self,
        url: str,
        secret: bytes,
        now_ms: Callable[[], int],
        *,
        pushes: bool = False,
        budget: Callable[[], None] | None = None,
    ) -> None:
        self.capabilities = Capabilities(upsert=False, pushes=pushes, codes=True)
        self._url = url
        self._secret = secret
        self._now_ms = now_ms
        self._http = Http(url, now_ms=now_ms, budget=budget)

    def find(self, key: str) -> Order | None:
        return self._ask({"action": "find", "key": key})

    def create(self, request: OrderRequest) -> Order:
        return self._tell({"action": "create", "key": request.key, "order": asdict(request)}, once=request.key)

    def get(self, ref: str) -> Order | None:
        return self._ask({"action": "get", "ref": ref})

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        told = {name: value for name, value in asdict(request).items() if name in fields or name not in FIELDS}
        return self._tell({"action": "update", "ref": ref, "order": told})

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._tell({"action": "comment", "ref": ref, "text": text}, once=key)

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        closed = {"closure": closure.as_dict()} if closure else {}
        return moved(self._tell({"action": "set_status", "ref": ref, "status": status, "by": by, **closed}), status)

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
        return [Hint(document["ref"], timestamp)]

    def _tell(self, message: Mapping[str, Any], once: str | None = None) -> Order:
        order = self._ask(message, once)
        if order is None:
            raise RetryLater(f"{self._url} answered {message['action']} without an order")
        return order

    def _ask(self, message: Mapping[str, Any], once: str | None = None) -> Order | None:
        body = json.dumps({"version": "1", **message}, ensure_ascii=False, allow_nan=False).encode()
        timestamp = str(self._now_ms() // 1000)
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: signature(self._secret, timestamp, body),
            **({IDEMPOTENCY: once} if once else {}),
        }
        return self._order(self._http.ask("POST", "", raw=body, headers=headers, good=range(200, 300)).body)

    def _order(self, answer: bytes) -> Order | None:
        """The order in a 2xx answer. Anything else there (a proxy's page, say) proves nothing: ask again later."""
        document = _json(answer)
        if not isinstance(document, dict) or "order" not in document:
            raise RetryLater(f"{self._url} answered without an order: {shown(answer)}")
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
                shows={name: _text(found[name]) for name in FIELDS if found.get(name)},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RetryLater(f"{self._url} answered with an order that cannot be read: {error!r}") from error


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


def _made(given: Given) -> Webhook:
    settings, secret = given.settings, given.secret("secret").encode()
    return Webhook(str(settings["url"]), secret, given.now_ms, pushes=bool(settings["pushes"]), budget=given.budget)


ADAPTER = Adapter(
    title="Signed webhook",
    make=_made,
    settings={
        "url": Setting("the address that takes the messages", "url", required=True),
        "pushes": Setting("whether the other side tells of changes itself", bool, default=False),
    },
    secrets={"secret": "shared with the other side, which signs and checks with it"},
)
