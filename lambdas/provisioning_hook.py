"""Fleet provisioning asks: may this device register? Only as a gateway that the registry already has."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.registry import Registry
from telltale.adapters.settings import ProvisioningSettings

log = Logger(service="provisioning_hook")
metrics = Metrics(namespace="Telltale", service="provisioning_hook")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    allowed = may_register(event, registry())
    metrics.add_metric("GatewayAllowed" if allowed else "GatewayRefused", MetricUnit.Count, 1)
    log.info("gateway may register" if allowed else "refused to register a gateway", extra=_seen(event))
    return {"allowProvisioning": allowed}


def may_register(event: Mapping[str, Any], plant: Registry) -> bool:
    """Whether the serial number that the device gives is a gateway's; it becomes its thing name and client id."""
    serial = event.get("parameters", {}).get("SerialNumber")
    return isinstance(serial, str) and serial in plant.gateways([serial])


def _seen(event: Mapping[str, Any]) -> dict[str, Any]:
    """What helps to find a stolen claim: who asked, with which certificate, as whom."""
    return {
        "client": event.get("clientId"),
        "claim_certificate": event.get("claimCertificateId"),
        "serial": event.get("parameters", {}).get("SerialNumber"),
    }


@cache
def registry() -> Registry:
    return Registry(client("dynamodb"), ProvisioningSettings.from_env(os.environ).registry_table)
