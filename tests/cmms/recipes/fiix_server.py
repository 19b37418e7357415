"""A stand-in for Fiix's API, written from its guide for use without an SDK and from clients in the open: one address,
signed; text/plain; errors with status 200; statuses that are rows.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.cmms.recipes.standin import StandIn, Wrong

APP, ACCESS, SECRET = "macmmsackp1", "macmmsaakp1", "macmmsaskp1"
STATUSES = {
    11: "Open",
    12: "Work In Progress",
    13: "On Hold",
    14: "Closed, Completed",
    15: "Closed, Incomplete",
    16: "Requested",
}
FIELDS = {
    "id", "className", "intSiteID", "intWorkOrderStatusID", "intPriorityID", "strDescription", "strCompletionNotes",
    "intMaintenanceTypeID", "dtmDateLastModified", "strCode",
}  # fmt: skip


class Fiix(StandIn):
    done = "Closed, Completed"
    started = "Work In Progress"

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[int, int]] = []
        self.host = ""

    def settings(self, url: str) -> dict[str, str]:
        keys = {"FIIX_APP_KEY": APP, "FIIX_ACCESS_KEY": ACCESS, "FIIX_SECRET_KEY": SECRET}
        return {"FIIX_URL": url, "FIIX_SITE": "3", "FIIX_PRIORITIES": '{"WARNING": 21, "ALARM": 22}', **keys}

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        if method != "POST" or path != "/api/":
            raise Wrong(404, {})
        if headers["Content-Type"] != "text/plain":
            return self._error("CONTENT", "Content-Type must be text/plain")
        wanted = {"service": "cmms", "appKey": APP, "accessKey": ACCESS, "signatureMethod": "HmacSHA256"}
        if {name: query.get(name) for name in wanted} != wanted or not query["timestamp"].isdecimal():
            return self._error("AUTHENTICATION", "unknown keys")
        signed = f"{self.host or headers['Host']}{path}?{urlencode(query)}"
        if headers["Authorization"] != hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest():
            return self._error("AUTHENTICATION", "the signature does not match")
        sent = json.loads(body)
        try:
            return {"_maCn": sent["_maCn"].replace("Request", "Response"), **self._do(sent)}
        except Wrong as wrong:
            return self._error("VALIDATION", str(wrong.document))

    def _error(self, leg: str, said: str) -> dict[str, Any]:
        return {"_maCn": "ErrorResponse", "error": {"code": 1, "leg": leg, "message": said, "stackTrace": None}}

    def _do(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        assert set(sent["clientVersion"]) == {"major", "minor", "patch"}
        if sent["_maCn"] == "FindRequest":
            [one] = sent["filters"]
            found = [row for row in self._table(sent["className"]) if self._fits(row, one["ql"], *one["parameters"])]
            names = [name.strip() for name in sent["fields"].split(",")]
            return {"objects": [{name: row.get(name) for name in names} for row in found], "totalObjects": len(found)}
        document = sent["object"]
        if document["className"] != sent["className"]:
            raise Wrong(400, "className differs")
        if sent["className"] == "WorkOrderAsset":
            self.links.append((document["intWorkOrderID"], document["intAssetID"]))
            return {"object": {"id": len(self.links)}, "count": 1}
        if set(document) - FIELDS:
            raise Wrong(400, f"unknown fields {set(document) - FIELDS}")
        if sent["_maCn"] == "AddRequest":
            if not {"intSiteID", "intWorkOrderStatusID", "strDescription"} <= set(document):
                raise Wrong(400, "intSiteID, intWorkOrderStatusID and strDescription are required")
            ref = str(9001 + len(self.rows))
            self.rows[ref] = {"id": int(ref), "strCompletionNotes": None}
        else:
            ref = str(document["id"])
            if {name.strip() for name in sent["changeFields"].split(",")} != set(document) - {"id", "className"}:
                raise Wrong(400, "changeFields does not name what changes")
        if document.get("intWorkOrderStatusID", 11) not in STATUSES or document.get("intPriorityID", 21) not in (
            21,
            22,
        ):
            raise Wrong(400, "no such row")
        self.rows[ref] |= {**document, "dtmDateLastModified": self.tick()}
        return {"object": self.rows[ref], "count": 1}

    def _table(self, name: str) -> list[dict[str, Any]]:
        tables: dict[str, list[dict[str, Any]]] = {
            "WorkOrder": list(self.rows.values()),
            "WorkOrderStatus": [{"id": number, "strName": name} for number, name in STATUSES.items()],
            "Asset": [{"id": 77, "strCode": "7"}],
        }
        return tables[name]

    def _fits(self, row: Mapping[str, Any], query: str, value: Any) -> bool:
        name, operator, mark = query.split()
        assert mark == "?"
        if operator == "LIKE":
            return value.strip("%") in row[name]
        return row[name] == value if operator == "=" else row[name] > value

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        number = next(number for number, name in STATUSES.items() if name == raw)
        changes = {"intWorkOrderStatusID": number, "strCompletionNotes": notes, "dtmDateLastModified": self.tick()}
        self.rows[ref] |= changes

    def retitle(self, ref: str, title: str) -> None:
        _, _, rest = self.rows[ref]["strDescription"].partition("\n")
        self.rows[ref]["strDescription"] = f"{title}\n{rest}"

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["intPriorityID"]

    def said(self, ref: str) -> str:
        return str(self.rows[ref]["strDescription"])
