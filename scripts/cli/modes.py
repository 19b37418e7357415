"""Operating modes of a position: what is normal in each, and how far it is learned.

  telltale modes POSITION          its modes, with the levels that are usual in each
  telltale modes                   every position that has more than one

Modes are learned from measured speed, and from load where the position names its tag (`load_tag`). The plant file sets
them instead: `modes` (docs/plant.md). POSITION may be shortened to its end, or any part that only it has.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core import baseline, modes
from telltale.core.baseline import INDICATORS
from telltale.core.judgement import AXES
from telltale.core.plant import Position
from telltale.core.settings import settings_of
from telltale.core.state import Known, State

from cli.deployment import Deployment, current
from cli.problem import Problem

SHOWN = 3  # indicators a line; --json has all


@dataclass(frozen=True)
class Learned:
    """One mode of a position. rows : captures it was learned from, of `wanted`.   now : the machine was in it last.

    usual : axis → indicator → what is usual, in its unit; of what judges already.
    """

    name: str
    now: bool
    rows: int
    wanted: int
    usual: Mapping[str, Mapping[str, float]]

    @property
    def state(self) -> str:
        if self.rows >= self.wanted:
            return f"learned from {self.rows} captures"
        return f"learning, {self.rows} of {self.wanted}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("position", metavar="POSITION", nargs="?", help="its path, or the end of it")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    positions = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).plant().positions
    asked = {found.id: found} if args.position and (found := find(positions, args.position)) else positions
    known = {name: learned(state, asked[name]) for name, state in states(deployment, asked).items()}
    shown = {name: found for name, found in known.items() if args.position or len(found) > 1}
    if args.json:
        print(
            json.dumps({name: [{**one.__dict__, "state": one.state} for one in found] for name, found in shown.items()})
        )
    elif shown:
        print("\n".join(line for name in sorted(shown) for line in _lines(asked[name], shown[name])))
    elif args.position:
        print(f"nothing has been heard of {next(iter(asked))}")
    else:
        print("no position has more than one operating mode")
    return 0


def find(positions: Mapping[str, Position], part: str) -> Position:
    """The position of that path, or the only one whose path has it in it; Problem if there is none, or several."""
    found = [name for name in positions if name == part] or [name for name in positions if name.endswith(f"/{part}")]
    found = found or [name for name in positions if part in name]
    if not found:
        raise Problem(f"no position is called {part!r}", "`telltale plant show` lists them.")
    if len(found) > 1:
        raise Problem(f"{part!r} is part of {len(found)} positions: {', '.join(sorted(found)[:5])}")
    return positions[found[0]]


def states(deployment: Deployment, positions: Mapping[str, Position]) -> dict[str, State]:
    """What detection knows of those positions that were heard."""
    held = States(deployment.client("dynamodb"), deployment.outputs["StatesTable"]).get(positions)
    return {name: State.unpack(one.core) for name, one in held.items()}


def learned(state: State, position: Position) -> list[Learned]:
    """The modes of a position, of all axes together, the one that the machine was in last at the front."""
    settings = settings_of(position.settings)
    axes = {axis: modes.each(state.channels[axis]) for axis in AXES if axis in state.channels}
    by_name: dict[str, dict[str, Known]] = {}
    for axis, found in axes.items():
        for one in found:
            by_name.setdefault(modes.label(one.mode, position), {})[axis] = one
    now = {modes.label(found[0].mode, position) for found in axes.values()}
    return [
        Learned(
            name=name,
            now=name in now,
            rows=max(modes.rows(one.baseline) for one in its.values()),
            wanted=settings.warmup,
            usual={
                axis: usual
                for axis, one in its.items()
                if (usual := baseline.normals(one.baseline, one.references, settings=settings))
            },
        )
        for name, its in sorted(by_name.items(), key=lambda item: item[0] not in now)
    ]


def _lines(position: Position, found: list[Learned]) -> Iterator[str]:
    yield position.id
    for mode in position.modes:
        if all(one.name != mode.name for one in found):
            yield f"  {mode.name}: not heard yet; {mode.edges}"
    edges = {mode.name: f"; {mode.edges}" for mode in position.modes}
    for one in found:
        name = "one mode, its speed is not known" if one.name == "unknown" else one.name
        yield f"  {name}: {one.state}{edges.get(one.name, '')}{', the last one' if one.now and len(found) > 1 else ''}"
        for axis, usual in one.usual.items():
            levels = [f"{name} {value:.3g} {INDICATORS[name]}" for name, value in usual.items() if name in INDICATORS]
            yield f"      {axis}: {', '.join(levels[:SHOWN])}"
