"""A stand-in for MaintainX, written from its published OpenAPI document (v1) alone; no code is shared with the adapter.

Strict beyond the document: unknown fields and query parameters are refused, so that nothing is sent into the void. What
the document leaves open can be set: how `title` filters, whether deleted orders answer 404 or show `deletedAt`, and in
which unit webhooks give the time. Requests, answers and webhooks are held against the document's schemas.
"""

import hashlib
import hmac
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cmms.json_schema import wrong
from tests.loopback import listening

Answer = tuple[int, dict[str, str], Any]

STATUSES = ["OPEN", "IN_PROGRESS", "ON_HOLD", "DONE", "CANCELED"]
PRIORITY = {"type": "string", "enum": ["NONE", "LOW", "MEDIUM", "HIGH"]}
TEXT, MAYBE_TEXT, MAYBE_NUMBER = {"type": "string"}, {"type": ["string", "null"]}, {"type": ["integer", "null"]}
TIME, MAYBE_TIME = {"type": "string", "format": "date-time"}, {"type": ["string", "null"], "format": "date-time"}
EXTERNAL = {"oneOf": [{"type": "object"}, {"type": "number"}, {"type": "string"}]}
EXTRA = {"type": "object", "additionalProperties": {"type": "string"}}
ASSIGNEES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["type", "id"],
        "properties": {
            "type": {"type": "string", "enum": ["USER", "TEAM"]},
            "id": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        },
    },
}
CHANGE = {
    "assetId": MAYBE_NUMBER,
    "assignees": ASSIGNEES,
    "categories": {"type": "array", "items": {"type": "string"}},
    "description": MAYBE_TEXT,
    "dueDate": MAYBE_TIME,
    "estimatedTime": MAYBE_NUMBER,
    "externalData": EXTERNAL,
    "extraFields": EXTRA,
    "locationId": MAYBE_NUMBER,
    "priority": PRIORITY,
    "startDate": MAYBE_TIME,
    "title": TEXT,
    "type": {"type": "string", "enum": ["OTHER", "REACTIVE", "PREVENTIVE"]},
    "vendorIds": {"type": "array", "items": {"type": "number"}},
}
NEW = {"type": "object", "required": ["title"], "properties": CHANGE, "additionalProperties": False}
CHANGED = {"type": "object", "properties": CHANGE, "additionalProperties": False}
MOVED = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": STATUSES}},
    "additionalProperties": False,
}
COMMENT = {"type": "object", "required": ["content"], "properties": {"content": TEXT}, "additionalProperties": False}
SUBSCRIPTION = {
    "type": "object",
    "required": ["type", "url"],
    "properties": {
        "type": {"type": "string", "enum": ["WORK_ORDER_STATUS_CHANGE", "WORK_ORDER_CHANGE", "WORK_ORDER_DELETE"]},
        "url": {"type": "string", "maxLength": 512},
    },
    "additionalProperties": False,
}
SHOWN = {
    "type": "object",
    "required": ["updatedAt", "status", "title", "createdAt", "creatorId", "id", "sequentialId", "organizationId"],
    "properties": {
        "id": {"type": "integer"},
        "status": {"type": "string", "enum": [*STATUSES, "SKIPPED"]},
        "title": TEXT,
        "description": MAYBE_TEXT,
        "priority": PRIORITY,
        "createdAt": TIME,
        "updatedAt": TIME,
        "completedAt": MAYBE_TIME,
        "completerId": MAYBE_NUMBER,
        "deletedAt": MAYBE_TIME,
        "externalData": EXTERNAL,
        "extraFields": EXTRA,
    },
}
LISTED_WITHOUT = (
    "externalData",
    "attachments",
    "extraFields",
    "workOrderSummary",
)  # the list's schema has none of them
STATUS_EVENT = {
    "type": "object",
    "required": ["workOrderId", "orgId", "occurredAt", "oldStatus", "newStatus"],
    "properties": {
        "workOrderId": {"type": "number"},
        "orgId": {"type": "number"},
        "occurredAt": TIME,
        "oldStatus": {"type": "string", "enum": STATUSES[:4]},
        "newStatus": {"type": "string", "enum": STATUSES[:4]},
        "oldSubStatus": {"type": "string", "enum": ["CANCELED", "SKIPPED"]},
        "newSubStatus": {"type": "string", "enum": ["CANCELED", "SKIPPED"]},
        "userId": {"type": "number"},
    },
    "additionalProperties": False,
}
PAGED = {"cursor", "limit"}
ORDER_FILTERS = PAGED | {"title", "assets", "statuses", "show_upcoming", "sort", "expand"}
ORDER_FILTERS |= {"updatedAt[gte]", "updatedAt[lte]", "createdAt[gte]", "createdAt[lte]"}
LARGEST_ATTACHMENT = 1_000_000  # bytes: "Attachment size must not exceed 1mB"


