"""Why, and whether it still is so: makes a verdict again from stored bytes, and finds any byte that was changed.

  telltale explain case-ut4munfinmzteh2n4chw     each capture that opened or worsened the case
  telltale explain s-102@1790000000000           a capture, by its id
  telltale explain riverside/…/pump-1@1790000000000:HEALTHY-WARNING     an event, by the id it carries

Shows what was judged, by which limit and from which samples, and what the diagnosis saw. Then compares with what was
received, and computes all of it again: indicators, verdicts, case, diagnosis. Ends with status 0 where everything is
identical, 1 where something differs, naming the file, the column and both digests. docs/evidence.md tells what is
compared, and what happens when history has aged away. A case may be shortened to its first characters.
"""

import argparse
import dataclasses
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telltale import VERSION
from telltale.adapters.basis import CORE, Basis, core_id, limits_id
from telltale.adapters.cases import SAID_OF_IT, Case, Cases
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.cases import is_by_row
from telltale.core.closure import LISTS
from telltale.core.detect import CaseChange
from telltale.core.explain import check_next, diagnosis_sentence, evidence_lines
from telltale.core.plant import Position
from telltale.core.validate import CAPTURE_ID

from cli import recreate
from cli.cases import find
from cli.deployment import HOME, ROOT, current
from cli.plant import Change
from cli.problem import Problem
from cli.recreate import Answer, Question
from cli.shelf import Shelf

CASE = re.compile(r"(case-)?([a-z2-7]{1,20})(#(\d+))?")
EVENT = re.compile(r"(.+)@(\d{12,14}):(.+)")
FOUND = ("capture_id", "position", "sensor", "t")
SHOWN = 20  # differences on the page; --json has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="CASE|EVENT", help="a case, an event's id, or a capture's id")
    parser.add_argument("position", nargs="?", metavar="POSITION", help="of a capture whose id several positions have")
    parser.add_argument("--no-history", action="store_true", help="leave out replaying what led there")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    shelf = Shelf(deployment)
    questions = asked(shelf, args.what, args.position)
    names = {question.position for question in questions}
    live = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).positions(names)
    answers = [
        recreate.answer(shelf, one, live.get(one.position, Position(one.position)), with_history=not args.no_history)
        for one in questions
    ]
    identical = all(one.is_identical for one in answers)
    if args.json:
        documents = [document(one) for one in answers]
        print(json.dumps({"identical": identical, "explained": documents}, indent=1, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(page(one, args.what)) for one in answers))
    return 0 if identical else 1


# ---- what is meant ---------------------------------------------------------------------------------


def asked(shelf: Shelf, what: str, position: str | None = None) -> list[Question]:
    """What to make again: of a case each change that a capture made. Problem where there is no such thing."""
    case, event = CASE.fullmatch(what), EVENT.fullmatch(what)
    if case and position is None and (case[1] or not _captures(shelf, {"capture_id": what})):
        return _of_case(shelf, case[2], None if case[4] is None else int(case[4]))
    if event and position is None:
        where = "position" if "/" in event[1] else "sensor"
        rows = _captures(shelf, {where: event[1], "t": datetime.fromtimestamp(int(event[2]) / 1000, UTC)})
    elif CAPTURE_ID.fullmatch(what):
        rows = _captures(shelf, {"capture_id": what} | ({"position": position} if position else {}))
    else:
        raise Problem(f'found "{what}", wanted a case, the id of an event, or that of a capture')
    places = {(row["position"], row["capture_id"], row["t"]): None for row in rows}
    if not places:
        damaged = [str(file) for file in shelf.files.values() if file.is_changed]
        then = "; ".join(damaged) or '`telltale query "SELECT …"` finds one.'
        raise Problem(f"the lake has no capture that {what} is about", then)
    if len({place for place, _, _ in places}) > 1:
        named = ", ".join(sorted({place for place, _, _ in places}))
        raise Problem(f"several positions have a capture {what}: {named}", "Name one of them behind it.")
    return [Question(place, name, round(t)) for place, name, t in places]


