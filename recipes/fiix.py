"""Fiix. Settings: FIIX_URL (https://<tenant>.macmms.com), FIIX_APP_KEY, FIIX_ACCESS_KEY, FIIX_SECRET_KEY, FIIX_SITE,
FIIX_PRIORITIES (a JSON object: WARNING and ALARM → intPriorityID), STATUSES (names of your statuses).

Traps: every request is a POST to one address, signed over that address, and typed text/plain; errors come with status
200; statuses are rows that each tenant names; a work order has no title but the first line of its description, and its
asset is a row of its own; there are no webhooks.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from recipes.receiver import Api, Order, Refused, Settings, Text, codes, in_words, meaning, ms, read, statuses, word

STATUSES = {
    "Open": "OPEN",
    "Work In Progress": "IN_PROGRESS",
    "On Hold": "ON_HOLD",
    "Closed, Completed": "DONE",
    "Closed, Incomplete": "CANCELLED",
}
VERSION = {"major": 2, "minor": 8, "patch": 1}
FIELDS = "id, strDescription, intWorkOrderStatusID, intPriorityID, strCompletionNotes, dtmDateLastModified"


class Fiix:
    def __init__(self, settings: Settings) -> None:
        self.base = settings["FIIX_URL"].rstrip("/")
        self.app, self.access = settings["FIIX_APP_KEY"], settings["FIIX_ACCESS_KEY"]
        self.secret, self.site = settings["FIIX_SECRET_KEY"].encode(), int(settings["FIIX_SITE"])
        self.priorities: Mapping[str, int] = json.loads(settings["FIIX_PRIORITIES"])
        self.statuses = statuses(settings, STATUSES)

    def find(self, key: str) -> Order | None:
        found = self._find("WorkOrder", FIELDS, "strDescription LIKE ?", f"%[tt:{key}]%")
        return self._order(found[0]) if found else None

    def create(self, order: Order) -> Order:
        assets = self._find("Asset", "id", "strCode = ?", order["asset"]) if order["asset"] else []
        made = self._ask(
            "AddRequest",
            className="WorkOrder",
            fields=FIELDS,
            object={
                "className": "WorkOrder",
                "intSiteID": self.site,
                "intWorkOrderStatusID": self._rows()[word("OPEN", self.statuses)],
                "intPriorityID": self.priorities[order["severity"]],
                "strDescription": _written(order["title"], Text(order["description"], order["key"])),
                **order["fields"],
            },
        )["object"]
        for asset in assets[:1]:
            link = {"className": "WorkOrderAsset", "intWorkOrderID": made["id"], "intAssetID": asset["id"]}
            self._ask("AddRequest", className="WorkOrderAsset", fields="id", object=link)
        return self._order(made)

    def get(self, ref: str) -> Order | None:
        found = self._find("WorkOrder", FIELDS, "id = ?", int(ref)) if ref.isdecimal() else []
        return self._order(found[0]) if found else None

    def update(self, ref: str, order: Order) -> Order:
        title, text = self._text(ref)
        changes: dict[str, Any] = {}
        if "severity" in order:
            changes["intPriorityID"] = self.priorities[order["severity"]]
        if "title" in order or "description" in order:
            new = Text(order.get("description", text.report), text.key, text.updates)
            changes["strDescription"] = _written(order.get("title", title), new)
        return self._changed(ref, changes)

    def comment(self, ref: str, text: str, key: str) -> None:
        title, now = self._text(ref)
        if now.add(text, key) != now:
            self._changed(ref, {"strDescription": _written(title, now.add(text, key))})

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        said = {"strCompletionNotes": f"{in_words(closure)}\nby {by}"} if closure else {}
        self._changed(ref, {"intWorkOrderStatusID": self._rows()[word(status, self.statuses)], **said})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        raise Refused(401, "Fiix sends no messages")

    def _rows(self) -> dict[str, int]:
        """The tenant's statuses: name → id."""
        return {one["strName"]: one["id"] for one in self._find("WorkOrderStatus", "id, strName", "id > ?", 0)}

    def _text(self, ref: str) -> tuple[str, Text]:
        [found] = self._find("WorkOrder", FIELDS, "id = ?", int(ref))
        title, _, rest = found["strDescription"].partition("\n")
        return title, read(rest)

    def _changed(self, ref: str, changes: Mapping[str, Any]) -> Order:
        document = {"className": "WorkOrder", "id": int(ref), **changes}
        names = ", ".join(changes)
        self._ask("ChangeRequest", className="WorkOrder", changeFields=names, fields=FIELDS, object=document)
        order = self.get(ref)
        if order is None:
            raise Refused(422, f"there is no work order {ref}")
        return order

    def _find(self, name: str, fields: str, query: str, *values: Any) -> list[dict[str, Any]]:
        filters = [{"ql": query, "parameters": list(values)}]
        answer = self._ask("FindRequest", className=name, fields=fields, filters=filters, maxObjects=100, orderBy="id")
        found: list[dict[str, Any]] = answer["objects"]
        return found

    def _ask(self, kind: str, **request: Any) -> Any:
        query = {
            "service": "cmms",
            "timestamp": int(time.time() * 1000),
            "appKey": self.app,
            "accessKey": self.access,
            "signatureMethod": "HmacSHA256",
            "signatureVersion": "1",
        }
        address = f"{self.base}/api/?{urlencode(query)}"
        signed = hmac.new(self.secret, address.partition("://")[2].encode(), hashlib.sha256).hexdigest()
        api = Api(address, lambda: {"Authorization": signed})
        answer = api.ask("POST", "", {"_maCn": kind, "clientVersion": VERSION, **request}, media="text/plain")
        error = answer.get("error")
        if error:
            # Fiix tells what went wrong with status 200; 4xx-like codes cannot be told from others for certain.
            raise Refused(403 if error.get("leg") == "AUTHENTICATION" else 422, f"{kind}: {error.get('message')}")
        return answer

    def _order(self, found: Mapping[str, Any]) -> Order:
        title, _, rest = found["strDescription"].partition("\n")
        text, names = read(rest), {number: name for name, number in self._rows().items()}
        raw = names.get(found["intWorkOrderStatusID"], str(found["intWorkOrderStatusID"]))
        status = meaning(raw, self.statuses)
        return {
            "ref": str(found["id"]),
            "key": text.key or "-",
            "status": status,
            "raw_status": raw,
            "changed_ms": ms(found["dtmDateLastModified"]),
            "closure": codes(found.get("strCompletionNotes") or "") if status == "DONE" else None,
            "title": title,
            "description": text.report,
            "severity": str(found["intPriorityID"]),
        }


def _written(title: str, text: Text) -> str:
    return f"{title}\n{text.write()}"


recipe = Fiix
