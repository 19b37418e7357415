"""Maintenance systems: which there are, whether a site's takes orders, and its secrets.

  telltale cmms list                 the sites, each with its system, and what is missing
  telltale cmms systems [NAME]       the systems Telltale speaks to; the settings and secrets of one
  telltale cmms secret SITE [NAME]   set a secret, asked for or read from standard input; --remove takes it away
  telltale cmms check [SITE]         try it: credentials, assets, and an order that is made and cancelled at once

What a system needs is set in the plant file (docs/plant.md) and described under docs/cmms/.
"""

import argparse
import getpass
import json
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from telltale.adapters.cmms.adapter import Adapter
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Cmms
from telltale.adapters.cmms.systems import CALLS, Systems, adapter, adapters
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Plant, Position, Site

from cli import cmms_check
from cli.deployment import Deployment, current
from cli.plant import open_registry
from cli.plant_file import did_you_mean
from cli.problem import Problem

MARK = {True: "[green]good[/green]", False: "[red]bad[/red] ", None: "[dim]?[/dim]   "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the sites, each with its system, and what is missing")
    systems = actions.add_parser("systems", help="the systems Telltale speaks to; the settings and secrets of one")
    systems.add_argument("name", nargs="?", metavar="NAME", help="one of them")
    secret = actions.add_parser("secret", help="set a secret of a site's system")
    secret.add_argument("site", metavar="SITE")
    secret.add_argument("name", nargs="?", metavar="NAME", help="which; without: each that the system asks for")
    secret.add_argument("--remove", action="store_true", help="take it away")
    check = actions.add_parser("check", help="try it, with an order that is made and cancelled at once")
    check.add_argument("site", nargs="?", metavar="SITE", help="without: every site")
    check.add_argument("--no-order", action="store_true", help="make no order: credentials and assets only")
    check.add_argument("--yes", action="store_true", help="make the order without asking")


def run(args: argparse.Namespace) -> int:
    if args.action == "systems":
        _systems(args.name)
        return 0
    deployment, plant = current(), open_registry().plant()
    if args.action == "list":
        _list(plant, _Secrets(deployment))
        return 0
    if args.action == "secret":
        _secret(_site(plant, args.site), _Secrets(deployment), args.name, remove=args.remove)
        return 0
    sites = [_site(plant, args.site)] if args.site else list(plant.sites.values())
    results = [_check(deployment, plant, site, order=not args.no_order, yes=args.yes) for site in sites]
    return 0 if all(results) else 1


def _site(plant: Plant, name: str) -> Site:
    if name not in plant.sites:
        raise Problem(f"no site is called {name!r}{did_you_mean(name, plant.sites)}: {', '.join(plant.sites)}")
    return plant.sites[name]


class _Secrets:
    """The secrets of all sites: one object, site → name → value."""

    def __init__(self, deployment: Deployment) -> None:
        self._client, self._arn = deployment.client("secretsmanager"), deployment.outputs["CmmsSecretsArn"]

    def read(self) -> dict[str, dict[str, str]]:
        return dict(json.loads(self._client.get_secret_value(SecretId=self._arn)["SecretString"]))

    def put(self, site: str, values: Mapping[str, str | None]) -> None:
        """Sets the values, or takes away those that are None."""
        everything = self.read()
        own = {**everything.get(site, {}), **values}
        everything[site] = {name: value for name, value in own.items() if value is not None}
        self._client.put_secret_value(SecretId=self._arn, SecretString=json.dumps(everything))


def systems_of(deployment: Deployment) -> Systems:
    """What makes the maintenance system of a site, as work_orders does."""
    return Systems(
        Logbook(deployment.client("dynamodb"), deployment.outputs["LogbookTable"], _now_ms),
        deployment.client("secretsmanager"),
        secrets_arn=deployment.outputs["CmmsSecretsArn"],
        webhook_arn=deployment.outputs["WebhookSecretArn"],
        now_ms=_now_ms,
    )


def _systems(name: str | None) -> None:
    known = adapters()
    if name is None:
        for one, found in known.items():
            print(f"{one:18} {found.title}")
        return
    if name not in known:
        raise Problem(f"no maintenance system is called {name!r}{did_you_mean(name, known)}: {', '.join(known)}")
    found = known[name]
    print(f"{found.title}: docs/cmms/{name.replace('_', '-')}.md\n")
    table = Table("setting", "what it is", "default", box=None, pad_edge=False)
    for setting, says in found.settings.items():
        default = "required" if says.required else "" if says.default is None else json.dumps(says.default)
        choices = f" ({', '.join(says.choices)})" if says.choices else ""
        table.add_row(setting, escape(says.says + choices), escape(default))
    calls = found.calls_per_minute
    table.add_row(CALLS, "requests a minute, at most", str(calls) if calls else "no limit")
    Console().print(table)
    for secret, what in found.secrets.items():
        print(f"secret {secret}: {what}")


def _list(plant: Plant, secrets: _Secrets) -> None:
    there = secrets.read()
    table = Table("site", "system", "settings", "missing", box=None, pad_edge=False)
    for site in plant.sites.values():
        found = adapter(site.cmms)
        missing = _missing(site, found, there.get(site.id, {}))
        settings = ", ".join(f"{name} {value}" for name, value in site.cmms_settings.items())
        table.add_row(site.id, site.cmms, escape(settings), escape(", ".join(missing)) or "[green]nothing[/green]")
    Console().print(table)


def _missing(site: Site, found: Adapter | None, secrets: Mapping[str, str]) -> list[str]:
    if found is None:
        return [f"no system is called {site.cmms}"]
    settings = [name for name, one in found.settings.items() if one.required and not site.cmms_settings.get(name)]
    # The webhook has one from the stack; which others are needed only the settings and a check can tell.
    own = [] if site.cmms == "webhook" or secrets or not found.secrets else [f"secret {' or '.join(found.secrets)}"]
    return settings + own


def _secret(site: Site, secrets: _Secrets, name: str | None, *, remove: bool) -> None:
    found = adapter(site.cmms)
    wanted = found.secrets if found else {}
    if not wanted:
        raise Problem(f"{site.cmms}, the maintenance system of site {site.id}, has no secrets")
    if name is not None and name not in wanted:
        raise Problem(f"{site.cmms} has no secret {name!r}{did_you_mean(name, wanted)}: {', '.join(wanted)}")
    names = [name] if name else list(wanted)
    values: dict[str, str | None] = {one: None if remove else _asked(one, wanted[one]) for one in names}
    given = {one: value for one, value in values.items() if remove or value}
    secrets.put(site.id, given)
    print(f"site {site.id}: {', '.join(given) or 'nothing'} {'removed' if remove else 'set'}")


def _asked(name: str, what: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{name} ({what}), nothing to leave it: ").strip()
    return sys.stdin.readline().strip()


def _check(deployment: Deployment, plant: Plant, site: Site, *, order: bool, yes: bool) -> bool:
    """Whether all is well, shown line by line."""
    console = Console()
    console.print(f"[bold]{escape(site.id)}[/bold]: {site.cmms}")
    try:
        cmms = systems_of(deployment).of(site)
    except CmmsRefused as refused:
        console.print(f"  {MARK[False]} settings: {escape(str(refused))}")
        return False
    positions = [position for position in plant.positions.values() if position.site == site.id]
    assets = {position.cmms_asset or position.asset: position for position in positions}
    good = True

    def tell(finding: cmms_check.Finding) -> None:
        nonlocal good
        good = good and finding.good is not False
        console.print(f"  {MARK[finding.good]} {escape(finding.what)}: {escape(finding.said)}", soft_wrap=True)

    tell(cmms_check.credentials(cmms))
    for finding in cmms_check.mapping(cmms, assets) if good else ():
        tell(finding)
    if order and good and (yes or _agreed(cmms)):
        asset, position = next(iter(assets.items()), ("", Position(f"{site.id}/check/check/check")))
        for finding in cmms_check.dry_order(cmms, position, site.cmms_settings, asset=asset, now_ms=_now_ms()):
            tell(finding)
    return good


def _agreed(cmms: Cmms) -> bool:
    question = f"  Make an order in {cmms.name}, titled {cmms_check.TITLE!r}, and cancel it at once?"
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
