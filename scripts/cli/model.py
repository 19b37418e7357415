"""Models of assets: which there are, which is live, and how one takes the place of another.

  telltale model list [ASSET]                       every version, the live one marked
  telltale model show ASSET [VERSION]               what it learned, how good it is, what the gate says
  telltale model promote ASSET VERSION --why TEXT   let a version be live
  telltale model rollback ASSET --why TEXT          let the version be live that was before
  telltale model export ASSET [VERSION] --out DIR   the model, its report, its formula, and a scorer of plain numpy

`telltale train --asset ASSET` makes a version. VERSION may be shortened to its first characters; left out, it is the
live one. A version never changes, so rolling back is as safe as it is quick.
"""

import argparse
import getpass
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from telltale.adapters.events import Events
from telltale.adapters.models import Live, Models, Moved, NoModel, model_promoted

from cli import listing
from cli.deployment import ROOT, Deployment, current
from cli.lake_models import models_of
from cli.listing import moment
from cli.problem import Problem

PAGE = ROOT / "docs" / "asset-model.md"
SCORER = Path(__file__).with_name("bare_scorer.py")
WORST = 8  # tags whose data quality is shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="every version, the live one marked")
    show = actions.add_parser("show", help="what a version learned, how good it is, what the gate says")
    promote = actions.add_parser("promote", help="let a version be live")
    rollback = actions.add_parser("rollback", help="let the version be live that was before")
    export = actions.add_parser("export", help="the model, its report, its formula and a scorer of plain numpy")
    listed.add_argument("asset", nargs="?", metavar="ASSET", help="its path: site/area/asset")
    for action in (show, promote, rollback, export):
        action.add_argument("asset", metavar="ASSET", help="its path: site/area/asset")
    promote.add_argument("version", metavar="VERSION", help="its first characters are enough")
    for action in (show, export):
        action.add_argument("version", nargs="?", metavar="VERSION", help="its first characters; without: the live one")
    for action in (promote, rollback):
        action.add_argument("--why", required=True, metavar="TEXT", help="kept for good, for whoever asks later")
        action.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    for action in (listed, show):
        action.add_argument("--json", action="store_true", help="all of it, for programs")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    models = models_of(deployment)
    try:
        return _run(args, deployment, models)
    except (NoModel, Moved) as error:
        raise Problem(str(error), "`telltale model list` shows what there is.") from error


def _run(args: argparse.Namespace, deployment: Deployment, models: Models) -> int:
    if args.action == "list":
        _list(models, args.asset, plain=args.json)
    elif args.action == "show":
        _show(models, args.asset, _chosen(models, args.asset, args.version), plain=args.json)
    elif args.action == "export":
        _export(models, args.asset, _chosen(models, args.asset, args.version), args.out)
    elif args.action == "promote":
        version = _chosen(models, args.asset, args.version)
        before = models.live(args.asset)
        _told(deployment, before, models.promote(args.asset, version, by=args.by, why=args.why))
    else:
        _told(deployment, models.live(args.asset), models.rollback(args.asset, by=args.by, why=args.why))
    return 0


def _chosen(models: Models, asset: str, beginning: str | None) -> str:
    """The version that begins so; without a beginning the live one."""
    if beginning is None:
        live = models.live(asset)
        if live is None:
            raise NoModel(f"no model of {asset} is live")
        return live.version
    found = [version for _, version in models.versions(asset) if version.startswith(beginning)]
    if not found:
        raise NoModel(f"no model of {asset} begins with {beginning!r}")
    if len(found) > 1:
        raise Problem(f"{beginning!r} begins {len(found)} models of {asset}: {', '.join(found)}")
    return found[0]


def _told(deployment: Deployment, before: Live | None, now: Live) -> None:
    if before is not None and before.revision == now.revision:
        print(f"{now.version} of {now.asset} is live already")
        return
    Events(deployment.client("events"), deployment.outputs["BusName"]).put([model_promoted(now)])
    print(f"{now.version} of {now.asset} is live" + (f", in place of {before.version}" if before else ""))


