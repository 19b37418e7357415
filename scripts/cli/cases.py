"""Cases: which there are, and why: reason, limits, margins, diagnosis, evidence.

  telltale cases [list] [--all]            open cases, or all
  telltale cases show ID                   one case with its evidence and its order
  telltale cases show ID --picture FILE    what was seen, as .svg or .png
  telltale cases shelve ID --for 7d --why "the part comes on Monday"
  telltale cases shelve POSITION --until 2026-12-01 --why overhaul
  telltale cases unshelve ID|POSITION      its work order need wait no longer
  telltale cases reopen ID --why TEXT      it is not over: the last case of its position, if none is open there
  telltale cases label ID --mode IMBALANCE --cause WEAR --action ADJUST     its closure codes were wrong

ID may be shortened to its first characters, with or without `case-`. A shelved case is judged as always, but makes and
changes no work order until its time is over; then it comes back by itself. If it rises to ALARM it comes back at once.
A position (or what paths begin with: an asset, an area) is shelved for cases that are open and for those to come,
alarms too.
"""

import argparse
import getpass
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from telltale.adapters.cases import Case, Cases
from telltale.adapters.feature_stream import encode_control
from telltale.adapters.kinesis import put_all
from telltale.adapters.ledger import Ledger, Shelf
from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core import repair
from telltale.core.cases import MOST_SHELVED_MS
from telltale.core.detect import Control, State
from telltale.core.explain import check_next, diagnosis_sentence, evidence_lines, forecast_sentence
from telltale.core.settings import settings_of

from cli import listing
from cli.codes import add_codes, codes_of
from cli.deployment import Deployment, current
from cli.links import evidence_link
from cli.listing import moment
from cli.plant_file import duration_s
from cli.problem import Problem
from cli.staleness import stale_since

DAY_MS = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action="list", all=False, json=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    open_ones = actions.add_parser("list", help="open cases")
    open_ones.add_argument("--all", action="store_true", help="resolved ones too")
    open_ones.add_argument("--json", action="store_true", help="all of them, for programs")
    show = actions.add_parser("show", help="one case with its evidence")
    show.add_argument("id", metavar="ID", help="its first characters are enough")
    show.add_argument("--picture", metavar="FILE", type=Path, help="write what was seen to FILE.svg or FILE.png")
    show.add_argument("--json", action="store_true", help="all of it, for programs")
    shelve = actions.add_parser("shelve", help="no work order until then")
    unshelve = actions.add_parser("unshelve", help="its work order need wait no longer")
    reopen = actions.add_parser("reopen", help="it is not over")
    label = actions.add_parser("label", help="other closure codes for a case that is over")
    for action in (reopen, label):
        action.add_argument("id", metavar="ID", help="its first characters are enough")
        action.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
    reopen.add_argument("--why", required=True, help="in your words")
    add_codes(label)
    for action in (shelve, unshelve):
        action.add_argument("what", metavar="ID|POSITION", help="a case, or a position or what paths begin with")
        action.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
        action.add_argument("--why", required=action is shelve, default="", help="in your words")
    ends = shelve.add_mutually_exclusive_group(required=True)
    ends.add_argument("--until", metavar="T", help="a date or time, UTC unless it says otherwise")
    ends.add_argument("--for", dest="length", metavar="TIME", help="such as 8h or 7d")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    cases = list(Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]).all())
    if args.action in ("shelve", "unshelve"):
        _shelve(deployment, cases, args)
    elif args.action in ("reopen", "label"):
        _say_of(deployment, find(cases, args.id), cases, args)
    elif args.action == "show":
        case = find(cases, args.id)
        if args.picture:
            _fetch(deployment, case, args.picture)
        stale = stale_since(deployment, [] if case.is_over else [case.position])
        link = evidence_link(deployment, case.change.case_id, opened_ms=case.change.opened_ms)
        print(
            _as_json(case, stale, link)
            if args.json
            else "\n".join(_lines(case, cases, stale, link, _trial(deployment, case)))
        )
    else:
        shown = [case for case in cases if args.all or not case.is_over]
        stale = stale_since(deployment, {case.position for case in shown if not case.is_over})
        if args.json:
            print("[" + ",\n".join(_as_json(case, stale) for case in shown) + "]")
        else:
            _list(shown, cases, stale)
            _list_shelves(deployment)
    return 0


