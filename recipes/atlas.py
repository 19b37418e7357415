"""Atlas CMMS (Grashjs/cmms). Settings: ATLAS_URL (with /api), ATLAS_KEY, ATLAS_WEBHOOK_SECRET.

Traps, read in its source: there is no field for an outside reference; a PATCH that leaves out priority, duration or
signature resets them; there is no status for cancelled; a webhook's signature covers the body and not the time.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from recipes.receiver import (
    Api,
    Order,
    Refused,
    Settings,
    Text,
    codes,
    in_words,
    meaning,
    ms,
    read,
    same,
    statuses,
    word,
)

STATUSES = {"OPEN": "OPEN", "IN_PROGRESS": "IN_PROGRESS", "ON_HOLD": "ON_HOLD", "COMPLETE": "DONE"}
PRIORITIES = {"WARNING": "MEDIUM", "ALARM": "HIGH"}
RESET = ("priority", "estimatedDuration", "requiredSignature", "title", "description")  # if a PATCH leaves them out


class Atlas:
    def __init__(self, settings: Settings) -> None:
        key = settings["ATLAS_KEY"]
        self.api = Api(settings["ATLAS_URL"], lambda: {"x-api-key": key})
        self.secret = settings.get("ATLAS_WEBHOOK_SECRET", "").encode()
        self.statuses = statuses(settings, STATUSES)

    def find(self, key: str) -> Order | None:
        fields = [{"field": "description", "operation": "cn", "value": f"[tt:{key}]"}]
        found = self.api.ask("POST", "/work-orders/search", {"filterFields": fields, "pageNum": 0, "pageSize": 10})
        ids = sorted(one["id"] for one in found["content"])
        return self.get(str(ids[0])) if ids else None

    def create(self, order: Order) -> Order:
        asset = {"asset": {"id": int(order["asset"])}} if str(order["asset"]).isdecimal() else {}
        made = self.api.ask(
            "POST",
            "/work-orders",
            {
                "title": order["title"],
                "description": Text(order["description"], order["key"]).write(),
                "priority": PRIORITIES[order["severity"]],
                **asset,
                **order["fields"],
            },
        )
        return self._order(made)

    def get(self, ref: str) -> Order | None:
        found = self.api.ask("GET", f"/work-orders/{ref}", missing=True) if ref.isdecimal() else None
        return self._order(found) if found else None

    def update(self, ref: str, order: Order) -> Order:
        now = self.api.ask("GET", f"/work-orders/{ref}")
        text = read(now["description"])
        changes = {name: order[name] for name in ("title",) if name in order}
        if "severity" in order:
            changes["priority"] = PRIORITIES[order["severity"]]
        if "description" in order:
            changes["description"] = Text(order["description"], text.key, text.updates, text.cancelled).write()
        return self._patched(ref, now, changes)

    def comment(self, ref: str, text: str, key: str) -> None:
        mark = f"[tt:{key}]"
        there = self.api.ask("POST", f"/comments/search/{ref}", {})
        if not any(mark in one["content"] for one in there):
            self.api.ask("POST", "/comments", {"content": f"{text}\n{mark}", "workOrder": {"id": int(ref)}})

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        if status == "CANCELLED":
            now = self.api.ask("GET", f"/work-orders/{ref}")
            text = read(now["description"])
            self._patched(ref, now, {"description": Text(text.report, text.key, text.updates, cancelled=True).write()})
            status = "DONE"
        said = {"feedback": f"{in_words(closure)}\nby {by}"} if closure else {}
        self.api.ask("PATCH", f"/work-orders/{ref}/change-status", {"status": word(status, self.statuses), **said})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        wanted = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        if not self.secret or not same(headers.get("x-webhook-signature", ""), wanted):
            raise Refused(401, "X-Webhook-Signature does not match")
        return str(json.loads(body)["workOrderId"])

    def _patched(self, ref: str, now: Mapping[str, Any], changes: Mapping[str, Any]) -> Order:
        kept = {name: now[name] for name in RESET}
        return self._order(self.api.ask("PATCH", f"/work-orders/{ref}", {**kept, **changes}))

    def _order(self, found: Mapping[str, Any]) -> Order:
        text, status = read(found["description"] or ""), meaning(found["status"], self.statuses)
        done = status == "DONE"
        by = found.get("completedBy")
        return {
            "ref": str(found["id"]),
            "key": text.key or "-",
            "status": "CANCELLED" if done and text.cancelled else status,
            "raw_status": found["status"],
            "changed_ms": ms(found["updatedAt"]),
            "by": f"{by['firstName']} {by['lastName']}" if by and done else None,
            "closure": codes(found.get("feedback") or "") if done else None,
            "title": found["title"],
            "description": text.report,
            "severity": found["priority"],
        }


recipe = Atlas
