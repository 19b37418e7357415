"""Gateways get a certificate with the policy of the stack, once, and lose the policy before the stack goes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cli import gateways
from cli.deployment import Deployment
from moto import mock_aws

OUTPUTS = {"GatewayThingType": "gateway", "GatewayPolicy": "policy-1"}


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setattr(gateways, "HOME", tmp_path)
    with mock_aws():
        iot = boto3.client("iot")
        iot.create_thing_type(thingTypeName="gateway")
        for name in ("policy-1", "policy-2"):
            iot.create_policy(policyName=name, policyDocument="{}")
        yield Deployment(outputs=OUTPUTS, environment={"AWS_REGION": "us-east-1"})


def targets(deployment: Deployment, policy: str) -> list[Any]:
    return list(deployment.client("iot").list_targets_for_policy(policyName=policy)["targets"])


def test_a_gateway_becomes_a_thing_with_one_certificate_that_has_the_policy(deployment: Deployment) -> None:
    made = gateways.provision(deployment, "gw-1")

    [principal] = deployment.client("iot").list_thing_principals(thingName="gw-1")["principals"]
    assert targets(deployment, "policy-1") == [principal]
    assert made.key.stat().st_mode & 0o077 == 0
    assert "CERTIFICATE" in made.certificate.read_text()


def test_provisioning_again_changes_nothing(deployment: Deployment) -> None:
    before = gateways.provision(deployment, "gw-1").certificate.read_bytes()

    again = gateways.provision(deployment, "gw-1").certificate.read_bytes()

    assert again == before
    assert len(targets(deployment, "policy-1")) == 1


def test_a_revoked_certificate_is_replaced(deployment: Deployment) -> None:
    before = gateways.provision(deployment, "gw-1").certificate.read_bytes()
    iot = deployment.client("iot")
    [certificate] = iot.list_certificates()["certificates"]
    iot.update_certificate(certificateId=certificate["certificateId"], newStatus="REVOKED")

    assert gateways.provision(deployment, "gw-1").certificate.read_bytes() != before


def test_a_released_gateway_gets_the_policy_of_the_next_deployment_and_keeps_its_certificate(
    deployment: Deployment,
) -> None:
    before = gateways.provision(deployment, "gw-1").certificate.read_bytes()

    assert gateways.release(deployment.client("iot"), "policy-1") == 1
    assert targets(deployment, "policy-1") == []

    after = Deployment(outputs={**OUTPUTS, "GatewayPolicy": "policy-2"}, environment=deployment.environment)
    assert gateways.provision(after, "gw-1").certificate.read_bytes() == before
    assert len(targets(after, "policy-2")) == 1