def _captures(shelf: Shelf, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in wanted.items()}
    if any("'" in text for text in texts.values()):
        raise Problem("found a quotation mark, wanted an id")
    return shelf.rows(schema.CAPTURES, " and ".join(f"{name} = '{text}'" for name, text in texts.items()), wanted)


def _of_case(shelf: Shelf, beginning: str, revision: int | None) -> list[Question]:
    deployment = shelf.deployment
    cases = Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"])
    case = find(list(cases.all()), beginning)
    changes = [one for one in _log(shelf, case) if revision in (None, one.revision)]
    if not changes:
        raise Problem(
            f"{case.change.case_id} has no such change that a capture made"
            if revision
            else f"the lake has no change of {case.change.case_id} any more that a capture made"
        )
    return [
        Question(case.position, capture, change.t_ms, change, _copies(change, case))
        for change in changes
        for capture in change.evidence["capture_ids"]
    ]


def _log(shelf: Shelf, case: Case) -> list[CaseChange]:
    """The case's changes that captures made: of the lake, or what the case itself still shows of the last one."""
    place = case.position.replace("'", "''")
    rows = shelf.rows(schema.CASES, f"position = '{place}'", {"case_id": case.change.case_id})
    found = {row["revision"]: _change(row) for row in rows}
    made = [found[revision] for revision in sorted(found) if found[revision].evidence.get("capture_ids")]
    of_capture = is_by_row(case.change) and case.change.evidence.get("capture_ids")
    kept = case.change.change not in SAID_OF_IT  # the evidence of such a change is in the lake alone
    if of_capture and kept and case.change.revision not in {one.revision for one in made}:
        made.append(case.change)
    return made


def _copies(change: CaseChange, case: Case) -> tuple[str, ...]:
    """How the row of the lake differs from the case itself, which keeps the evidence of the last capture."""
    mine = case.change
    if mine.evidence.get("capture_ids") != change.evidence["capture_ids"] or mine is change:
        return ()
    names = [name for name in mine.evidence if mine.evidence[name] != change.evidence.get(name)]
    names += [name for name in ("reason", "rule", "channel", "fault") if getattr(mine, name) != getattr(change, name)]
    return tuple(f"cases, {name}: the row in the lake is not what the case itself has" for name in names)


def _change(row: Mapping[str, Any]) -> CaseChange:
    given = {field.name: row[field.name] for field in dataclasses.fields(CaseChange) if field.name in row}
    times = {"t_ms": row["t"], "opened_ms": row["opened_at"]}
    closure = {name: row[name] for name in LISTS if row.get(name) is not None}
    try:
        evidence = json.loads(row["evidence"] or "{}")
    except ValueError:  # a changed byte; what is left is judged without it
        evidence = {}
    texts = {name: given.get(name) or "" for name in ("state", "rule", "channel", "reason")}
    return CaseChange(**{**given, **texts, **times, "evidence": evidence, "closure": closure or None})


# ---- for the eye -----------------------------------------------------------------------------------


