"""Training from the deployed lake, on this machine: what the function train_models does, without its bounds."""

from collections.abc import Sequence
from typing import Any

from telltale.adapters.asset_history import AssetHistory
from telltale.adapters.cases import Cases
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.models import Models
from telltale.adapters.trainer import Candidate, Nothing, Span, Trainer
from telltale.core.training import Range

from cli.deployment import Deployment, current
from cli.lake_models import asset_of, models_of, now_ms, registry_of
from cli.problem import Problem


def train(
    path: str,
    *,
    span: tuple[float | None, float | None],
    labelled: Sequence[Range],
    by: str,
    **chosen: Any,
) -> Candidate:
    """A new version of the asset; `chosen` goes before what the plant file says of its model (None: nothing)."""
    deployment = current()
    models, registry = models_of(deployment), registry_of(deployment)
    asset = asset_of(registry.plant(), path, **chosen)
    try:
        return _trainer(deployment, models).train(asset, by=by, span=Span(*span), labelled=labelled)
    except Nothing as error:
        raise Problem(str(error), "What no commit has taken up yet (a few minutes of data) is not read.") from error


def _trainer(deployment: Deployment, models: Models) -> Trainer:
    catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
    return Trainer(
        models=models,
        history=AssetHistory(catalog, database=deployment.outputs["GlueDatabase"]),
        registry=registry_of(deployment),
        cases=Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]),
        now_ms=now_ms,
    )
