"""No test can reach an AWS account: keys are fake, and no profile or endpoint of the person's leaks in."""

import os

import pytest
from hypothesis import settings

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "POWERTOOLS_METRICS_NAMESPACE": "Telltale",
    }
)

# The same examples in every run, and no failure because a machine was slow.
settings.register_profile("telltale", derandomize=True, deadline=None)
settings.load_profile("telltale")

ON_MOTO = {"aws", "mock_aws", "office", "works"}  # what a test module has that runs on moto


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run on moto are told apart: units are what runs without."""
    for item in items:
        if isinstance(item, pytest.Function) and ON_MOTO & vars(item.module).keys():
            item.add_marker("aws")
