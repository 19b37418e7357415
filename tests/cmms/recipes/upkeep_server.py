"""A stand-in for UpKeep's API v2: signing in, sessions that expire, and work orders, as developers.onupkeep.com and
clients in the open tell of them. How it lists and sorts is as far as those go.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.cmms.recipes.standin import StandIn, Wrong, only

WHO = {"email": "telltale@plant.example", "password": "of UpKeep"}
STATUSES = ("open", "onHold", "inProgress", "complete")
FIELDS = {"title", "description", "priority", "status", "asset", "location", "category", "dueDate", "assignedToUser"}


class UpKeep(StandIn):
    done = "complete"
    started = "inProgress"

    def __init__(self) -> None:
        super().__init__()
        self.sessions: set[str] = set()
        self.logins = 0

    def settings(self, url: str) -> dict[str, str]:
        who = {"UPKEEP_EMAIL": WHO["email"], "UPKEEP_PASSWORD": WHO["password"]}
        return {"UPKEEP_URL": f"{url}/api/v2", "UPKEEP_WEBHOOK_SECRET": "in-the-address", **who}

    def expire(self) -> None:
        self.sessions.clear()

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        sent = json.loads(body) if body else {}
        path = path.removeprefix("/api/v2")
        if (method, path) == ("POST", "/auth"):
            if sent != WHO:
                raise Wrong(401, {"success": False, "message": "wrong e-mail or password"})
            self.logins += 1
            self.sessions.add(f"session-{self.logins}")
            return {"success": True, "result": {"sessionToken": f"session-{self.logins}"}}
        if headers["Session-Token"] not in self.sessions:
            raise Wrong(401, {"success": False, "message": "session expired"})
        if (method, path) == ("POST", "/work-orders"):
            return {"success": True, "result": self._made(sent)}
        if (method, path) == ("GET", "/work-orders"):
            assert query["sort"] == "createdAt DESC"
            assert int(query["limit"]) <= 200
            newest = list(reversed(self.rows.values()))
            return {"success": True, "results": newest[int(query["offset"]) :][: int(query["limit"])]}
        found = re.fullmatch(r"/work-orders/(\w+)", path)
        if found is None or found[1] not in self.rows:
            raise Wrong(404, {"success": False, "message": "not found"})
        if method == "PATCH":
            only(sent, FIELDS)
            self._checked(sent)
            self.rows[found[1]] |= sent | {"updatedAt": self._now()}
        return {"success": True, "result": self.rows[found[1]]}

    def _made(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        only(sent, FIELDS - {"status"})
        if not sent.get("title"):
            raise Wrong(400, {"success": False, "message": "title is required"})
        self._checked(sent)
        ref = f"HW2I379Er{len(self.rows)}"
        self.rows[ref] = {"id": ref, "status": "open", "priority": 0, **sent, "updatedAt": self._now()}
        return self.rows[ref]

    def _checked(self, sent: Mapping[str, Any]) -> None:
        if sent.get("status", "open") not in STATUSES or sent.get("priority", 0) not in (0, 1, 2, 3):
            raise Wrong(400, {"success": False, "message": "status or priority is invalid"})

    def _now(self) -> str:
        seconds = self.tick() // 1000
        return f"2026-11-21T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000Z"

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        self.rows[ref] |= {"status": raw, "completionNotes": notes, "updatedAt": self._now()}

    def retitle(self, ref: str, title: str) -> None:
        self.rows[ref]["title"] = title

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["priority"]

    def said(self, ref: str) -> str:
        return str(self.rows[ref]["description"])

    def message(self, ref: str) -> tuple[str, dict[str, str], bytes]:
        return "/in-the-address", {}, json.dumps({"id": ref, "event": "work-order.updated", "n": self.tick()}).encode()
