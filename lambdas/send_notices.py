"""Notices to people: what changed of a case, by message; escalation, reminders and digests, by the clock.

It puts nothing on the bus or on the stream, so that no notice can lead to another.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.kinesis import failures
from telltale.adapters.links import LinkKeys, Links
from telltale.adapters.notices.channels import Channels
from telltale.adapters.notices.office import Office, Outcome
from telltale.adapters.notices.sns import People
from telltale.adapters.notices.table import NoticesTable
from telltale.adapters.registry import Registry
from telltale.adapters.settings import NoticesSettings
from telltale.core.notices import GIVEN_UP, SENT, WAITING
from telltale.core.plant import Site

ONE_CASE_MS = 30_000  # two recipients whose channels take all the time they are given
SITES_S = (
    300.0  # how long a warm container believes which sites there are; a change of the plant is seen that much later
)
MISSED_EVERY_S = 900  # how often cases are looked for whose events never came (guess)
COUNTED = {SENT: "NoticesSent", WAITING: "NoticesWaiting", GIVEN_UP: "NoticesGivenUp"}

log = Logger(service="send_notices")
metrics = Metrics(namespace="Telltale", service="send_notices")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if "Records" in event:
        again = [record["messageId"] for record in event["Records"] if not _taken(record, context)]
        metrics.add_metric("NoticeMessages", MetricUnit.Count, len(event["Records"]) - len(again))
        return failures(*again)
    looked = _by_the_clock(context)
    metrics.add_metric("NoticeLooks", MetricUnit.Count, looked)
    return {"looked": looked}


def _taken(record: Mapping[str, Any], context: LambdaContext) -> bool:
    """Whether the message is done with. One that is not comes again."""
    if not _enough_time(context):
        return False
    try:
        message = json.loads(record["body"])
        if "unsubscribe" in message:
            said = message["unsubscribe"]
            whom = said["recipient"] if "recipient" in said else said["to"]  # as the link itself calls it
            office().unsubscribed(str(said["site"]), str(whom), int(said["at_ms"]))
        elif "test" in message:
            said = message["test"]
            office().tried(str(said["site"]), str(said["recipient"]), by=str(said["by"]), id_=str(said["id"]))
        else:
            office().look(message["detail"]["case_id"])
    except Exception:
        log.exception("message failed", extra={"message_id": record["messageId"], "body": record["body"]})
        metrics.add_metric("NoticesFailed", MetricUnit.Count, 1)
        return False
    return True


def _by_the_clock(context: LambdaContext) -> int:
    """Cases at which something may be due by now, digests, and now and then what no event told of."""
    desk, looked = office(), 0
    for case_id in desk.due():
        if _enough_time(context):
            looked += _looked(desk, case_id)
    try:
        desk.digests(sites(int(time.monotonic() // SITES_S)))
    except Exception:
        log.exception("digests failed")
        metrics.add_metric("NoticesFailed", MetricUnit.Count, 1)
    if time.time() % MISSED_EVERY_S < 60:
        looked += sum(_looked(desk, case_id) for case_id in desk.missed() if _enough_time(context))
    return looked


def _looked(desk: Office, case_id: str) -> bool:
    """Whether the look at one case went well; it is due again until it does, and keeps no other from its turn."""
    try:
        desk.look(case_id)
    except Exception:
        log.exception("case failed", extra={"case_id": case_id})
        metrics.add_metric("NoticesFailed", MetricUnit.Count, 1)
        return False
    return True


def _enough_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() > ONE_CASE_MS


def _told(outcome: Outcome) -> None:
    metrics.add_metric(COUNTED[outcome.state], MetricUnit.Count, 1)
    say = log.info if outcome.state == SENT else log.warning
    say(
        f"notice {outcome.state}",
        extra={
            "site": outcome.site,
            "recipient": outcome.recipient,
            "notice": outcome.once,
            "why": outcome.problem or None,
        },
    )


@cache
def office() -> Office:
    settings, dynamodb = NoticesSettings.from_env(os.environ), client("dynamodb")
    secrets, keys = client("secretsmanager"), LinkKeys(client("secretsmanager"), settings.link_key_arn)
    channels = Channels(
        People(client("sns"), settings.people_topic_arn),
        secrets,
        secrets_arn=settings.cmms_secrets_arn,
        now_ms=now_ms,
    )
    return Office(
        cases=Cases(dynamodb, settings.cases_table),
        table=NoticesTable(dynamodb, settings.notices_table),
        registry=Registry(dynamodb, settings.registry_table),
        channel=channels.of,
        links=Links(settings.pages_url, keys.current, now_ms),
        told=_told,
        now_ms=now_ms,
    )


@cache
def sites(_period: int) -> Iterable[Site]:
    """All sites, read once in a period."""
    settings = NoticesSettings.from_env(os.environ)
    return tuple(Registry(client("dynamodb"), settings.registry_table).plant().sites.values())


def now_ms() -> int:
    return time.time_ns() // 1_000_000
