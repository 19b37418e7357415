"""Each function reads its own settings, and says by name what is missing."""

from typing import Any

import pytest
from telltale.adapters import settings

ALL = (
    settings.ExtractSettings,
    settings.CommitSettings,
    settings.AggregateSettings,
    settings.DetectSettings,
    settings.WorkOrdersSettings,
    settings.StaleSettings,
    settings.ProvisioningSettings,
    settings.ScoreSettings,
    settings.TrainSettings,
)
# What the functions' environment holds.
NAMES = [
    "LAKE_BUCKET",
    "GLUE_DATABASE",
    "WORKGROUP",
    "QUERY_ENGINE",
    "REGISTRY_TABLE",
    "STATES_TABLE",
    "CASES_TABLE",
    "LEDGER_TABLE",
    "LOGBOOK_TABLE",
    "MODELS_TABLE",
    "PROGRESS_TABLE",
    "CAPTURES_STREAM",
    "FEATURES_STREAM",
    "MONITRON_STREAM",
    "BUS_NAME",
    "TOPIC_ARN",
    "WEBHOOK_SECRET_ARN",
    "CMMS_SECRETS_ARN",
    "PAGES_URL",
    "LINK_KEY_ARN",
    "ORDERS_QUEUE_URL",
]
ENVIRONMENT = {name: name.lower() + "-value" for name in NAMES}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_settings_are_the_variables_of_the_same_name(kind: Any) -> None:
    read = kind.from_env(ENVIRONMENT)

    assert vars(read)
    assert all(value == f"{name}-value" for name, value in vars(read).items())


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="GLUE_DATABASE"):
        settings.CommitSettings.from_env({name: ENVIRONMENT[name] for name in NAMES if name != "GLUE_DATABASE"})
