"""ERPNext, as Task (the default) or Issue. Settings: ERPNEXT_URL, ERPNEXT_KEY, ERPNEXT_SECRET, ERPNEXT_DOCTYPE,
ERPNEXT_KEY_FIELD, ERPNEXT_ASSET_FIELD, ERPNEXT_WEBHOOK_SECRET.

Never Asset Repair: making one sets the asset "Out of Order" (asset_repair.py, update_status), and a machine that was
only warned of would stand still in the books. The key is a custom field that is unique, so that a second order of the
same key cannot be made. Descriptions and comments are HTML. A webhook's signature covers the body and not the time.
"""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from recipes.receiver import (
    CANCELLED,
    Api,
    Order,
    Refused,
    Settings,
    codes,
    in_words,
    meaning,
    ms,
    same,
    statuses,
    word,
)

STATUSES = {
    "Task": {
        "Open": "OPEN",
        "Working": "IN_PROGRESS",
        "Pending Review": "ON_HOLD",
        "Overdue": "OPEN",
        "Completed": "DONE",
        "Cancelled": "CANCELLED",
    },
    "Issue": {
        "Open": "OPEN",
        "Replied": "IN_PROGRESS",
        "On Hold": "ON_HOLD",
        "Resolved": "DONE",
        "Closed": "CANCELLED",
    },
}
PRIORITIES = {
    "Task": {"WARNING": "Medium", "ALARM": "Urgent"},
    "Issue": {"WARNING": "Medium", "ALARM": "High"},
}
TITLE = 140  # characters of a Data field


class ErpNext:
    def __init__(self, settings: Settings) -> None:
        who = f"token {settings['ERPNEXT_KEY']}:{settings['ERPNEXT_SECRET']}"
        self.api = Api(settings["ERPNEXT_URL"], lambda: {"Authorization": who})
        self.doctype = settings.get("ERPNEXT_DOCTYPE", "Task")
        if self.doctype not in STATUSES:
            raise ValueError(f"ERPNEXT_DOCTYPE {self.doctype!r} is neither Task nor Issue; never Asset Repair")
        self.path = f"/api/resource/{self.doctype}"
        self.key = settings.get("ERPNEXT_KEY_FIELD", "custom_telltale_key")
        self.asset = settings.get("ERPNEXT_ASSET_FIELD", "")
        self.secret = settings.get("ERPNEXT_WEBHOOK_SECRET", "").encode()
        self.statuses = statuses(settings, STATUSES[self.doctype])
        self.priorities = PRIORITIES[self.doctype]

    def find(self, key: str) -> Order | None:
        query = {"filters": json.dumps([[self.key, "=", key]]), "limit_page_length": 1}
        found = self.api.ask("GET", self.path, query=query)["data"]
        return self.get(str(found[0]["name"])) if found else None

    def create(self, order: Order) -> Order:
        asset = {self.asset: order["asset"]} if self.asset and order["asset"] else {}
        document = {
            "subject": order["title"][:TITLE],
            "description": _html(order["description"]),
            "priority": self.priorities[order["severity"]],
            self.key: order["key"],
            **asset,
            **order["fields"],
        }
        return self._order(self.api.ask("POST", self.path, document)["data"])

    def get(self, ref: str) -> Order | None:
        found = self.api.ask("GET", f"{self.path}/{quote(ref, safe='')}", missing=True)
        return self._order(found["data"]) if found else None

    def update(self, ref: str, order: Order) -> Order:
        changes = {"subject": order["title"][:TITLE]} if "title" in order else {}
        changes |= {"description": _html(order["description"])} if "description" in order else {}
        changes |= {"priority": self.priorities[order["severity"]]} if "severity" in order else {}
        return self._put(ref, changes)

    def comment(self, ref: str, text: str, key: str) -> None:
        mark = f"[tt:{key}]"
        there = [
            ["reference_doctype", "=", self.doctype],
            ["reference_name", "=", ref],
            ["content", "like", f"%{mark}%"],
        ]
        found = self.api.ask("GET", "/api/resource/Comment", query={"filters": json.dumps(there)})["data"]
        if not found:
            document = {
                "comment_type": "Comment",
                "reference_doctype": self.doctype,
                "reference_name": ref,
                "content": _html(f"{text}\n{mark}"),
            }
            self.api.ask("POST", "/api/resource/Comment", document)

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        if closure:
            self.comment(ref, f"{in_words(closure)}\nby {by}", key=f"codes-{status}")
        changes: dict[str, Any] = {}
        if status == "CANCELLED" and status not in self.statuses.values():
            found = self.api.ask("GET", f"{self.path}/{quote(ref, safe='')}")["data"]
            changes["description"] = f"{found['description']}<br>{CANCELLED}"
            status = "DONE"
        self._put(ref, {"status": word(status, self.statuses), **changes})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        wanted = base64.b64encode(hmac.new(self.secret, body, hashlib.sha256).digest()).decode()
        if not self.secret or not same(headers.get("x-frappe-webhook-signature", ""), wanted):
            raise Refused(401, "X-Frappe-Webhook-Signature does not match")
        return str(json.loads(body)["name"])

    def _put(self, ref: str, changes: Mapping[str, Any]) -> Order:
        return self._order(self.api.ask("PUT", f"{self.path}/{quote(ref, safe='')}", changes)["data"])

    def _codes(self, ref: str) -> dict[str, str] | None:
        """The last comment that has codes in it."""
        mine = [
            ["reference_doctype", "=", self.doctype],
            ["reference_name", "=", ref],
            ["comment_type", "=", "Comment"],
        ]
        query = {"filters": json.dumps(mine), "fields": '["content"]', "order_by": "creation desc"}
        found = self.api.ask("GET", "/api/resource/Comment", query=query)["data"]
        return next(filter(None, (codes(_plain(one["content"])) for one in found)), None)

    def _order(self, found: Mapping[str, Any]) -> Order:
        status, text = meaning(found["status"], self.statuses), _plain(found.get("description") or "")
        if status == "DONE" and CANCELLED in text:
            status = "CANCELLED"
        return {
            "ref": str(found["name"]),
            "key": found.get(self.key) or "-",
            "status": status,
            "raw_status": found["status"],
            "changed_ms": ms(found["modified"]),
            "by": found.get("modified_by") if status in ("DONE", "CANCELLED") else None,
            "closure": self._codes(str(found["name"])) if status == "DONE" else None,
            "title": found["subject"],
            "description": text.replace(CANCELLED, "").strip(),
            "severity": found["priority"],
        }


def _html(text: str) -> str:
    return "<br>".join(html.escape(line, quote=False) for line in text.splitlines())


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br */?>|</p>|</div>", "\n", text))).strip()


recipe = ErpNext
