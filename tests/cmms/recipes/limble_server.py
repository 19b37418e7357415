"""A stand-in for Limble's API v2, written from what it documents and from what clients in the open found out live:
`due` is a number of seconds, a new task takes no statusID, statuses are the tenant's, webhooks sign time and token.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from tests.cmms.recipes.standin import StandIn, Wrong, only

CLIENT, SECRET = "LIMBLECLIENT", "LIMBLESECRET"
STATUSES = {0: "Open", 1: "In Progress", 5782: "On Hold", 2: "Complete", 5783: "Waiting for parts"}
POSTED = {"name", "description", "locationID", "type", "due", "priorityID", "assetID", "meta1", "meta2", "meta3"}
PATCHED = {"name", "description", "due", "priorityID", "statusID", "completionNotes", "meta1", "meta2", "meta3"}


class Limble(StandIn):
    done = "Complete"
    started = "In Progress"

    def __init__(self) -> None:
        super().__init__()
        self.comments: dict[str, list[str]] = {}

    def settings(self, url: str) -> dict[str, str]:
        who = {"LIMBLE_CLIENT_ID": CLIENT, "LIMBLE_CLIENT_SECRET": SECRET}
        return {"LIMBLE_URL": f"{url}/v2", "LIMBLE_LOCATION": "12", **who}

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if headers["Authorization"] != wanted:
            raise Wrong(401, {"message": "Unauthorized"})
        sent = json.loads(body) if body else {}
        path = path.removeprefix("/v2")
        if (method, path) == ("GET", "/statuses"):
            return [{"statusID": number, "name": name} for number, name in STATUSES.items()]
        if (method, path) == ("GET", "/tasks"):
            rows = list(self.rows.values())
            rows = [one for one in rows if "tasks" not in query or str(one["taskID"]) in query["tasks"].split(",")]
            rows = [one for one in rows if "meta1" not in query or one.get("meta1") == query["meta1"]]
            return rows[: int(query["limit"])]
        if (method, path) == ("POST", "/tasks"):
            return self._made(sent)
        found = re.fullmatch(r"/tasks/(\d+)(/comments)?", path)
        if found is None or found[1] not in self.rows:
            raise Wrong(404, {"message": "no such task"})
        if found[2]:
            if method == "POST":
                only(sent, {"comment"})
                self.comments[found[1]].append(sent["comment"])
            return [{"comment": one} for one in self.comments[found[1]]]
        if method == "PATCH":
            only(sent, PATCHED)
            if sent.get("statusID", 0) not in STATUSES:
                raise Wrong(400, {"message": "no such status"})
            self._changed(self.rows[found[1]], sent)
        return {"taskID": int(found[1])}

    def _made(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        only(sent, POSTED, "not allowed")
        missing = {"name", "locationID", "type", "due"} - set(sent)
        if missing or not isinstance(sent["due"], int) or sent["due"] > 10_000_000_000:
            raise Wrong(400, {"message": f"due must be seconds; missing: {missing}"})
        ref = str(4201 + len(self.rows))
        self.rows[ref] = {"taskID": int(ref), "statusID": 0, "completionNotes": None, "dateCompleted": 0}
        self.comments[ref] = []
        self._changed(self.rows[ref], sent)
        return {"taskID": int(ref)}

    def _changed(self, row: dict[str, Any], sent: Mapping[str, Any]) -> None:
        row |= {**sent, "lastEdited": self.tick() // 1000}
        if "statusID" in sent:
            row["dateCompleted"] = self.clock // 1000 if sent["statusID"] == 2 else 0

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        number = next(number for number, name in STATUSES.items() if name == raw)
        self._changed(self.rows[ref], {"statusID": number, "completionNotes": notes})

    def retitle(self, ref: str, title: str) -> None:
        self.rows[ref]["name"] = title

    def severity(self, ref: str) -> Any:
        return self.rows[ref]["priorityID"]

    def said(self, ref: str) -> str:
        return "\n".join(self.comments[ref])

    def message(self, ref: str) -> tuple[str, dict[str, str], bytes]:
        timestamp, token = str(int(time.time())), f"token-{self.tick()}"
        key = hashlib.sha256(SECRET.encode()).hexdigest()
        signed = hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
        headers = {"timestamp": timestamp, "token": token, "signature": signed}
        return "", headers, json.dumps({"category": "task", "taskID": int(ref)}).encode()