def _list(shown: list[Case], cases: Sequence[Case], stale: Mapping[str, int]) -> None:
    if not shown:
        print("no open cases")
        return
    listing.show(_entry(case, cases, stale) for case in sorted(shown, key=lambda case: case.change.opened_ms))


def _list_shelves(deployment: Deployment) -> None:
    """Positions whose cases wait, those without a case too."""
    for position, shelves in sorted(_ledger(deployment).shelves()):
        if shelves[-1].until_ms > _now_ms():
            print(f"shelved {position} until {moment(shelves[-1].until_ms)} UTC by {shelves[-1].by}: {shelves[-1].why}")


def _shelve(deployment: Deployment, cases: Sequence[Case], args: argparse.Namespace) -> None:
    open_cases = [case for case in cases if not case.is_over]
    now = _now_ms()
    until_ms = _end_ms(args.until, args.length, now) if args.action == "shelve" else now
    when = f"until {moment(until_ms)} UTC" if args.action == "shelve" else "no longer"
    if "/" in args.what:
        shelf = Shelf(until_ms, args.by, args.why, now)
        positions = _positions(deployment, args.what)
        if args.action == "unshelve":
            positions = [position for position in positions if _shelved(deployment, position, now)]
        for position in positions:
            _ledger(deployment).shelve(position, shelf)
        there = [case for case in open_cases if case.position in positions]
        if args.action == "unshelve":
            _act(deployment, [case for case in there if case.change.until_ms], args, None, now)
        _look_at(deployment, there)
        print(
            f"{len(positions)} position{'s' * (len(positions) != 1)} shelved {when}: {', '.join(positions) or 'none'}"
        )
        return
    case = find(list(cases), args.what)
    if case.is_over:
        raise Problem(f"{case.change.case_id} is resolved: there is nothing to {args.action}")
    if args.action == "unshelve" and (shelf_there := _shelved(deployment, case.position, now)):
        raise Problem(
            f"{case.position} is shelved until {moment(shelf_there.until_ms)} UTC by {shelf_there.by}",
            f"`telltale cases unshelve {case.position}` ends that.",
        )
    _act(deployment, [case], args, until_ms if args.action == "shelve" else None, now)
    print(f"{case.change.case_id} is shelved {when}; it follows in a few seconds")


def _act(
    deployment: Deployment, cases: Collection[Case], args: argparse.Namespace, until_ms: int | None, now: int
) -> None:
    """Tells detection, which keeps the history of cases."""
    kind = "unshelved" if until_ms is None else "shelved"
    records = [
        (
            case.position,
            encode_control(
                case.position,
                Control(kind, case.change.case_id, now, args.by, until_ms=until_ms, why=args.why or None),
            ),
        )
        for case in cases
    ]
    put_all(deployment.client("kinesis"), deployment.outputs["FeaturesStream"], records)


def _say_of(deployment: Deployment, case: Case, cases: Sequence[Case], args: argparse.Namespace) -> None:
    """Opens a case again, or corrects its closure codes."""
    case_id = case.change.case_id
    if not case.is_over:
        raise Problem(f"{case_id} is open: there is nothing to {args.action}")
    codes = codes_of(args).as_dict() if args.action == "label" else None
    there = [one for one in cases if one.position == case.position and one.change.opened_ms > case.change.opened_ms]
    if args.action == "reopen" and there:
        later = max(there, key=lambda one: one.change.opened_ms).change.case_id
        raise Problem(f"{case_id} is not the last case of {case.position}: {later} is", f"Reopen {later} instead.")
    kind, why = ("labelled", args.note or None) if codes is not None else ("reopened", args.why)
    control = Control(kind, case_id, _now_ms(), args.by, codes, why=why)
    records = [(case.position, encode_control(case.position, control))]
    put_all(deployment.client("kinesis"), deployment.outputs["FeaturesStream"], records)
    print(f"{case_id} is {kind}; it follows in a few seconds")


