"""Asset models as JSON files: the model of the core, and the conditions it was trained under."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from telltale.core import asset_model
from telltale.core.tags import OffRule, Quality

from cli.asset_options import Trained
from cli.problem import Problem


def write(path: Path, trained: Trained, report: dict[str, Any]) -> None:
    rule = None if trained.off is None else asdict(trained.off)
    conditions = {"off": rule, "every_s": trained.every_s, "drop": list(trained.drop)}
    whole = {**asset_model.as_json(trained.model), "conditions": conditions, "report": report}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


def read(path: Path) -> Trained:
    if not path.exists():
        raise Problem(f"there is no file {path}")
    try:
        found = json.loads(path.read_text())
        conditions = found["conditions"]
        rule = None if conditions["off"] is None else OffRule(**conditions["off"])
        model = asset_model.from_json(found)
        return Trained(model, rule, conditions["every_s"], tuple(conditions["drop"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"{path.name}: not a model: {error}", "`scripts/telltale train` writes one.") from error


def plain_quality(quality: Quality) -> dict[str, Any]:
    return asdict(quality)
