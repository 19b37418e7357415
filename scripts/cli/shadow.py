"""A candidate that runs silently beside the live settings, with a scorecard, and then is promoted or stopped.

  telltale shadow start tighter riverside/pump-hall --set growth=1.8 --why "two late warnings in March"
  telltale shadow list
  telltale shadow score tighter
  telltale shadow promote tighter --why "a day earlier, no false one in six weeks" --plant plant.yaml
  telltale shadow stop tighter --why "three false cases on fan-2"

What the candidate would have judged is a replay of what was heard, so it costs the line nothing: docs/backtest.md.
"""

import argparse
import dataclasses
import getpass
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from telltale.adapters.registry import Registry
from telltale.adapters.shadows import Moved, Shadows
from telltale.core.backtest import Window
from telltale.core.plant import Position
from telltale.core.shadow import Act, Shadow, fingerprint
from telltale.core.validate import ID

from cli import backtest, history, plant_edit, plant_file
from cli.arguments import at_least_one
from cli.backtest import How, Overrides, chosen
from cli.deployment import Deployment, current
from cli.history import instant
from cli.listing import moment
from cli.plant import Change, agreed, counted, read_or_explain, show_changes, write
from cli.plant_file import did_you_mean
from cli.problem import Problem

FEW = 3  # positions that are named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="write a candidate down, to be scored from now on")
    listed = actions.add_parser("list", help="shadows that run")
    score = actions.add_parser("score", help="cases of the live settings and of the candidate since it began")
    promote = actions.add_parser(
        "promote", help="make the candidate live: shows what changes, asks, writes the registry"
    )
    stop = actions.add_parser("stop", help="end it, with nothing changed")
    for action in (start, score, promote, stop):
        action.add_argument("name", metavar="NAME")
    start.add_argument("positions", nargs="*", metavar="POSITION", help="paths, or what they begin with")
    start.add_argument("--all", action="store_true", help="every position of the plant")
    start.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a detection setting")
    start.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help="a limit, or none")
    start.add_argument("--machine-class", metavar="CLASS", help="an ISO profile, or none")
    start.add_argument("--from", dest="from_ms", type=instant, metavar="T", help="score from here on (default: now)")
    listed.add_argument("--all", action="store_true", help="those that have ended too, with who, when and why")
    score.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    score.add_argument("--jobs", type=at_least_one, metavar="N", help="processes (default: one for each core)")
    promote.add_argument("--plant", type=Path, metavar="FILE", help="also write it into this plant file")
    promote.add_argument("--yes", action="store_true", help="without asking")
    for action in (start, promote, stop):
        action.add_argument("--why", required=True, help="in words; it is kept")
        action.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    desk = Desk(deployment)
    if args.action == "start":
        desk.start(args)
    elif args.action == "list":
        desk.show(everything=args.all)
    elif args.action == "score":
        desk.score(args)
    elif args.action == "promote":
        desk.promote(args)
    else:
        desk.stop(args)
    return 0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """What is done with shadows at a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        dynamodb, table = deployment.client("dynamodb"), deployment.outputs["RegistryTable"]
        self._registry, self._shadows = Registry(dynamodb, table), Shadows(dynamodb, table)

    def start(self, args: argparse.Namespace) -> None:
        if not ID.fullmatch(args.name):
            raise Problem(f'found "{args.name}" as a name, wanted 1 to 64 letters, digits or _ . : -')
        before = self._shadows.get(args.name)
        if before is not None:
            raise Problem(f"there is a shadow {args.name}, which is {before.state}", "Give this one another name.")
        overrides = Overrides.of(argparse.Namespace(**vars(args), plant=None))
        known = self._registry.plant().positions
        names = chosen(sorted(known), args.positions, everything=args.all, missing="the plant has no position")
        live = {name: known[name] for name in names}
        candidates = overrides.candidates(live)
        if candidates == live:
            raise Problem(
                f"the candidate is what is live already: {overrides}", "Give it --set, --limit or another class."
            )
        started = Act("started", args.from_ms or now_ms(), args.by, args.why)
        shadow = Shadow(
            name=args.name,
            base={name: fingerprint(position) for name, position in live.items()},
            acts=(started,),
            settings=overrides.settings,
            limits=overrides.limits,
            machine_class=overrides.machine_class,
        )
        self._put(shadow, replacing=None)
        print(
            f"{args.name} runs beside {counted(len(live), 'position')} from {moment(shadow.since_ms)} UTC: {overrides}"
        )

    def show(self, *, everything: bool) -> None:
        found = [one for one in self._shadows.all() if everything or one.state == "running"]
        if not found:
            print("no shadow runs" if not everything else "there never was a shadow")
            return
        table = Table("shadow", "state", "since", "positions", "candidate", "by", "why", box=None, pad_edge=False)
        for one in found:
            last = one.acts[-1]
            since = moment(one.since_ms) + ("" if one.state == "running" else f" to {moment(last.t_ms)}")
            table.add_row(one.name, one.state, since, _few(one.positions), str(_overrides(one)), last.by, last.why)
        Console().print(table)

    def score(self, args: argparse.Namespace) -> None:
        shadow = self._running(args.name, stopped=True)
        live = self._registry.positions(shadow.positions)
        self._warn(shadow, live)
        overrides = _overrides(shadow)
        candidates = overrides.candidates(live)
        until_ms = inf if shadow.state == "running" else shadow.acts[-1].t_ms
        window = Window(shadow.since_ms, until_ms)
        source = history.Lake(self._deployment, to_ms=until_ms)
        pairs = {name: (live[name], candidates[name]) for name in live}
        found = backtest.replayed(source, pairs, How(window), jobs=args.jobs or os.cpu_count() or 1)
        if not any(one.comparison.rows for one in found):
            raise Problem(f"the lake has no captures of {_few(shadow.positions)} since {moment(shadow.since_ms)} UTC")
        begun = shadow.acts[0]
        Console().print(
            f"{shadow.name}, {shadow.state}, since {moment(shadow.since_ms)} UTC, by {begun.by}: {begun.why}"
        )
        backtest.show(found, overrides, Console())
        if args.json:
            told = {"shadow": shadow.name, "state": shadow.state, "since_ms": shadow.since_ms}
            told |= {"acts": [dataclasses.asdict(act) for act in shadow.acts]}
            text = json.dumps(told | backtest.document(found, overrides), indent=1, ensure_ascii=False)
            args.json.write_text(text + "\n")

    def promote(self, args: argparse.Namespace) -> None:
        shadow = self._running(args.name)
        live = self._registry.positions(shadow.positions)
        candidates = _overrides(shadow).candidates(live)
        others = [name for name in shadow.changed(live) if candidates.get(name) != live.get(name)]
        if others:
            raise Problem(
                f"{counted(len(others), 'position')} changed since {shadow.name} began: {_few(others)}",
                "What was scored is not what would be written: stop this one, and start it anew.",
            )
        changes = [Change("position", name, live[name], candidates[name]) for name in live]
        changes = [change for change in changes if change.old != change.new]
        text = _edited(args.plant, shadow, candidates) if args.plant else None
        show_changes(changes)
        if changes and not agreed(changes, yes=args.yes, prune=False):
            print("nothing written")
            return
        promoted = shadow.after(Act("promoted", now_ms(), args.by, args.why))
        write(self._registry, changes)
        self._put(promoted, replacing=shadow)
        if text is not None:
            args.plant.write_text(text)
            print(f"written into {args.plant} too")
        else:
            print("The next `telltale plant apply` undoes this unless the plant file says it. Put there:\n")
            print(plant_edit.snippet(_wanted(shadow)))

    def stop(self, args: argparse.Namespace) -> None:
        shadow = self._running(args.name)
        self._put(shadow.after(Act("stopped", now_ms(), args.by, args.why)), replacing=shadow)
        print(f"{args.name} is stopped; nothing was changed")

    def _running(self, name: str, *, stopped: bool = False) -> Shadow:
        shadow = self._shadows.get(name)
        if shadow is None:
            known = [one.name for one in self._shadows.all()]
            raise Problem(
                f'there is no shadow "{name}"{did_you_mean(name, known)}', "`telltale shadow list --all` shows them."
            )
        if shadow.state != "running" and not (stopped and shadow.state == "stopped"):
            last = shadow.acts[-1]
            raise Problem(f"{name} was {last.kind} by {last.by} at {moment(last.t_ms)} UTC: {last.why}")
        return shadow

    def _put(self, shadow: Shadow, *, replacing: Shadow | None) -> None:
        try:
            self._shadows.put(shadow, replacing=replacing)
        except Moved as moved:
            raise Problem(str(moved), "Look again: `telltale shadow list --all`.") from moved

    def _warn(self, shadow: Shadow, live: Mapping[str, Position]) -> None:
        changed = shadow.changed(live)
        if changed and shadow.state == "running":
            words = f"{counted(len(changed), 'position')} changed since it began ({_few(changed)})"
            Console(stderr=True).print(
                f"{words}: it is compared with what is live now, and cannot be promoted", style="yellow"
            )


def _overrides(shadow: Shadow) -> Overrides:
    return Overrides(shadow.settings, shadow.limits, shadow.machine_class, None)


def _wanted(shadow: Shadow) -> dict[str, dict[str, Any]]:
    """What the plant file has to say of each position."""
    own: dict[str, Any] = {"settings": shadow.settings} if shadow.settings else {}
    own |= {"limits": shadow.limits} if shadow.limits else {}
    if shadow.machine_class is not None:
        own |= {"machine_class": None if shadow.machine_class == backtest.NONE else shadow.machine_class}
    return dict.fromkeys(shadow.positions, own)


def _edited(path: Path, shadow: Shadow, candidates: Mapping[str, Position]) -> str:
    """The plant file's text with the candidate in it; Problem unless it then says just that, and else what it said."""
    before, wanted = read_or_explain(path), _wanted(shadow)
    then = f"Put there by hand, and promote without --plant:\n\n{plant_edit.snippet(wanted)}"
    try:
        text = plant_edit.edited(path.read_text(), wanted)
        after = plant_file.parse(text, file=str(path))
    except (ValueError, plant_file.PlantFileError) as error:
        raise Problem(f"{path} cannot be edited: {' '.join(str(error).split())[:200]}", then) from error
    own = {name: replace(one, fleet={}) for name, one in candidates.items()}  # which the registry alone has
    if after != replace(before, positions={**before.positions, **own}):
        others = [name for name in own if after.positions.get(name) != own[name]]
        raise Problem(f"{path} says otherwise of {_few(others or ['other positions'])} than the registry", then)
    return text


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
