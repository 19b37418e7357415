"""Only a gateway that the plant has may register itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import provisioning_hook
import pytest
from moto import mock_aws
from telltale.adapters.registry import Registry
from telltale.core.plant import Gateway, Sensor


@dataclass
class Context:
    """What Lambda hands over beside the event."""

    function_name: str = "hook"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:hook"
    aws_request_id: str = "1"


@pytest.fixture(autouse=True)
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that has the gateway gw-1 and the sensor s-1."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("REGISTRY_TABLE", "registry")
    provisioning_hook.registry.cache_clear()
    with mock_aws():
        client = boto3.client("dynamodb")
        client.create_table(
            TableName="registry",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        registry = Registry(client, "registry")
        registry.put(Gateway("gw-1", site="works"))
        registry.put(Sensor("s-1", assignments=()))
        yield registry


def ask(**parameters: Any) -> dict[str, bool]:
    return provisioning_hook.handler({"clientId": "claim-7", "parameters": parameters}, Context())


def test_a_gateway_of_the_registry_may_register() -> None:
    assert ask(SerialNumber="gw-1") == {"allowProvisioning": True}


@pytest.mark.parametrize(
    "parameters",
    [{"SerialNumber": "gw-2"}, {"SerialNumber": "s-1"}, {"SerialNumber": ""}, {"SerialNumber": ["gw-1"]}, {}],
    ids=["unknown", "a sensor", "empty", "a list", "none given"],
)
def test_nothing_else_may(parameters: dict[str, Any]) -> None:
    assert ask(**parameters) == {"allowProvisioning": False}


def test_a_gateway_taken_out_of_the_registry_may_no_longer(plant: Registry) -> None:
    plant.delete("gateway", "gw-1")

    assert ask(SerialNumber="gw-1") == {"allowProvisioning": False}
