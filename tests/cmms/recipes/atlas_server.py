"""A stand-in for Atlas CMMS, written from its source (Grashjs/cmms: controllers, DTOs, webhook documentation)."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from tests.cmms.recipes.standin import StandIn, Wrong, only

KEY, SECRET = "atlas-api-key", "whsec-atlas"
STATUSES = ("OPEN", "IN_PROGRESS", "ON_HOLD", "COMPLETE")
PRIORITIES = ("NONE", "LOW", "MEDIUM", "HIGH")
POSTED = {
    "title", "description", "priority", "dueDate", "estimatedDuration", "estimatedStartDate", "requiredSignature",
    "category", "location", "team", "primaryUser", "assignedTo", "customers", "files", "asset",
}  # fmt: skip
ASSETS = {7}


class Atlas(StandIn):
    done = "COMPLETE"
    started = "IN_PROGRESS"

    def __init__(self) -> None:
        super().__init__()
        self.comments: dict[str, list[str]] = {}

    def settings(self, url: str) -> dict[str, str]:
        return {"ATLAS_URL": f"{url}/api", "ATLAS_KEY": KEY, "ATLAS_WEBHOOK_SECRET": SECRET}

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        if headers["x-api-key"] != KEY:
            raise Wrong(403, {"message": "Access Denied"})
        sent = json.loads(body) if body else {}
        path = path.removeprefix("/api")
        if (method, path) == ("POST", "/work-orders"):
            return self._made(sent)
        if (method, path) == ("POST", "/work-orders/search"):
            return self._searched(sent)
        if (method, path) == ("POST", "/comments"):
            only(sent, {"content", "workOrder", "files"})
            self.comments[str(sent["workOrder"]["id"])].append(sent["content"])
            return {"id": 1, "content": sent["content"]}
        if found := re.fullmatch(r"/comments/search/(\d+)", path):
            return [{"content": one} for one in self.comments[found[1]]]
        found = re.fullmatch(r"/work-orders/(\d+)(/change-status)?", path)
        if found is None or found[1] not in self.rows:
            raise Wrong(404, {"message": "Not found"})
        row = self.rows[found[1]]
        if method == "PATCH" and found[2]:
            only(sent, {"status", "signature", "feedback"})
            if sent["status"] not in STATUSES:
                raise Wrong(400, {"message": f"{sent['status']} is none of {STATUSES}"})
            self._moved(row, sent["status"], sent.get("feedback", ""))
        elif method == "PATCH":
            only(sent, POSTED)
            # The DTO's own defaults take the place of what was not sent.
            row |= {"priority": "NONE", "estimatedDuration": 0.0, "requiredSignature": False, "title": None}
            row |= {"description": None} | sent | {"updatedAt": self.tick()}
            self._checked(row)
        elif method != "GET":
            raise Wrong(405, {"message": "Method Not Allowed"})
        return row

    def _made(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        only(sent, POSTED)
        number = len(self.rows) + 1
        row = {"id": number, "status": "OPEN", "priority": "NONE", "estimatedDuration": 0.0, "requiredSignature": False}
        row |= {"completedBy": None, "feedback": None, "description": None, **sent, "updatedAt": self.tick()}
        self._checked(row)
        self.rows[str(number)] = row
        self.comments[str(number)] = []
        return row

    def _checked(self, row: Mapping[str, Any]) -> None:
        if not row.get("title"):
            raise Wrong(400, {"message": "title must not be blank"})
        if row["priority"] not in PRIORITIES or len(row["description"] or "") > 10_000:
            raise Wrong(400, {"message": "priority or description cannot be read"})
        if row.get("asset") and row["asset"]["id"] not in ASSETS:
            raise Wrong(404, {"message": "Asset not found"})

    def _searched(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        only(sent, {"filterFields", "pageNum", "pageSize", "direction", "sortField"})
        [wanted] = sent["filterFields"]
        assert wanted["operation"] == "cn"
        found = [row for row in self.rows.values() if wanted["value"] in (row[wanted["field"]] or "")]
        return {"content": found[: sent["pageSize"]], "totalElements": len(found)}

    def _moved(self, row: dict[str, Any], status: str, feedback: str) -> None:
        row |= {"status": status, "feedback": feedback, "updatedAt": self.tick()}
        row["completedBy"] = {"firstName": "Mia", "lastName": "Berg"} if status == "COMPLETE" else None

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        self._moved(self.rows[ref], raw, notes)

    def retitle(self, ref: str, title: str) -> None:
        self.rows[ref]["title"] = title

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["priority"]

    def said(self, ref: str) -> str:
        return "\n".join(self.comments[ref])

    def message(self, ref: str) -> tuple[str, dict[str, str], bytes]:
        body = json.dumps({"workOrderId": int(ref), "newStatus": "COMPLETE", "n": self.tick()}).encode()
        signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        event = {"X-Webhook-Event": "WORK_ORDER_STATUS_CHANGE", "X-Webhook-Id": "random", "X-Webhook-Timestamp": "t=1"}
        return "", {"X-Webhook-Signature": signed, **event}, body
