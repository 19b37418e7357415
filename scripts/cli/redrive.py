"""Sends round again what did not get through: dead letters, and cases whose work order has not caught up.

Safe at any time: a message only names a case, and one case stays one order. With --refused also the orders that
the maintenance system refused, once what it complained about has been put right.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from telltale.adapters.cases import PENDING, Cases
from telltale.adapters.ledger import Ledger

from cli.deployment import Deployment, current

PATIENCE_S = 1  # long polling: empty after this is empty, whichever of its servers SQS asked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--refused", action="store_true", help="also the orders that were refused")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    dynamodb = deployment.client("dynamodb")
    cases = Cases(dynamodb, deployment.outputs["CasesTable"])
    ledger = Ledger(dynamodb, deployment.outputs["LedgerTable"], owner="telltale redrive", now_ms=_now_ms)
    dead = sum(1 for _ in _dead_letters(deployment))
    refused = [case_id for case_id in ledger.refused() if ledger.reopen(case_id)] if args.refused else []
    for case_id in refused:
        cases.ask_again(case_id)
    waiting = set(cases.waiting(PENDING, before_ms=_now_ms())) | set(refused)
    for case_id in waiting:
        ledger.hurry(case_id)
    for site in set(cases.sites(sorted(waiting)).values()):
        ledger.outages.hurry(site)
    _send(deployment, waiting)
    print(f"{dead} dead letters, {len(waiting) - len(refused)} waiting cases, {len(refused)} refused orders sent again")
    return 0


def _dead_letters(deployment: Deployment) -> Iterator[str]:
    """Moves each to the queue; taken off the dead letters only once it is there."""
    sqs, outputs = deployment.client("sqs"), deployment.outputs
    for name in ("Orders", "Notices"):
        dead = outputs.get(f"{name}DeadLettersUrl", "")
        while dead and (batch := _receive(sqs, dead)):
            for message in batch:
                sqs.send_message(QueueUrl=outputs[f"{name}QueueUrl"], MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                yield message["MessageId"]


def _receive(sqs: Any, url: str) -> list[dict[str, Any]]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=PATIENCE_S)
    return list(answer.get("Messages", []))


def _send(deployment: Deployment, case_ids: Iterable[str]) -> None:
    sqs = deployment.client("sqs")
    for case_id in sorted(case_ids):
        body = json.dumps({"detail": {"case_id": case_id}})
        sqs.send_message(QueueUrl=deployment.outputs["OrdersQueueUrl"], MessageBody=body)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
