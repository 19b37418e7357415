"""Cases: which there are, and why: reason, limits, margins, diagnosis, evidence.

  telltale cases [list] [--all]            open cases, or all
  telltale cases show ID                   one case with its evidence and its order
  telltale cases show ID --picture FILE    what was seen, as .svg or .png

ID may be shortened to its first characters, with or without `case-`.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import RenderableType
from telltale.adapters.cases import Case, Cases
from telltale.core.explain import check_next, diagnosis_sentence, evidence_lines

from cli import listing
from cli.deployment import Deployment, current
from cli.listing import moment
from cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action="list", all=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    open_ones = actions.add_parser("list", help="open cases")
    open_ones.add_argument("--all", action="store_true", help="resolved ones too")
    show = actions.add_parser("show", help="one case with its evidence")
    show.add_argument("id", metavar="ID", help="its first characters are enough")
    show.add_argument("--picture", metavar="FILE", type=Path, help="write what was seen to FILE.svg or FILE.png")
    show.add_argument("--json", action="store_true", help="all of it, for programs")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    cases = list(Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]).all())
    if args.action == "show":
        case = find(cases, args.id)
        if args.picture:
            _fetch(deployment, case, args.picture)
        print(_as_json(case) if args.json else "\n".join(_lines(case)))
    else:
        _list([case for case in cases if args.all or case.change.change != "resolved"])
    return 0


def _list(cases: list[Case]) -> None:
    if not cases:
        print("no open cases")
        return
    listing.show(_entry(case) for case in sorted(cases, key=lambda case: case.change.opened_ms))


def _entry(case: Case) -> RenderableType:
    change = case.change
    order = f"order {case.order.ref or ''} {case.order.state}" if case.order else "no order yet"
    facts = [change.case_id, order, change.state, f"since {moment(change.opened_ms)}"]
    return listing.entry(change.severity, case.position, facts, change.reason)


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


def _lines(case: Case) -> list[str]:
    change, order = case.change, case.order
    facts = {
        "position": case.position,
        "severity": change.severity,
        "state": change.state,
        "since": f"{moment(change.opened_ms)} UTC",
        "last change": f"{change.change}, revision {change.revision}, {moment(change.t_ms)} UTC",
        "why": change.reason,
        "diagnosis": diagnosis_sentence(change.evidence),
        "check next": check_next(change.evidence),
        "picture": "yes: --picture FILE.svg or FILE.png fetches it" if change.evidence.get("picture") else None,
        "by": change.by,
        "closure": ", ".join(filter(None, (change.closure or {}).values())),
        "order": " ".join(filter(None, (order.state, order.ref))) if order else "none yet",
        "order refused": order.problem if order else None,
    }
    lines = [change.case_id, *(f"  {name:13} {fact}" for name, fact in facts.items() if fact)]
    evidence = [f"    {line}" for line in evidence_lines(change.evidence)]
    return [*lines, "  evidence", *evidence] if evidence else lines


def _as_json(case: Case) -> str:
    order = case.order.__dict__ if case.order else None
    return json.dumps({"position": case.position, **case.change.__dict__, "order": order}, indent=2)
