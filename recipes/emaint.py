"""eMaint X4, API v2. Settings: EMAINT_URL, EMAINT_USER, EMAINT_PASSWORD, EMAINT_AGENT, EMAINT_FIELDS (a JSON object:
our word → your column of the table `work`), EMAINT_PRIORITIES, STATUSES.

Traps: everything is rows of tables, and each plant names and requires its own columns; a token holds only with the
Xt-UserAgent that it was made with; there are no webhooks. The names of the methods below are those of the published
collection as far as it could be read; compare them with yours.
"""

import json
from collections.abc import Mapping
from typing import Any

from recipes.receiver import Api, Order, Refused, Settings, Text, codes, in_words, meaning, ms, read, statuses, word

LOGIN, READ, ADD, CHANGE = "/GetLoginToken", "/GetAnyData", "/AddRecord", "/UpdateRecord"
TABLE = "work"
FIELDS = {
    "ref": "wo",
    "title": "brief_desc",
    "description": "wo_text",
    "status": "status",
    "priority": "priority",
    "asset": "compid",
    "notes": "comp_notes",
    "changed_ms": "last_edit",
}
STATUSES = {"O": "OPEN", "P": "IN_PROGRESS", "W": "ON_HOLD", "H": "DONE", "X": "CANCELLED"}
PRIORITIES = {"WARNING": "2", "ALARM": "1"}


class Emaint:
    def __init__(self, settings: Settings) -> None:
        self.who = {"username": settings["EMAINT_USER"], "password": settings["EMAINT_PASSWORD"]}
        self.agent = {"Xt-UserAgent": settings.get("EMAINT_AGENT", "Telltale")}
        self.open = Api(settings["EMAINT_URL"], lambda: self.agent)
        self.api = Api(self.open.base, lambda: {**self.agent, "Authorization": f"Bearer {self.token}"})
        self.fields: Mapping[str, str] = {**FIELDS, **json.loads(settings.get("EMAINT_FIELDS") or "{}")}
        self.priorities: Mapping[str, str] = json.loads(settings.get("EMAINT_PRIORITIES") or json.dumps(PRIORITIES))
        self.statuses = statuses(settings, STATUSES)
        self.token = ""

    def find(self, key: str) -> Order | None:
        return self._one("description", "like", f"%[tt:{key}]%")

    def create(self, order: Order) -> Order:
        document = {
            "title": order["title"],
            "description": Text(order["description"], order["key"]).write(),
            "status": word("OPEN", self.statuses),
            "priority": self.priorities[order["severity"]],
            **({"asset": order["asset"]} if order["asset"] else {}),
        }
        payload = {**{self.fields[name]: value for name, value in document.items()}, **order["fields"]}
        made = self._ask(ADD, {"table": TABLE, "payload": payload})
        return self._known(str(made["record"][self.fields["ref"]]))

    def get(self, ref: str) -> Order | None:
        return self._one("ref", "=", ref)

    def update(self, ref: str, order: Order) -> Order:
        changes = {"title": order["title"]} if "title" in order else {}
        changes |= {"priority": self.priorities[order["severity"]]} if "severity" in order else {}
        if "description" in order:
            text = self._text(ref)
            changes["description"] = Text(order["description"], text.key, text.updates).write()
        self._change(ref, changes)
        return self._known(ref)

    def comment(self, ref: str, text: str, key: str) -> None:
        now = self._text(ref)
        if now.add(text, key) != now:
            self._change(ref, {"description": now.add(text, key).write()})

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None:
        said = {"notes": f"{in_words(closure)}\nby {by}"} if closure else {}
        self._change(ref, {"status": word(status, self.statuses), **said})

    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        raise Refused(401, "eMaint sends no messages")

    def _text(self, ref: str) -> Text:
        [row] = self._rows("ref", "=", ref)
        return read(row[self.fields["description"]])

    def _change(self, ref: str, changes: Mapping[str, Any]) -> None:
        payload = {self.fields[name]: value for name, value in changes.items()}
        self._ask(CHANGE, {"table": TABLE, "key": {self.fields["ref"]: ref}, "payload": payload})

    def _known(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise Refused(422, f"there is no work order {ref}")
        return order

    def _one(self, name: str, operator: str, value: str) -> Order | None:
        rows = self._rows(name, operator, value)
        return self._order(rows[0]) if rows else None

    def _rows(self, name: str, operator: str, value: str) -> list[dict[str, Any]]:
        wanted = {"field": self.fields[name], "operator": operator, "value": value}
        columns = list(self.fields.values())
        request = {"table": TABLE, "columns": columns, "filters": [wanted], "orderby": self.fields["ref"]}
        found: list[dict[str, Any]] = self._ask(READ, request)["data"]
        return found

    def _ask(self, method: str, body: Any) -> Any:
        """An answer; signs in first, and anew once where the token no longer holds."""
        for last in (False, True):
            if not self.token:
                self.token = str(self.open.ask("POST", LOGIN, self.who)["token"])
            try:
                return self.api.ask("POST", method, body)
            except Refused as refused:
                if refused.status != 403 or last:
                    raise
                self.token = ""
        raise AssertionError

    def _order(self, row: Mapping[str, Any]) -> Order:
        shown = {name: row[column] for name, column in self.fields.items()}
        status, text = meaning(shown["status"], self.statuses), read(shown["description"])
        return {
            "ref": str(shown["ref"]),
            "key": text.key or "-",
            "status": status,
            "raw_status": shown["status"],
            "changed_ms": ms(shown["changed_ms"]),
            "closure": codes(shown["notes"] or "") if status == "DONE" else None,
            "title": shown["title"],
            "description": text.report,
            "severity": str(shown["priority"]),
        }


recipe = Emaint
