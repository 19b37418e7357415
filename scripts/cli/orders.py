"""Work orders of the built-in logbook: list, read, acknowledge, close.

  telltale orders list [--all]    open orders, or all
  telltale orders show KEY        one order with its history
  telltale orders ack KEY         somebody owns it; the position goes to NEEDS_MAINTENANCE
  telltale orders close KEY --mode IMBALANCE --cause WEAR --action ADJUST

KEY may be shortened to its first characters. Closing needs the three codes: they are the label that detection
is measured by, and NO_ISSUE says that the alarm was false.
"""

import argparse
import getpass
import json
import time

from rich.console import RenderableType
from telltale.adapters.cmms.logbook import Entry, Logbook, matching
from telltale.adapters.cmms.port import Status
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused

from cli import listing
from cli.codes import add_codes, codes_of
from cli.deployment import Deployment, current
from cli.links import evidence_link
from cli.listing import moment
from cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    open_ones = actions.add_parser("list", help="open orders")
    open_ones.add_argument("--all", action="store_true", help="closed ones too")
    show = actions.add_parser("show", help="one order with its history")
    ack = actions.add_parser("ack", help="somebody owns it")
    close = actions.add_parser("close", help="it is done: say what was found, why, and what was done")
    for action in (show, ack, close):
        action.add_argument("key", metavar="KEY", help="the order's key, or its first characters")
    for action in (ack, close):
        action.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
    add_codes(close)


def run(args: argparse.Namespace) -> int:
    deployment = current()
    logbook = Logbook(deployment.client("dynamodb"), deployment.outputs["LogbookTable"], _now_ms)
    if args.action == "list":
        _list(logbook, everything=args.all)
        return 0
    entry = _find(logbook, args.key)
    if args.action == "show":
        _show(entry, evidence_link(deployment, entry.request.case_id, opened_ms=entry.request.opened_ms))
    elif args.action == "ack":
        _move(deployment, logbook, entry, Status.IN_PROGRESS, by=args.by)
    else:
        _move(deployment, logbook, entry, Status.DONE, by=args.by, codes=codes_of(args))
    return 0


def _list(logbook: Logbook, *, everything: bool) -> None:
    entries = sorted(logbook.entries(), key=lambda entry: entry.request.opened_ms)
    shown = [entry for entry in entries if everything or not entry.order.status.final]
    if not shown:
        print("no orders" if everything else "no open orders (--all shows the closed ones)")
        return
    listing.show(map(_entry, shown))


def _entry(entry: Entry) -> RenderableType:
    request = entry.request
    facts = [f"order {request.key}", entry.order.status, f"since {moment(request.opened_ms)}"]
    return listing.entry(request.severity, request.position, facts, request.title)


def _show(entry: Entry, link: str | None) -> None:
    print(f"{entry.request.key}  {entry.order.status}\n{entry.request.title}\n\n{entry.request.description}\n")
    if link and link not in entry.request.description:
        print(f"Page: {link}\n")
    for line in entry.history:
        print(f"{moment(line.t_ms)}  {line.text}")


def _move(
    deployment: Deployment, logbook: Logbook, entry: Entry, status: Status, *, by: str, codes: Closure | None = None
) -> None:
    try:
        order = logbook.set_status(entry.order.ref, status, by=by, closure=codes)
    except CmmsRefused as refused:
        raise Problem(str(refused)) from refused
    body = json.dumps({"detail": {"case_id": entry.request.case_id}, "look": True})
    deployment.client("sqs").send_message(QueueUrl=deployment.outputs["OrdersQueueUrl"], MessageBody=body)
    print(f"{order.key} is {order.status}; {entry.request.case_id} follows in a few seconds")


def _find(logbook: Logbook, key: str) -> Entry:
    found = matching(list(logbook.entries()), key)
    if not found:
        raise Problem(f"no order begins with {key!r}", "`telltale orders list --all` shows them.")
    if len(found) > 1:
        raise Problem(f"{key!r} begins {len(found)} orders: {', '.join(entry.request.key for entry in found)}")
    return found[0]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