def _trial(deployment: Deployment, case: Case) -> str | None:
    """How far the trial of the case's repair is, in words."""
    if not case.is_over:
        return None
    dynamodb, outputs = deployment.client("dynamodb"), deployment.outputs
    held = States(dynamodb, outputs["StatesTable"]).get([case.position]).get(case.position)
    state = State.unpack(held.core) if held else State.new()
    if state.past is None or state.past.case_id != case.change.case_id:
        return None
    position = Registry(dynamodb, outputs["RegistryTable"]).positions([case.position]).get(case.position)
    return repair.progress(state, settings_of(position.settings if position else {}))


def _look_at(deployment: Deployment, cases: Collection[Case]) -> None:
    """Has the worker of orders look at these now."""
    for case in cases:
        body = json.dumps({"detail": {"case_id": case.change.case_id}, "look": True})
        deployment.client("sqs").send_message(QueueUrl=deployment.outputs["OrdersQueueUrl"], MessageBody=body)


def _end_ms(until: str | None, length: str | None, now: int) -> int:
    """When a shelf ends, in whole seconds."""
    if length is not None:
        seconds = duration_s(length)
        if seconds is None:
            raise Problem(f'found "{length}", wanted a time with its unit, such as 8h or 7d')
        end_ms = now + seconds * 1000
    else:
        try:
            at = datetime.fromisoformat(until or "")
        except ValueError as error:
            raise Problem(f'found "{until}", wanted a time such as 2026-12-01 or 2026-12-01T14:30:00Z') from error
        end_ms = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    if not now < end_ms <= now + MOST_SHELVED_MS:
        longest = f"at most {MOST_SHELVED_MS // DAY_MS} days from now"
        raise Problem(f"found an end at {moment(end_ms)} UTC, wanted one in the future, {longest}")
    return int(end_ms // 1000 * 1000)


def _positions(deployment: Deployment, beginning: str) -> list[str]:
    known = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).plant().positions
    wanted = beginning.rstrip("/")
    found = sorted(position for position in known if position == wanted or position.startswith(f"{wanted}/"))
    if not found:
        raise Problem(f"no position is or begins with {beginning!r}", "`telltale plant show` lists them.")
    return found


def _shelved(deployment: Deployment, position: str, now: int) -> Shelf | None:
    shelf = _ledger(deployment).shelf(position)
    return shelf if shelf is not None and shelf.until_ms > now else None


