"""A stand-in for eMaint X4's API v2, as far as its collection could be read: rows of tables, columns that the plant
requires, tokens that hold with one Xt-UserAgent only. The names and forms of its methods are assumed, and said so.
"""

import json
from collections.abc import Mapping
from typing import Any

from tests.cmms.recipes.standin import StandIn, Wrong

WHO = {"username": "telltale", "password": "of eMaint"}
COLUMNS = {"wo", "brief_desc", "wo_text", "status", "priority", "compid", "comp_notes", "last_edit", "wo_type"}
REQUIRED = {"brief_desc", "status", "wo_type"}
STATUSES = ("O", "P", "W", "H", "X", "Z")


class Emaint(StandIn):
    done = "H"
    started = "P"

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, str] = {}

    def settings(self, url: str) -> dict[str, str]:
        return {"EMAINT_URL": url, "EMAINT_USER": WHO["username"], "EMAINT_PASSWORD": WHO["password"]}

    def expire(self) -> None:
        self.tokens.clear()

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        sent, agent = json.loads(body), headers["Xt-UserAgent"]
        if method != "POST":
            raise Wrong(405, {"message": "Not Allowed"})
        if path == "/GetLoginToken":
            if sent != WHO:
                raise Wrong(401, {"message": "Unauthorized"})
            token = f"jwt-{len(self.tokens) + self.tick()}"
            self.tokens[token] = agent
            return {"token": token}
        token = (headers["Authorization"] or "").removeprefix("Bearer ")
        if self.tokens.get(token) != agent:
            raise Wrong(401, {"message": "the token was not made for this agent, or has expired"})
        if sent["table"] != "work":
            raise Wrong(404, {"message": "no such table"})
        if path == "/GetAnyData":
            [one] = sent["filters"]
            if set(sent["columns"]) - COLUMNS:
                raise Wrong(400, {"message": "no such column"})
            found = [row for row in self.rows.values() if self._fits(row, one)]
            return {"data": [{name: row.get(name) for name in sent["columns"]} for row in found]}
        payload = sent["payload"]
        if set(payload) - COLUMNS or payload.get("status", "O") not in STATUSES:
            raise Wrong(400, {"message": "unknown column or status"})
        if path == "/AddRecord":
            if REQUIRED - set(payload):
                raise Wrong(400, {"message": f"mandatory: {REQUIRED - set(payload)}"})
            ref = f"WO{1000 + len(self.rows)}"
            self.rows[ref] = {"wo": ref, "comp_notes": ""}
        elif path == "/UpdateRecord":
            ref = sent["key"]["wo"]
        else:
            raise Wrong(405, {"message": "Not Allowed"})
        self.rows[ref] |= payload | {"last_edit": str(self.tick())}
        return {"record": self.rows[ref]}

    def _fits(self, row: Mapping[str, Any], one: Mapping[str, str]) -> bool:
        value = str(row[one["field"]])
        return value == one["value"] if one["operator"] == "=" else one["value"].strip("%") in value

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        self.rows[ref] |= {"status": raw, "comp_notes": notes, "last_edit": str(self.tick())}

    def retitle(self, ref: str, title: str) -> None:
        self.rows[ref]["brief_desc"] = title

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["priority"]

    def said(self, ref: str) -> str:
        return str(self.rows[ref]["wo_text"])
