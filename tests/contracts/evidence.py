"""A plant on moto with one diagnosed case and its real picture, and the evidence page's function as AWS runs it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import evidence_page
from telltale.adapters.links import Links
from telltale.adapters.pages import FALSE
from telltale.core.plant import Site

from tests.aws_line import Aws, aws
from tests.contracts.function_url import Context, event
from tests.unit.test_cases_are_diagnosed import PUMP, bad
from tests.unit.test_detection import Line

KEY = "k" * 64
SITE = Site("plant", "Riverside water works", "Europe/Vienna")
POSITION = replace(
    PUMP,
    action="Change the bearing at the next stop.",
    spare_part="6205-2RS C3",
    manual="https://example.com/manuals/pump",
)
FALSE_CODES = {**FALSE.as_dict(), "note": ""}


@dataclass
class Evidence:
    """The case, and those who open its page."""

    line: Line
    made: Aws
    key_arn: str
    notices_queue: str

    @property
    def case_id(self) -> str:
        return self.line.case_id()

    def link(
        self, case_id: str = "", *, to: str = "", base: str = "https://p/", key: str = KEY, age_days: int = 0
    ) -> str:
        """age_days : how long ago the case opened, as the link is told."""
        now = self.line.clock.now_ms
        links = Links(base, key.encode, lambda: now - age_days * 86_400_000)
        return links.evidence(case_id or self.case_id, opened_ms=now - age_days * 86_400_000, to=to)

    def unsubscribe(self, to: str) -> str:
        return Links("https://p/", KEY.encode, self.line.clock).unsubscribe("plant", to)

    def asks(self, method: str, link: str, *, body: bytes = b"", content_type: str = "") -> dict[str, Any]:
        """What the function answers."""
        path = "/" + link.split("/", 3)[3]
        return evidence_page.handler(event(method, path, body=body, content_type=content_type), Context())

    def replies(self) -> list[dict[str, Any]]:
        """What the worker of orders was told since the last look."""
        return [json.loads(body) for body in self.made.received(self.made.queue)]

    def told_notices(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.made.received(self.notices_queue)]


@contextmanager
def evidence(*, notices: bool = True) -> Iterator[Evidence]:
    with aws() as made:
        line = Line(made)
        for item in (POSITION, SITE):
            line.registry.put(item)
        line.feed(bad(line))
        made.received(made.queue)  # the event of the case's opening
        key_arn = made.secrets.create_secret(Name="link-key", SecretString=KEY)["ARN"]
        queue = made.sqs.create_queue(QueueName="notices-in")["QueueUrl"]
        environment = {
            "LAKE_BUCKET": "lake",
            "REGISTRY_TABLE": "registry",
            "CASES_TABLE": "cases",
            "ORDERS_QUEUE_URL": made.queue,
            "NOTICES_QUEUE_URL": queue if notices else "",
            "LINK_KEY_ARN": key_arn,
        }
        evidence_page.pages.cache_clear()
        with patch.dict(os.environ, environment), patch.object(evidence_page, "now_ms", line.clock):
            yield Evidence(line, made, key_arn, queue)
        evidence_page.pages.cache_clear()