def _ledger(deployment: Deployment) -> Ledger:
    table = deployment.outputs["LedgerTable"]
    return Ledger(deployment.client("dynamodb"), table, owner="telltale cases", now_ms=_now_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _entry(case: Case, cases: Sequence[Case], stale: Mapping[str, int]) -> RenderableType:
    change = case.change
    facts = [change.case_id, _order(case, cases), change.state, f"since {moment(change.opened_ms)}"]
    facts += [f"shelved until {moment(change.until_ms)}"] if change.until_ms else []
    facts += [f"stale, last heard {moment(stale[case.position])}"] if case.position in stale else []
    return listing.entry(change.severity, case.position, facts, change.reason)


def _order(case: Case, cases: Sequence[Case]) -> str:
    """The case's order, or the one that names it."""
    own = " ".join(filter(None, ("order", case.order.ref, case.order.state))) if case.order else "no order yet"
    return _in_order(case, cases) or own


def _in_order(case: Case, cases: Sequence[Case]) -> str | None:
    parent = next((one for one in cases if one.change.case_id == case.change.parent), None)
    if parent is None:
        return None
    return " ".join(filter(None, ("in order", parent.order.ref if parent.order else None, "of", parent.change.case_id)))


def find(cases: list[Case], beginning: str) -> Case:
    """The case whose id begins so; Problem if there is none, or several."""
    wanted = "case-" + beginning.lower().removeprefix("case-")
    found = [case for case in cases if case.change.case_id.startswith(wanted)]
    if not found:
        raise Problem(f"no case begins with {wanted!r}", "`telltale cases list --all` shows them.")
    if len(found) > 1:
        raise Problem(f"{wanted!r} begins {len(found)} cases: {', '.join(case.change.case_id for case in found)}")
    return found[0]


def _fetch(deployment: Deployment, case: Case, file: Path) -> None:
    """Writes the picture of the case to `file`, in the form that its name ends in."""
    drawn = case.change.evidence.get("picture")
    kind = file.suffix.lower()
    if kind not in (".svg", ".png"):
        raise Problem(f"{file}: found {kind or 'no ending'!r}, wanted a file that ends in .svg or .png")
    if drawn is None:
        why = diagnosis_sentence(case.change.evidence) or "nobody looked at its waveforms"
        raise Problem(f"{case.change.case_id} has no picture: diagnosis {why}")
    s3, bucket = deployment.client("s3"), deployment.outputs["LakeBucket"]
    try:
        body = s3.get_object(Bucket=bucket, Key=drawn.removesuffix(".svg") + kind)["Body"].read()
    except s3.exceptions.NoSuchKey as missing:
        raise Problem(
            f"the picture {drawn} is not there", "Is it a moment old? It is drawn after the case."
        ) from missing
    file.write_bytes(body)
    print(f"wrote {file}", file=sys.stderr)


def _lines(
    case: Case, cases: Sequence[Case], stale: Mapping[str, int], link: str | None, trial: str | None
) -> list[str]:
    change, order = case.change, case.order
    heard_ms = stale.get(case.position)
    facts = {
        "position": case.position,
        "severity": change.severity,
        "state": change.state,
        "since": f"{moment(change.opened_ms)} UTC",
        "last change": f"{change.change}, revision {change.revision}, {moment(change.t_ms)} UTC",
        "why": change.reason,
        "diagnosis": diagnosis_sentence(change.evidence),
        "forecast": forecast_sentence(change.evidence),
        "check next": check_next(change.evidence),
        "picture": "yes: --picture FILE.svg or FILE.png fetches it" if change.evidence.get("picture") else None,
        "by": change.by,
        "closure": ", ".join(filter(None, (change.closure or {}).values())),
        "repair": trial,
        "shelved": f"until {moment(change.until_ms)} UTC" if change.until_ms else None,
        "stale": None if heard_ms is None else f"last heard {moment(heard_ms)} UTC, so what it says is old",
        "order": _in_order(case, cases) or (" ".join(filter(None, (order.state, order.ref))) if order else "none yet"),
        "order refused": order.problem if order else None,
        "page": link,
    }
    lines = [change.case_id, *(f"  {name:13} {fact}" for name, fact in facts.items() if fact)]
    evidence = [f"    {line}" for line in evidence_lines(change.evidence)]
    lines += ["  evidence", *evidence] if evidence else []
    return [*lines, "  history", *(f"    {_told(one)}" for one in case.history)] if case.history else lines


def _told(one: Mapping[str, Any]) -> str:
    """One change of a case: when, what, why; and when the line heard of it, where that is another time."""
    heard_ms = one.get("heard_ms")
    late = f" (heard {moment(heard_ms)})" if heard_ms and moment(heard_ms) != moment(one["t_ms"]) else ""
    return f"{moment(one['t_ms'])} {one['change']}, {one['severity']}: {one['reason']}{late}"


def _as_json(case: Case, stale: Mapping[str, int], link: str | None = None) -> str:
    order = case.order.__dict__ if case.order else None
    more = {"order": order, "stale_since_ms": stale.get(case.position), "history": case.history, "page": link}
    return json.dumps({"position": case.position, **case.change.__dict__, **more}, indent=2)