def page(answer: Answer, what: str) -> list[str]:
    """What was judged, why, and whether it can be made again."""
    question, change = answer.question, answer.question.change
    head = f"{change.case_id}, {change.change}, revision {change.revision}" if change else question.capture_id
    first = answer.captures[0] if answer.captures else {}
    facts = {
        "position": question.position,
        "capture": f"{question.capture_id}, {_second(question.t_ms)}",
        "received": f"{_second(first['received_at'])} through {first['gateway']}" if first else None,
        "severity": change.severity if change else None,
        "why": change.reason if change else None,
        "diagnosis": diagnosis_sentence(change.evidence) if change else None,
        "check next": check_next(change.evidence) if change else None,
        "picture": change.evidence.get("picture") if change else None,
    }
    lines = [head, *(f"  {name:11} {fact}" for name, fact in facts.items() if fact)]
    shown = evidence_lines(change.evidence) if change else [*map(_verdict, answer.verdicts)]
    lines += ["  evidence", *(f"    {line}" for line in shown)]
    lines += ["  judged with", *(f"    {line}" for line in _versions(answer, what))]
    lines += ["  made again", *(f"    {line}" for line in (*answer.done, *answer.notes))]
    if answer.is_identical:
        return [*lines, "re-created: identical"]
    told = [f"  {one}" for one in answer.differences[:SHOWN]]
    more = len(answer.differences) - SHOWN
    return [
        *lines,
        f"NOT identical: {len(answer.differences)} differences",
        *told,
        *([f"  and {more} more"] if more > 0 else []),
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    return evidence_lines({"verdicts": [row]})[0]


def _second(t_ms: float) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _versions(answer: Answer, what: str) -> Iterator[str]:
    """Code, limits and settings: what judged then, and what would now."""
    versions = sorted({row["code_version"] for row in answer.verdicts if row.get("code_version")})
    then, now = answer.then, f"{VERSION}+{core_id()}"
    was = f"{then.version}+{then.core}" if then else ", ".join(versions) or "unknown"
    yield f"code {was}" + (", as now" if was == now else f"; now {now}")
    if was != now and then is not None:
        yield from _rerun(then, what)
    if then is None:
        yield "limits and settings of now: only the captures that change a case keep those of then"
        return
    yield f"limits {then.limits}" + (", as now" if then.limits == limits_id() else f"; now {limits_id()}")
    changed = list(Change("position", then.position.id, then.position, answer.live).fields())
    yield "the position as it is set now" if not changed else "the position was set otherwise:"
    yield from (f"  {name}: {old}; now {new}" for name, old, new in changed)


def _rerun(then: Basis, what: str) -> Iterator[str]:
    """How to have the code of then make it again."""
    commit = commit_of(then.core)
    if commit is None:
        yield f"no commit of this checkout has the core {then.core}: look where that version was deployed from"
        return
    folder = f"../telltale-{commit[:12]}"
    yield "that code makes it again with:"
    yield f"  git worktree add {folder} {commit[:12]} && cd {folder}"
    yield f"  TELLTALE_HOME={shlex.quote(str(HOME))} scripts/telltale explain {shlex.quote(what)}"


def commit_of(core: str, root: Path = ROOT) -> str | None:
    """The newest commit whose core has this id; None where git does not know one."""
    folder = CORE.relative_to(ROOT)
    try:
        listed = _git(root, "log", "--format=%H", "--", str(folder)).split()
        trees = _git(
            root, "cat-file", "--batch-check=%(objectname)", feed="".join(f"{one}:{folder}\n" for one in listed)
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return next((one for one, tree in zip(listed, trees.splitlines(), strict=True) if tree.startswith(core)), None)


def _git(root: Path, *arguments: str, feed: str = "") -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], input=feed, capture_output=True, text=True, check=True
    ).stdout


# ---- for programs ----------------------------------------------------------------------------------


def document(answer: Answer) -> dict[str, Any]:
    """Plain values; times in ms since 1970."""
    question, change, then = answer.question, answer.question.change, answer.then
    return {
        "position": question.position,
        "capture_id": question.capture_id,
        "t_ms": question.t_ms,
        "case_id": change.case_id if change else None,
        "revision": change.revision if change else None,
        "identical": answer.is_identical,
        "differences": [dataclasses.asdict(one) for one in answer.differences],
        "done": answer.done,
        "notes": answer.notes,
        "files": list(answer.files),
        "captures": [dict(row) for row in answer.captures],
        "verdicts": [dict(row) for row in answer.verdicts],
        "evidence": dict(change.evidence) if change else None,
        "then": {"version": then.version, "core": then.core, "limits": then.limits} if then else None,
        "now": {"version": VERSION, "core": core_id(), "limits": limits_id()},
    }
