"""The plant: sites, machines, positions, sensors and gateways.

  telltale plant check FILE   says whether a plant file is right, without touching anything
  telltale plant apply FILE   shows what would change, asks, and writes it to the registry
  telltale plant show         prints the registry

A file speaks only for the sites it names; the others are left alone. The file is described in docs/plant.md.
"""

import argparse
import dataclasses
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from telltale.adapters.registry import Item, Registry
from telltale.adapters.states import Held, States
from telltale.core.plant import Assignment, Plant, Position, Sensor, Site

from cli.alike import with_fleet
from cli.deployment import ROOT, current
from cli.notices import subscribe_after
from cli.plant_file import PlantFileError, read
from cli.problem import Problem

KINDS = ("site", "gateway", "asset", "position", "sensor")  # in the order they are written, so that nothing dangles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether a plant file is right, without touching anything")
    apply = actions.add_parser("apply", help="show what would change, ask, and write it to the registry")
    actions.add_parser("show", help="print the registry")
    for action in (check, apply):
        action.add_argument(
            "file",
            type=Path,
            nargs="?",
            default=ROOT / "plant.yaml",
            metavar="FILE",
            help="the plant file (plant.yaml)",
        )
    apply.add_argument("--dry-run", action="store_true", help="only show what would change")
    apply.add_argument("--yes", action="store_true", help="add and change without asking; removes nothing")
    apply.add_argument("--prune", action="store_true", help="with --yes: also remove what the file no longer has")


def run(args: argparse.Namespace) -> int:
    if args.action == "check":
        plant = read_or_explain(args.file)
        print(f"{args.file}: {in_words(plant)}; nothing wrong with it")
        return 0
    registry = open_registry()
    if args.action == "show":
        show(registry.plant())
        return 0
    registered = registry.plant()
    changes = diff(registered, with_fleet(read_or_explain(args.file), registered, states_of))
    show_changes(changes)
    if changes and not args.dry_run:
        written = agreed(changes, yes=args.yes, prune=args.prune)
        write(registry, written)
        if any(isinstance(change.new, Site) and change.new.notices for change in written):
            subscribe_after(current())
    return 0


def open_registry() -> Registry:
    """The registry of the current deployment."""
    deployment = current()
    return Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"])


def states_of(positions: Collection[str]) -> Mapping[str, Held]:
    """What the current deployment holds of these positions."""
    deployment = current()
    return States(deployment.client("dynamodb"), deployment.outputs["StatesTable"]).get(positions)


def read_or_explain(path: Path) -> Plant:
    """The plant in a file; Problem with every line that is wrong."""
    try:
        return read(path)
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from error
    except PlantFileError as error:
        count = len(error.problems)
        raise Problem(
            f"{count} {'thing is' if count == 1 else 'things are'} wrong in the plant file:\n{error}"
        ) from error


# ---- what would change ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One thing that is new, gone or different."""

    kind: str
    id: str
    old: Item | None
    new: Item | None

    @property
    def sign(self) -> str:
        if self.old is None:
            return "+"
        return "-" if self.new is None else "~"

    def fields(self) -> Iterator[tuple[str, str, str]]:
        """(field, old, new) as text, of every field that differs; of a new thing, those that are set."""
        old, new = _flat(self.old), _flat(self.new)
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name) and name != "id":
                yield name, old.get(name, "none"), new.get(name, "none")


def diff(old: Plant, new: Plant) -> list[Change]:
    """What turns `old` into `new` within the sites of `new`; Problem when `new` takes from another site."""
    changes = []
    new = replace(new, positions={name: as_registered(one, old) for name, one in new.positions.items()})
    for kind in KINDS:
        before, after = _items(old, kind), _items(new, kind)
        for item in after:
            if item in before and not _sites_of(before[item]) <= set(new.sites):
                there = ", ".join(sorted(_sites_of(before[item]) - set(new.sites)))
                raise Problem(
                    f"{kind} {item} belongs to site {there}, which is not in this file",
                    f"Rename this one, or first apply a file of site {there} without it.",
                )
        mine = {item: value for item, value in before.items() if _sites_of(value) <= set(new.sites)}
        changes += [
            Change(kind, item, mine.get(item), after.get(item))
            for item in sorted({*mine, *after})
            if mine.get(item) != after.get(item)
        ]
    return changes


def as_registered(position: Position, registered: Plant) -> Position:
    """The position of a file with what only the registry knows of it: machines alike, when it was registered."""
    before = registered.positions.get(position.id)
    return position if before is None else replace(position, fleet=before.fleet)


def agreed(changes: list[Change], *, yes: bool, prune: bool) -> list[Change]:
    """The changes that the user wants: additions and changes by --yes or asking, removals by --prune or asking."""
    if not yes and not sys.stdin.isatty():
        raise Problem("nobody is here to ask", "Give --yes (and --prune for the removals).")
    keep = [change for change in changes if change.new is not None]
    gone = [change for change in changes if change.new is None]
    if keep and not (yes or _asked(f"Write {counted(len(keep), 'change')}?")):
        return []
    if gone and not (prune if yes else _asked(f"Remove {counted(len(gone), 'thing')}? Its captures will be rejected.")):
        print(f"{counted(len(gone), 'removal')} left out{' (give --prune)' if yes else ''}")
        return keep
    return changes


