"""Gateways as IoT things: each with its own key, certificate and the one policy of the stack."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.deployment import HOME, Deployment


@dataclass(frozen=True)
class Credentials:
    """The files a gateway connects with; `ca` is None where the system's own trust store knows the endpoint."""

    key: Path
    certificate: Path
    ca: Path | None


def folder(gateway: str) -> Path:
    return HOME / "gateways" / gateway


def provision(deployment: Deployment, gateway: str) -> Credentials:
    """The gateway's credentials; makes thing, key and certificate unless the ones on disk are still valid there."""
    home = folder(gateway)
    authority = deployment.environment.get("TELLTALE_MQTT_CA")
    ca = Path(authority) if authority else None
    known = Credentials(home / "key.pem", home / "cert.pem", ca)
    iot = deployment.client("iot")
    made_under = home / "authority.json"
    if known.key.exists() and known.certificate.exists() and made_under.exists():
        certificate_id, text = json.loads(made_under.read_text())
        arn = _active(iot, certificate_id)
        if text == _text(ca) and arn is not None:
            iot.attach_policy(policyName=deployment.outputs["GatewayPolicy"], target=arn)  # a new line has a new policy
            return known
    _create_thing(iot, gateway, deployment.outputs["GatewayThingType"])
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName=deployment.outputs["GatewayPolicy"], target=made["certificateArn"])
    iot.attach_thing_principal(thingName=gateway, principal=made["certificateArn"])
    home.mkdir(parents=True, exist_ok=True)
    known.key.touch(mode=0o600)
    known.key.write_text(made["keyPair"]["PrivateKey"])
    known.certificate.write_text(made["certificatePem"])
    made_under.write_text(json.dumps([made["certificateId"], _text(ca)]))
    return known


def endpoint(deployment: Deployment) -> tuple[str, int]:
    """Host and port of the MQTT listener."""
    if "TELLTALE_MQTT_HOST" in deployment.environment:
        return deployment.environment["TELLTALE_MQTT_HOST"], int(deployment.environment["TELLTALE_MQTT_PORT"])
    answer = deployment.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
    return str(answer["endpointAddress"]), 8883


def _create_thing(iot: Any, gateway: str, thing_type: str) -> None:
    try:
        iot.create_thing(thingName=gateway, thingTypeName=thing_type)
    except iot.exceptions.ResourceAlreadyExistsException:
        return  # exists with other attributes: its certificate is what we are here for


def _active(iot: Any, certificate_id: str) -> str | None:
    """ARN of the certificate, if it is there and active."""
    try:
        found = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    except iot.exceptions.ResourceNotFoundException:
        return None
    return str(found["certificateArn"]) if found["status"] == "ACTIVE" else None


def release(iot: Any, policy: str) -> int:
    """Takes the policy off every certificate that has it, since it cannot be removed before; how many there were.

    The certificates stay, and `provision` gives those of this computer the policy of the next deployment.
    """
    pages = iot.get_paginator("list_targets_for_policy").paginate(policyName=policy)
    targets = [target for page in pages for target in page["targets"]]
    for target in targets:
        iot.detach_policy(policyName=policy, target=target)
    return len(targets)


def _text(ca: Path | None) -> str | None:
    return ca.read_text() if ca else None