class Refused(Exception):
    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body


class MaintainX:
    """One organization of MaintainX, with two people: its API user (1) and a technician (2)."""

    def __init__(self, *, key: str = "a JWT", organization: int = 321, now_s: Callable[[], float] = time.time) -> None:
        self.key, self.organization, self.now_s = key, organization, now_s
        self.several = False  # whether the key is good for several organizations
        self.limit = 100  # requests in 60 s, for one user
        self.title_is = False  # whether `title` filters for equal titles, rather than for titles with that in them
        self.tombstones = False  # whether a deleted order is still shown, with deletedAt
        self.milliseconds = False  # whether `t` of a signature counts milliseconds
        self.new_statuses: list[str] = []  # beyond those of the document
        self.names_the_field = True  # whether a refusal for the asset says `fieldPath`
        self.filters = True  # whether `partNumber` filters
        self.refusing_status = False  # whether a status change is answered 200 and not made
        self.orders: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.custom_fields: dict[str, list[str] | None] = {}  # of work orders: label → options; None: any text
        self.asset_fields = {"Telltale"}
        self.assets: dict[int, dict[str, Any]] = {963: {"name": "Forklift", "extraFields": {}}}
        self.assets[964] = {"name": "Pump 7", "extraFields": {}}
        self.parts: dict[int, dict[str, Any]] = {}
        self.users = {1: ("Tell", "Tale"), 2: ("Mia", "Maier")}
        self.subscriptions: dict[int, dict[str, Any]] = {}
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        self._asked: list[float] = []
        self._next = 1000
        self._lock = threading.RLock()

    # What people do in the app

    def move(self, number: int, status: str, by: int = 2) -> None:
        order = self.orders[number]
        old = order["status"]
        order |= {"status": status, "updatedAt": self.now()}
        if status == "DONE":
            order |= {"completedAt": self.now(), "completerId": by}
        self.tell("WORK_ORDER_STATUS_CHANGE", self.status_event(number, old, status, by))

    def write(self, number: int, **fields: Any) -> None:
        self.orders[number] |= {**fields, "updatedAt": self.now()}

    def delete(self, number: int) -> None:
        if self.tombstones:
            self.orders[number]["deletedAt"] = self.now()
        else:
            del self.orders[number]

    # Webhooks

    def status_event(self, number: int, old: str, new: str, by: int = 2) -> dict[str, Any]:
        event: dict[str, Any] = {
            "workOrderId": number,
            "orgId": self.organization,
            "occurredAt": self.now(),
            "userId": by,
        }
        for name, status in (("old", old), ("new", new)):
            final = status in ("CANCELED", "SKIPPED")  # in webhooks these are kinds of DONE
            event |= {f"{name}Status": "DONE" if final else status} | ({f"{name}SubStatus": status} if final else {})
        assert not list(wrong(event, STATUS_EVENT)), list(wrong(event, STATUS_EVENT))
        return event

    def subscribe(self, kind: str, url: str) -> int:
        number = self._number()
        secret = hashlib.sha256(f"{kind}{number}".encode()).hexdigest()
        self.subscriptions[number] = {"type": kind, "url": url, "secret": secret}
        return number

    def signed(self, number: int, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of the request that tells a subscription of the event."""
        subscription = self.subscriptions[number]
        body = json.dumps(event, separators=(",", ":")).encode()
        time_sent = str(round(self.now_s() * (1000 if self.milliseconds else 1)))

        def mark(signed: bytes) -> str:
            said = f"{time_sent}.".encode() + signed
            return f"t={time_sent},v1={hmac.new(subscription['secret'].encode(), said, hashlib.sha256).hexdigest()}"

        return {
            "Content-Type": "application/json",
            "X-MaintainX-Webhook-Body-Signature": mark(body),
            "X-MaintainX-Webhook-Uri-Signature": mark(subscription["url"].encode()),
        }, body

    def tell(self, kind: str, event: dict[str, Any]) -> None:
        """One attempt, ten seconds; nothing is said of further ones."""
        for number, subscription in list(self.subscriptions.items()):
            if subscription["type"] == kind and subscription["url"].startswith("http://127.0.0.1"):
                headers, body = self.signed(number, event)
                request = urllib.request.Request(subscription["url"], body, headers, method="POST")
                urllib.request.urlopen(request, timeout=10).close()

    # The API

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        with self._lock:
            parts = urlsplit(target)
            path, query = parts.path.removeprefix("/v1"), parse_qs(parts.query, keep_blank_values=True)
            self.seen.append((method, target))
            if headers.get("Authorization", "").lower() != f"bearer {self.key}".lower():
                return 401, {}, None
            limited = self._limited()
            if int(limited["X-Rate-Limit-Remaining"]) < 0:
                limited["X-Rate-Limit-Remaining"] = "0"
                said = f"Too many requests. Please retry in {limited['X-Rate-Limit-Reset']} seconds"
                return 429, limited, {"error": said}
            try:
                if self.several and headers.get("x-organization-id") != str(self.organization):
                    raise Refused(400, {"errors": [{"error": "Missing x-organization-id header."}]})
                status, said = self._route(method, path, query, headers, body)
            except Refused as refused:
                status, said = refused.status, refused.body
            return status, limited, said

    def _limited(self) -> dict[str, str]:
        now = self.now_s()
        if self._asked and now - self._asked[0] >= 60:
            self._asked.clear()
        self._asked.append(now)
        reset = max(1, round(60 - (now - self._asked[0])))
        left = self.limit - len(self._asked)
        return {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(left),
            "X-Rate-Limit-Reset": str(reset),
        }

    def _route(self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Any]:
        if (method, path) == ("POST", "/workorders"):
            return 200, self._create(self._checked(body, NEW))
        if (method, path) == ("GET", "/workorders"):
            return 200, self._listed(query)
        if (method, path) == ("POST", "/subscriptions"):
            made = self._checked(body, SUBSCRIPTION)
            return 201, {"id": self.subscribe(made["type"], made["url"])}
        if match := re.fullmatch(r"/subscriptions/(\d+)/secret", path):
            return 200, {"secret": self.subscriptions[int(match[1])]["secret"]}
        if match := re.fullmatch(r"/workorders/([^/]+)(/.+)?", path):
            return self._order(method, self._there(match[1]), match[2] or "", query, headers, body)
        if match := re.fullmatch(r"/users/(\d+)", path):
            number = int(match[1])
            if number not in self.users:
                raise Refused(404, {"error": "Not Found."})
            first, last = self.users[number]
            return 200, {"user": {"id": number, "firstName": first, "lastName": last, "role": "MEMBER"}}
        if match := re.fullmatch(r"/(asset|part)s(?:/([^/]+))?", path):
            return 200, self._things(match[1], match[2], query)
        raise Refused(404, {"error": "Not Found."})

    def _order(
        self, method: str, order: dict[str, Any], rest: str, query: dict[str, list[str]], headers: Any, body: bytes
    ) -> tuple[int, Any]:
        number = order["id"]
        if (method, rest) == ("GET", ""):
            self._only(query, {"expand", "useSequentialId"})
            return 200, {"workOrder": self._shown(order)}
        if (method, rest) == ("PATCH", ""):
            change = self._checked(body, CHANGED)
            self._assigned(change)
            extra = {**order["extraFields"], **change.pop("extraFields", {})}
            self.write(number, **change, extraFields=extra)
            return 200, {"workOrder": self._shown(order)}
        if (method, rest) == ("PATCH", "/status"):
            status = self._checked(body, MOVED)["status"]
            if not self.refusing_status:
                self.move(number, status, by=1)
            return 200, {"workOrder": self._shown(order)}
        if (method, rest) == ("POST", "/comments"):
            said = self._checked(body, COMMENT)
            made = {"id": self._number(), "authorId": 1, "content": said["content"], "createdAt": self.now()}
            self.comments.setdefault(number, []).append(made)
            return 201, {"id": made["id"]}
        if (method, rest) == ("GET", "/comments"):
            self._only(query, PAGED)
            return 200, self._page("comments", self.comments.get(number, []), query)
        if method == "PUT" and (match := re.fullmatch(r"/attachments/([^/]+)", rest)):
            return 201, self._attach(order, unquote(match[1]), headers, body)
        raise Refused(404, {"error": "Not Found."})

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        self._assigned(body)
        number, now = self._number(), self.now()
        self.orders[number] = {
            "id": number,
            "sequentialId": number - 1000,
            "organizationId": self.organization,
            "creatorId": 1,
            "createdAt": now,
            "updatedAt": now,
            "completedAt": None,
            "completerId": None,
            "deletedAt": None,
            "status": "OPEN",
            "priority": "NONE",
            "description": None,
            "attachments": [],
            "extraFields": {},
            **body,
        }
        return {"id": number}

    def _assigned(self, body: dict[str, Any]) -> None:
        asset = body.get("assetId")
        if asset is not None and (asset not in self.assets or self.assets[asset].get("archived")):
            raise _bad("Asset not found", "assetId" if self.names_the_field else "", asset)
        if body.get("startDate") and not body.get("dueDate"):
            raise _bad("startDate is only valid when dueDate is set", "startDate", body["startDate"])
        for label, value in body.get("extraFields", {}).items():
            if label not in self.custom_fields:
                raise _bad("Custom field not found", f"extraFields.{label}", value)
            options = self.custom_fields[label]
            if options is not None and value not in options:
                raise _bad("Invalid option", f"extraFields.{label}", value)

    def _attach(self, order: dict[str, Any], name: str, headers: Any, body: bytes) -> dict[str, Any]:
        if headers.get("Content-Type") != "application/octet-stream":
            raise Refused(400, "Content type should be application/octet-stream")
        if not body or "." not in name:
            raise Refused(400, "Bad arguments.")
        if len(body) > LARGEST_ATTACHMENT:
            raise Refused(413, {"error": "Attachment size must not exceed 1mB"})
        made = {"id": self._number(), "mimeType": "image/png", "fileName": name, "url": "", "createdAt": self.now()}
        order["attachments"].append(made)
        return {"publicUrl": "", "filename": name, "fileKey": str(made["id"])}

    def _listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        self._only(query, ORDER_FILTERS)
        found = [order for order in self.orders.values() if not order["deletedAt"]]
        if query.get("show_upcoming") not in (["true"], ["1"]):
            found = [order for order in found if not order.get("startDate") or order["startDate"] <= self.now()]
        for title in query.get("title", []):
            found = [
                o for o in found if (title == o["title"] if self.title_is else title.lower() in o["title"].lower())
            ]
        for name in ("createdAt", "updatedAt"):
            for since in query.get(f"{name}[gte]", []):
                found = [order for order in found if order[name] >= since]
        for sort in query.get("sort", []):
            if sort.removeprefix("-") not in ("updatedAt", "createdAt", "dueDate", "startedAt", "completedAt"):
                raise Refused(400, {"error": f"sort: {sort} is not allowed"})
            found.sort(key=lambda order: str(order.get(sort.removeprefix("-"))), reverse=sort.startswith("-"))
        shown = [{name: one for name, one in order.items() if name not in LISTED_WITHOUT} for order in found]
        return self._page("workOrders", shown, query)

    def _things(self, kind: str, number: str | None, query: dict[str, list[str]]) -> dict[str, Any]:
        held: dict[int, dict[str, Any]] = self.assets if kind == "asset" else self.parts
        if number is not None:
            if not number.isdecimal() or int(number) not in held:
                raise Refused(404, {"error": f"Could not find the specified {kind}."})
            return {kind: {"id": int(number), **held[int(number)]}}
        found = [{"id": number, **one} for number, one in held.items()]
        for name, values in query.items():
            if name in PAGED | {"expand", "sort"}:
                continue
            if name == "partNumber" and kind == "part":
                sold = [o for o in found if any(v["partNumber"] in values for v in o.get("vendors", []))]
                found = sold if self.filters else found
            elif name in self.asset_fields:  # a field that does not exist filters nothing
                found = [one for one in found if one["extraFields"].get(name) in values]
        hidden = {"extraFields": "extra_fields", "vendors": "vendors"}
        expanded = query.get("expand", [])
        shown = [{k: v for k, v in one.items() if hidden.get(k, "") in ("", *expanded)} for one in found]
        return self._page(f"{kind}s", shown, query)

    def _page(self, name: str, found: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
        [limit], [cursor] = query.get("limit", ["100"]), query.get("cursor", ["c0"])
        if not limit.isdecimal() or not 1 <= int(limit) <= 200:
            raise Refused(400, {"error": "limit should be between 1 and 200"})
        if not re.fullmatch(r"c\d+", cursor):
            raise Refused(400, {"error": "Invalid cursor"})
        start, end = int(cursor[1:]), int(cursor[1:]) + int(limit)
        return {name: found[start:end], "nextCursor": f"c{end}" if end < len(found) else None, "nextPageUrl": None}

    def _shown(self, order: dict[str, Any]) -> dict[str, Any]:
        known = {**order, "status": "OPEN"} if order["status"] in self.new_statuses else order
        assert not list(wrong(known, SHOWN)), list(wrong(known, SHOWN))
        return order

    def _there(self, ref: str) -> dict[str, Any]:
        if not ref.isdecimal():
            raise _bad("should be integer", "id", ref)
        if int(ref) not in self.orders:
            raise Refused(404, {"error": "Not Found."})
        return self.orders[int(ref)]

    def _checked(self, body: bytes, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            said = json.loads(body)
        except ValueError:
            raise Refused(400, {"error": "Unexpected token in JSON"}) from None
        if problems := list(wrong(said, schema)):
            raise Refused(400, {"errors": [{"error": why, "fieldPath": where} for where, why in problems]})
        return said

    def _only(self, query: dict[str, list[str]], known: set[str]) -> None:
        if unknown := sorted(set(query) - known):
            raise Refused(400, {"error": f"unknown query parameters {unknown}"})

    def _number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def now(self) -> str:
        return datetime.fromtimestamp(self.now_s(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bad(error: str, path: str, value: Any) -> Refused:
    return Refused(400, {"errors": [{"error": error, "fieldPath": path, "fieldValue": value}]})


@contextmanager
def serving(maintainx: MaintainX) -> Iterator[MaintainX]:
    """The API, reachable at `maintainx.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer takes the 40 ms of a delayed acknowledgement

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, said = maintainx.answer(self.command, self.path, self.headers, body)
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815  # the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        maintainx.url = f"{url}/v1"
        yield maintainx
