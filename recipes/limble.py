"""Limble, API v2. Settings: LIMBLE_CLIENT_ID, LIMBLE_CLIENT_SECRET, LIMBLE_LOCATION, LIMBLE_URL, LIMBLE_TYPE,
LIMBLE_DUE_DAYS, STATUSES (names of your statuses).

Traps: `due` is seconds as a number; a new task takes no statusID, which needs a PATCH of its own; statuses are the
tenant's; a webhook's signature covers its time and a token, and not its body.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from recipes.receiver import (
    CANCELLED,
    WINDOW_S,
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

STATUSES = {"Open": "OPEN", "In Progress": "IN_PROGRESS", "On Hold": "ON_HOLD", "Complete": "DONE"}
PRIORITIES = {"WARNING": 2, "ALARM": 1}  # priorityID; tenants own these too: set them by `fields` where they differ
DAY_S = 86_400


class Limble:
    def __init__(self, settings: Settings) -> None:
        who = f"{settings['LIMBLE_CLIENT_ID']}:{settings['LIMBLE_CLIENT_SECRET']}"
        self.secret = settings["LIMBLE_CLIENT_SECRET"]
        basic = {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}
        self.api = Api(settings.get("LIMBLE_URL", "https://api.limblecmms.com/v2"), lambda: basic)
        self.location, self.type = int(settings["LIMBLE_LOCATION"]), int(settings.get("LIMBLE_TYPE", "2"))
        self.due_s = int(settings.get("LIMBLE_DUE_DAYS", "7")) * DAY_S
        self.statuses = statuses(settings, STATUSES)

    def find(self, key: str) -> Order | None:
        found = self.api.ask("GET", "/tasks", query={"meta1": key, "limit": 10})
        ids = sorted(one["taskID"] for one in found if one.get("meta1") == key)
        return self.get(str(ids[0])) if ids else None

    def create(self, order: Order) -> Order:
        asset = {"assetID": int(order["asset"])} if str(order["asset"]).isdecimal() else {}
        document = {
            "name": order["title"],
            "description": Text(order["description"], order["key"]).write(),
            "locationID": self.location,
            "type": self.type,
            "due": order["opened_ms"] // 1000 + self.due_s,
            "priorityID": PRIORITIES[order["severity"]],
            "meta1": order["key"],
            **asset,
            **order["fields"],
        }
        return self._known(str(self.api.ask("POST", "/tasks", document)["taskID"]))

    def get(self, ref: str) -> Order | None:
        found = self.api.ask("GET", "/tasks", query={"tasks": ref, "limit": 1}) if ref.isdecimal() else []
        return self._order(found[0]) if found else None

    def update(self, ref: str, order: Order) -> Order:
        changes: dict[str, Any] = {"name": order["title"]} if "title" in order else {}
        if "severity" in order:
            changes["priorityID"] = PRIORITIES[order["severity"]]
        if "description" in order:
            [found] = self.api.ask("GET", "/tasks", query={"tasks": ref, "limit": 1})
            text = read(found["description"])
            changes["description"] = Text(order["description"], text.key, text.updates, text.cancelled).write()
        self.api.ask("PATCH", f"/tasks/{ref}", changes)
        return self._known(ref)

    def comment(self, ref: str, text: str, key: str) -> None:
        mark = f"[tt:{key}]"
        if not any(mark in one["comment"] for one in self.api.ask("GET", f"/tasks/{ref}/comments")):
            self.api.ask("POST", f"/tasks/{ref}/comments", {"comment": f"{text}\n{mark}"})

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        changes: dict[str, Any] = {"completionNotes": f"{in_words(closure)}\nby {by}"} if closure else {}
        if status == "CANCELLED" and status not in self.statuses.values():
            changes["completionNotes"] = f"{changes.get('completionNotes', '')}\n{CANCELLED}"
            status = "DONE"
        self.api.ask("PATCH", f"/tasks/{ref}", {"statusID": self._rows()[word(status, self.statuses)], **changes})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        timestamp, token = headers.get("timestamp", ""), headers.get("token", "")
        key = hashlib.sha256(self.secret.encode()).hexdigest()
        wanted = hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
        if not same(headers.get("signature", "").lower(), wanted):
            raise Refused(401, "signature does not match timestamp and token")
        if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > WINDOW_S:
            raise Refused(401, "timestamp is not within five minutes of now")
        document = json.loads(body)
        if document.get("category") != "task":
            raise Refused(422, "the message is about no task")
        return str(document["taskID"])

    def _rows(self) -> dict[str, int]:
        """The tenant's statuses: name → id."""
        return {one["name"]: one["statusID"] for one in self.api.ask("GET", "/statuses")}

    def _known(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise Refused(422, f"there is no task {ref}")
        return order

    def _order(self, found: Mapping[str, Any]) -> Order:
        names = {number: name for name, number in self._rows().items()}
        raw = names.get(found["statusID"], str(found["statusID"]))
        status, notes = meaning(raw, self.statuses), found.get("completionNotes") or ""
        done = status == "DONE"
        return {
            "ref": str(found["taskID"]),
            "key": found.get("meta1") or "-",
            "status": "CANCELLED" if done and CANCELLED in notes else status,
            "raw_status": raw,
            "changed_ms": ms(found.get("dateCompleted") or found["lastEdited"]),
            "closure": codes(notes) if done else None,
            "title": found["name"],
            "description": read(found["description"] or "").report,
            "severity": str(found["priorityID"]),
        }


recipe = Limble
