"""The models of the deployment's assets, for the commands that train, list and promote them."""

import time
from dataclasses import replace
from typing import Any

from telltale.adapters.models import Models
from telltale.adapters.registry import Registry
from telltale.core.plant import Asset, Plant

from cli.deployment import Deployment
from cli.problem import Problem


def models_of(deployment: Deployment) -> Models:
    """The store; Problem where the deployment is older than it."""
    if "ModelsTable" not in deployment.outputs:
        raise Problem("this deployment has no table of models", "deploy again: `scripts/telltale up` or `deploy`")
    return Models(
        deployment.client("s3"),
        deployment.client("dynamodb"),
        bucket=deployment.outputs["LakeBucket"],
        table=deployment.outputs["ModelsTable"],
        now_ms=now_ms,
    )


def registry_of(deployment: Deployment) -> Registry:
    return Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"])


def asset_of(plant: Plant, path: str, **chosen: Any) -> Asset:
    """The asset with what the plant file says of its model, and over that what was chosen (None: nothing)."""
    known = sorted({position.asset for position in plant.positions.values()})
    if path not in known:
        raise Problem(f"there is no asset {path} in the registry", f"There are {', '.join(known) or 'none'}.")
    asset = plant.assets.get(path) or Asset(path)
    return replace(asset, **{name: value for name, value in chosen.items() if value is not None})


def now_ms() -> int:
    return time.time_ns() // 1_000_000
