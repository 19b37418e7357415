"""A plant file of what Lookout for Equipment watched: an asset, its components, and the model that takes over."""

from collections.abc import Collection, Mapping
from typing import Any

import yaml

HEAD = """\
# Made by `telltale import lookout`. Look it over, join it with yours, and apply it; `telltale train --asset` then makes
# a model of these tags from what was imported. Lookout knew no machine classes, limits or speeds.
"""


def fragment(positions: Collection[str], asset: str, model: Mapping[str, Any]) -> str:
    """positions : paths.   model : what is known of it, as keys of the plant file."""
    sites: dict[str, Any] = {}
    for path in sorted(positions):
        site, area, machine, own = path.split("/")
        of_area = sites.setdefault(site, {}).setdefault("areas", {}).setdefault(area, {"assets": {}})
        of_asset = of_area["assets"].setdefault(machine, {"positions": {}})
        of_asset["positions"][own] = {"name": own}
    site, area, machine = asset.split("/")
    below = [path.rsplit("/", 1)[1] for path in sorted(positions) if path.startswith(f"{asset}/")]
    if below:
        of_asset = sites[site]["areas"][area]["assets"]
        of_asset[machine] = {"model": {"tags": [f"{own}/*" for own in below], **model}, **of_asset[machine]}
    return HEAD + yaml.safe_dump({"sites": sites}, sort_keys=False, allow_unicode=True, width=120)