def write(registry: Registry, changes: list[Change]) -> None:
    """Writes new and changed things from the site down, then deletes from the sensor up."""
    for change in changes:
        if change.new is not None:
            registry.put(change.new)
    for change in reversed(changes):
        if change.new is None:
            registry.delete(change.kind, change.id)
    print(f"{counted(len(changes), 'change')} written")


def _asked(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _items(plant: Plant, kind: str) -> Mapping[str, Item]:
    items: Mapping[str, Mapping[str, Item]] = {
        "site": plant.sites,
        "gateway": plant.gateways,
        "asset": plant.assets,
        "position": plant.positions,
        "sensor": plant.sensors,
    }
    return items[kind]


def _sites_of(item: Item) -> set[str]:
    if isinstance(item, Site):
        return {item.id}
    if isinstance(item, Sensor):
        return {assignment.position.split("/")[0] for assignment in item.assignments}
    return {item.site}


def _flat(item: Item | None) -> dict[str, str]:
    """The fields of an item that are set, as text; nested ones as `limits.velocity_alarm_mm_s`."""
    if item is None:
        return {}
    flat: dict[str, str] = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if field.name == "assignments":
            flat |= {f"assignment {i}": _seat(assignment) for i, assignment in enumerate(value, 1)}
        elif field.name == "notices":
            flat |= {f"notices.{one.name}": str(one) for one in value}
        elif field.name == "modes":
            flat |= {f"modes.{mode.name}": mode.edges for mode in value}
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            flat |= _texts(field.name, dataclasses.asdict(value))
        elif isinstance(value, Mapping):
            flat |= _texts(field.name, value)
        elif value is not None and value != "":
            flat[field.name] = _text(value)
    return flat


def _texts(prefix: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {f"{prefix}.{name}": _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seat(assignment: Assignment) -> str:
    start = "" if assignment.from_ms == 0 else f" from {_instant(assignment.from_ms)}"
    end = "" if assignment.to_ms is None else f" until {_instant(assignment.to_ms)}"
    return f"{assignment.position}{start}{end}"


def _instant(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def any_gateway(plant: Plant, site: str) -> str | None:
    """The gateway of a site that speaks for a sensor which names none; None when the site has none."""
    return min((gateway.id for gateway in plant.gateways.values() if gateway.site == site), default=None)


# ---- for the reader ------------------------------------------------------------------------------

STYLE = {"+": "green", "-": "red", "~": "yellow"}


def show_changes(changes: list[Change]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for change in changes:
        console.print(f"{change.sign} {change.kind} {change.id}", style=STYLE[change.sign], markup=False)
        if change.new is None:
            continue
        for name, old, new in change.fields():
            console.print(f"    {name}: {new if change.old is None else f'{old} → {new}'}", markup=False)
    signs = [change.sign for change in changes]
    if changes:
        print(f"{signs.count('+')} to add, {signs.count('~')} to change, {signs.count('-')} to remove")
    else:
        print("the registry already is as the file says")


def show(plant: Plant) -> None:
    """Prints the plant as a table for each site."""
    console = Console()
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    sitting = {sensor.position_at(now_ms): sensor.id for sensor in plant.sensors.values()}
    for site in plant.sites.values():
        gateways = ", ".join(gateway.id for gateway in plant.gateways.values() if gateway.site == site.id)
        table = Table(
            "position", "type", "class", "r/min", "bearing", "sensor now",
            title=escape(f"{site.id} ({site.name}): orders to {site.cmms}; gateways: {gateways or 'none'}"),
            title_justify="left",
        )  # fmt: skip
        for position in sorted(plant.positions.values(), key=lambda position: position.id):
            if position.site == site.id:
                table.add_row(*map(escape, _row(position, sitting.get(position.id))))
        console.print(table)
    print(in_words(plant))


def _row(position: Position, sensor: str | None) -> tuple[str, ...]:
    return (
        position.id,
        position.type,
        position.machine_class or "-",
        "-" if position.speed_rpm is None else f"{position.speed_rpm:g}",
        "-" if position.bearing is None else position.bearing.name or "own geometry",
        sensor or "-",
    )


def in_words(plant: Plant) -> str:
    """`1 site, 7 positions, 7 sensors, 2 gateways`."""
    counts = [
        (plant.sites, "site"),
        (plant.positions, "position"),
        (plant.sensors, "sensor"),
        (plant.gateways, "gateway"),
    ]
    return ", ".join(counted(len(items), noun) for items, noun in counts)


def counted(count: int, noun: str) -> str:
    """`1 sensor`, `2 sensors`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
