"""A stand-in for ERPNext's REST interface, written from Frappe's documentation and ERPNext's doctypes: required fields,
lists of values, a unique custom field, HTML, error shapes, and webhooks.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from tests.cmms.recipes.standin import StandIn, Wrong

KEY, SECRET, WEBHOOK = "apikey", "apisecret", "frappe-webhook"
STATUSES = {
    "Task": ("Open", "Working", "Pending Review", "Overdue", "Template", "Completed", "Cancelled"),
    "Issue": ("Open", "Replied", "On Hold", "Resolved", "Closed"),
}
PRIORITIES = {"Task": ("Low", "Medium", "High", "Urgent"), "Issue": ("Low", "Medium", "High")}
FIELDS = {"subject", "description", "priority", "status", "custom_telltale_key", "custom_asset", "project"}


class ErpNext(StandIn):
    done = "Completed"
    started = "Working"

    def __init__(self, doctype: str = "Task") -> None:
        super().__init__()
        self.doctype = doctype
        self.comments: list[dict[str, Any]] = []
        if doctype == "Issue":
            self.done, self.started = "Resolved", "Replied"

    def settings(self, url: str) -> dict[str, str]:
        who = {"ERPNEXT_KEY": KEY, "ERPNEXT_SECRET": SECRET, "ERPNEXT_WEBHOOK_SECRET": WEBHOOK}
        return {"ERPNEXT_URL": url, "ERPNEXT_DOCTYPE": self.doctype, "ERPNEXT_ASSET_FIELD": "custom_asset", **who}

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        if headers["Authorization"] != f"token {KEY}:{SECRET}":
            raise Wrong(401, {"exc_type": "AuthenticationError"})
        sent = json.loads(body) if body else {}
        found = re.fullmatch(r"/api/resource/(\w+)(?:/([\w-]+))?", path)
        if found is None or found[1] not in (self.doctype, "Comment"):
            raise Wrong(404, {"exc_type": "DoesNotExistError"})
        if found[1] == "Comment":
            return {"data": self._commented(method, query, sent)}
        if method == "GET" and not found[2]:
            return {"data": [{"name": row["name"]} for row in self.rows.values() if self._fits(row, query)]}
        if method == "POST":
            return {"data": self._made(sent)}
        row = self.rows.get(found[2])
        if row is None:
            raise Wrong(404, {"exc_type": "DoesNotExistError"})
        if method == "PUT":
            self._checked({**row, **sent})
            row |= {name: value for name, value in sent.items() if name in FIELDS}
            self._stamped(row, "telltale@plant.example")
        return {"data": row}

    def _made(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        row = {"status": "Open", "priority": "Low", "description": ""}
        row |= {name: value for name, value in sent.items() if name in FIELDS}  # Frappe drops what it does not know
        self._checked(row)
        if any(one["custom_telltale_key"] == row["custom_telltale_key"] for one in self.rows.values()):
            raise Wrong(409, {"exc_type": "UniqueValidationError"})
        row["name"] = f"{self.doctype.upper()}-2026-{len(self.rows) + 1:05d}"
        self._stamped(row, "telltale@plant.example")
        self.rows[str(row["name"])] = row
        return row

    def _checked(self, row: Mapping[str, Any]) -> None:
        right = row["status"] in STATUSES[self.doctype] and row["priority"] in PRIORITIES[self.doctype]
        if not row.get("subject") or len(row["subject"]) > 140 or not right:
            raise Wrong(417, {"exc_type": "ValidationError", "_server_messages": "subject, status or priority"})

    def _stamped(self, row: dict[str, Any], by: str) -> None:
        seconds = self.tick() // 1000
        time = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        row |= {"modified": f"2026-11-21 {time}.000000", "modified_by": by}

    def _fits(self, row: Mapping[str, Any], query: Mapping[str, str]) -> bool:
        for name, operator, value in json.loads(query["filters"]):
            if name not in row:
                raise Wrong(417, {"exc_type": "DataError", "message": f"Field not permitted in query: {name}"})
            if not (row[name] == value if operator == "=" else value.strip("%") in row[name]):
                return False
        return True

    def _commented(self, method: str, query: Mapping[str, str], sent: dict[str, Any]) -> Any:
        if method == "POST":
            assert sent["comment_type"] == "Comment"
            self.comments.append(sent)
            return sent
        return [one for one in reversed(self.comments) if self._fits(one, query)]

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        self.rows[ref]["status"] = raw
        self._stamped(self.rows[ref], "mia@plant.example")
        if notes:
            about = {"comment_type": "Comment", "reference_doctype": self.doctype, "reference_name": ref}
            self.comments.append({**about, "content": f"<div>{notes}</div>"})

    def retitle(self, ref: str, title: str) -> None:
        self.rows[ref]["subject"] = title

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["priority"]

    def said(self, ref: str) -> str:
        return "\n".join(one["content"] for one in self.comments if one["reference_name"] == ref)

    def message(self, ref: str) -> tuple[str, dict[str, str], bytes]:
        body = json.dumps({"name": ref, "status": self.done, "n": self.tick()}).encode()
        signed = base64.b64encode(hmac.new(WEBHOOK.encode(), body, hashlib.sha256).digest()).decode()
        return "", {"X-Frappe-Webhook-Signature": signed}, body
