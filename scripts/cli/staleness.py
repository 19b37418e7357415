"""Positions that are not heard any more: what their cases say is old."""

import time
from collections.abc import Collection, Mapping

from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core.presence import is_silent

from cli.deployment import Deployment


def stale_since(deployment: Deployment, positions: Collection[str]) -> dict[str, int]:
    """When the last capture of each was received, in ms, for those of which three in a row are missing by now."""
    if not positions:
        return {}
    dynamodb, outputs = deployment.client("dynamodb"), deployment.outputs
    held = States(dynamodb, outputs["StatesTable"]).get(positions)
    return among(deployment, {position: one.last_received_ms for position, one in held.items()})


def among(deployment: Deployment, heard_ms: Mapping[str, int]) -> dict[str, int]:
    """Those of them that are stale; `heard_ms` is when each was heard last."""
    known = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).positions(heard_ms)
    now_ms = round(time.time() * 1000)
    return {
        position: t_ms
        for position, t_ms in heard_ms.items()
        if position in known and t_ms and is_silent(t_ms, known[position].interval_s, now_ms=now_ms)
    }
