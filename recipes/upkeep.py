"""UpKeep, API v2. Settings: UPKEEP_EMAIL, UPKEEP_PASSWORD, UPKEEP_URL, UPKEEP_WEBHOOK_SECRET.

Traps: the session token expires; there is no field for an outside reference, no way to read messages back, and no
status for cancelled. So the key and all that is said stand in the description, which is written in one request.
"""

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

STATUSES = {"open": "OPEN", "inProgress": "IN_PROGRESS", "onHold": "ON_HOLD", "complete": "DONE"}
PRIORITIES = {"WARNING": 2, "ALARM": 3}  # 0 none, 1 low, 2 medium, 3 high
PAGE, PAGES = 100, 10  # newest orders that are looked through for a key


class UpKeep:
    def __init__(self, settings: Settings) -> None:
        self.who = {"email": settings["UPKEEP_EMAIL"], "password": settings["UPKEEP_PASSWORD"]}
        self.open = Api(settings.get("UPKEEP_URL", "https://api.onupkeep.com/api/v2"))
        self.api = Api(self.open.base, lambda: {"Session-Token": self.token})
        self.secret = settings.get("UPKEEP_WEBHOOK_SECRET", "")
        self.statuses = statuses(settings, STATUSES)
        self.token = ""

    def find(self, key: str) -> Order | None:
        for page in range(PAGES):
            query = {"limit": PAGE, "offset": page * PAGE, "sort": "createdAt DESC"}
            found = self._ask("GET", "/work-orders", query=query)["results"]
            for one in found:
                if read(one.get("description") or "").key == key:
                    return self._order(one)
            if len(found) < PAGE:
                break
        return None

    def create(self, order: Order) -> Order:
        document = {
            "title": order["title"],
            "description": Text(order["description"], order["key"]).write(),
            "priority": PRIORITIES[order["severity"]],
            **({"asset": order["asset"]} if order["asset"] and "/" not in order["asset"] else {}),
            **order["fields"],
        }
        return self._order(self._ask("POST", "/work-orders", document)["result"])

    def get(self, ref: str) -> Order | None:
        found = self._ask("GET", f"/work-orders/{ref}", missing=True) if ref.isalnum() else None
        return self._order(found["result"]) if found else None

    def update(self, ref: str, order: Order) -> Order:
        changes: dict[str, Any] = {"title": order["title"]} if "title" in order else {}
        if "severity" in order:
            changes["priority"] = PRIORITIES[order["severity"]]
        if "description" in order:
            now = self._text(ref)
            changes["description"] = Text(order["description"], now.key, now.updates, now.cancelled).write()
        return self._order(self._ask("PATCH", f"/work-orders/{ref}", changes)["result"])

    def comment(self, ref: str, text: str, key: str) -> None:
        now = self._text(ref)
        if now.add(text, key) != now:
            self._ask("PATCH", f"/work-orders/{ref}", {"description": now.add(text, key).write()})

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        now = self._text(ref).add(f"{status} by {by}{': ' + in_words(closure) if closure else ''}", f"{status} {by}")
        cancelled = status == "CANCELLED"
        text = Text(now.report, now.key, now.updates, cancelled).write()
        raw = word("DONE" if cancelled else status, self.statuses)
        self._ask("PATCH", f"/work-orders/{ref}", {"description": text, "status": raw})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        if not self.secret or not same(path, self.secret):  # UpKeep signs nothing: the secret is in the address
            raise Refused(401, "the address is not the one that UpKeep was given")
        return str(json.loads(body)["id"])

    def _ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """An answer; signs in first, and anew once where the token has expired."""
        for last in (False, True):
            if not self.token:
                self.token = str(self.open.ask("POST", "/auth", self.who)["result"]["sessionToken"])
            try:
                return self.api.ask(method, path, body, **more)
            except Refused as refused:
                if refused.status != 403 or last:
                    raise
                self.token = ""
        raise AssertionError

    def _text(self, ref: str) -> Text:
        return read(self._ask("GET", f"/work-orders/{ref}")["result"].get("description") or "")

    def _order(self, found: Mapping[str, Any]) -> Order:
        text, status = read(found.get("description") or ""), meaning(found["status"], self.statuses)
        done = status == "DONE"
        said = codes("\n".join(reversed(text.updates))) or codes(found.get("completionNotes") or "")
        return {
            "ref": str(found["id"]),
            "key": text.key or "-",
            "status": "CANCELLED" if done and text.cancelled else status,
            "raw_status": found["status"],
            "changed_ms": ms(found["updatedAt"]),
            "closure": {name: code.split(" [tt:")[0] for name, code in said.items()} if done and said else None,
            "title": found["title"],
            "description": text.report,
            "severity": str(found["priority"]),
        }


recipe = UpKeep