def _list(models: Models, asset: str | None, *, plain: bool) -> None:
    found = models.versions(asset)
    live = {one.asset: one for one in models.all_live()}
    rows = [_facts(models, of, version, live.get(of)) for of, version in found]
    if plain:
        print(json.dumps(rows))
        return
    if not rows:
        print(f"no model{'' if asset is None else f' of {asset}'} yet: `telltale train --asset ASSET` makes one")
        return
    listing.show(_entry(row) for row in rows)


def _entry(row: Mapping[str, Any]) -> RenderableType:
    """The version, who made it when, and what the gate says."""
    facts = [row["asset"], f"{row['rows']} rows, {row['tags']} tags", row["model_quality"]]
    if row["trained_at_ms"] is not None:
        facts.append(f"trained {moment(row['trained_at_ms'])} by {row['trained_by']}")
    return listing.entry("live" if row["live"] else "", row["version"], map(str, facts), f"gate: {row['gate']}")


def _facts(models: Models, asset: str, version: str, live: Live | None) -> dict[str, Any]:
    report = models.report(asset, version)
    gate = report.get("gate", {})
    return {
        "asset": asset,
        "version": version,
        "live": live is not None and live.version == version,
        **{name: report.get(name) for name in ("rows", "tags", "model_quality", "trained_at_ms", "trained_by")},
        "gate": f"{'passed' if gate.get('passed') else 'held back'}: {gate['reason']}" if gate else "",
    }


def _show(models: Models, asset: str, version: str, *, plain: bool) -> None:
    stored, report, live = models.get(asset, version), models.report(asset, version), models.live(asset)
    history = [vars(one) for one in live.history] if live else []
    if plain:
        conditions = stored.document["conditions"]
        print(json.dumps({"asset": asset, "version": version, **conditions, "report": report, "promotions": history}))
        return
    first, last = (moment(at_s * 1000) for at_s in stored.learned_s)
    facts = {
        "live": "yes" if live is not None and live.version == version else "no",
        "learned": f"{stored.model.rows} rows from {first} to {last} UTC, one each {stored.every_s:g} s",
        "range": report.get("range"),
        "left out": "; ".join(f"{tag}: {why}" for tag, why in stored.model.left_out.items()),
        "off": stored.off,
        "quality": report.get("model_quality"),
        "gate": _facts(models, asset, version, live)["gate"],
        "code": stored.document["conditions"]["code_version"],
    }
    lines = [f"{asset} {version}", *(f"  {name:10} {fact}" for name, fact in facts.items() if fact)]
    steps = sorted(report.get("smallest_steps", {}).items())
    lines += ["  tags, and the smallest lasting step of each that alarms"] if steps else []
    lines += [f"    {tag:40} {step:.4g}" for tag, step in steps]
    poor = [one for one in report.get("data_quality", ()) if one["grade"] != "High"]
    lines += ["  data", *(f"    {one['tag']:40} {one['grade']}: {_found(one)}" for one in poor[:WORST])] if poor else []
    lines += ["  promotions"] if history else []
    lines += [f"    {moment(one['t_ms'])} {one['version']} by {one['by']}: {one['why']}" for one in history]
    print("\n".join(lines))


def _found(quality: dict[str, Any]) -> str:
    return "; ".join(f"{one['check']}: {one['found']}" for one in quality["findings"])


def _export(models: Models, asset: str, version: str, out: Path) -> None:
    models.get(asset, version)  # whose digest is looked at
    out.mkdir(parents=True, exist_ok=True)
    for name, body in models.files(asset, version).items():
        (out / name).write_bytes(body)
    (out / "FORMULA.md").write_text(formula(PAGE.read_text()))
    (out / "score.py").write_text(SCORER.read_text())
    print(f"{version} of {asset} in {out}: model.json, report.json, FORMULA.md, score.py")


def formula(page: str) -> str:
    """The part of docs/asset-model.md that says how to score."""
    lines = page.splitlines(keepends=True)
    start = next(place for place, line in enumerate(lines) if line.startswith("## The formula"))
    rest: Sequence[str] = lines[start + 1 :]
    end = next((place for place, line in enumerate(rest) if line.startswith("## ")), len(rest))
    return "# The formula\n" + "".join(rest[:end])
