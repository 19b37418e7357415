"""Gateways: what they are, what their certificate lets them do, and how a new one registers itself."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.ingest import iot_core

IOT_WAITS_S = 5  # for the hook's answer, a cold start included (AWS IoT Core, "Pre-provisioning hooks")
THING = "${iot:Connection.Thing.ThingName}"  # filled in by IoT Core from the certificate's thing


class Gateways(Construct):
    def __init__(
        self, scope: Construct, id_: str, *, rules: Sequence[iot.CfnTopicRule], hook: lambda_.IFunction
    ) -> None:
        super().__init__(scope, id_)
        self.thing_type = iot.CfnThingType(
            self,
            "ThingType",
            thing_type_properties=iot.CfnThingType.ThingTypePropertiesProperty(
                thing_type_description="A gateway that sends the captures of its sensors to Telltale"
            ),
        )
        self.policy = iot.CfnPolicy(self, "Policy", policy_document=self._speaks_for_itself(rules))
        self.template = self._provisioning(hook)
        self.claim_policy = iot.CfnPolicy(self, "ClaimPolicy", policy_document=self._only_registers(self.template))

    def _speaks_for_itself(self, rules: Sequence[iot.CfnTopicRule]) -> dict[str, object]:
        """A gateway connects as its own thing, publishes below its own name, and hears only its own commands."""
        own = f"dt/telltale/{THING}/*"
        return _policy(
            {
                "Action": "iot:Connect",
                "Resource": self._arn("client", THING),
                "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
            },
            {
                "Action": "iot:Publish",
                # Basic Ingest names the rule. `$aws/rules/*` would let a stolen key feed any rule of the account.
                "Resource": [
                    self._arn("topic", own),
                    *(self._arn("topic", f"$aws/rules/{r.ref}/{own}") for r in rules),
                ],
            },
            {"Action": "iot:Subscribe", "Resource": [self._arn("topicfilter", topic) for topic in _heard()]},
            {"Action": "iot:Receive", "Resource": [self._arn("topic", topic) for topic in _heard()]},
        )

    def _provisioning(self, hook: lambda_.IFunction) -> iot.CfnProvisioningTemplate:
        role = iam.Role(
            self,
            "Registrar",
            assumed_by=iot_core(self),
            # What AWS documents for fleet provisioning; it lists its calls, on every thing and certificate, because
            # neither exists before the call.
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSIoTThingsRegistration")],
        )
        hook.add_permission(
            "IotAsks",
            principal=iam.ServicePrincipal("iot.amazonaws.com"),
            source_account=Stack.of(self).account,  # the template's ARN exists only after it has found the hook
        )
        template = iot.CfnProvisioningTemplate(
            self,
            "Template",
            description="A gateway whose serial number is registered becomes a thing with the gateway policy",
            enabled=True,
            provisioning_role_arn=role.role_arn,
            pre_provisioning_hook=iot.CfnProvisioningTemplate.ProvisioningHookProperty(
                payload_version="2020-04-01", target_arn=hook.function_arn
            ),
            template_body=Stack.of(self).to_json_string(self._template_body()),
        )
        template.node.add_dependency(hook)  # and so on its permission: IoT tries the hook when the template is made
        return template

    def _template_body(self) -> dict[str, object]:
        return {
            "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
            "Resources": {
                "thing": {
                    "Type": "AWS::IoT::Thing",
                    "Properties": {
                        "ThingName": {"Ref": "SerialNumber"},
                        "ThingTypeName": self.thing_type.ref,
                    },
                },
                "certificate": {
                    "Type": "AWS::IoT::Certificate",
                    "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
                },
                "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": self.policy.ref}},
            },
        }

    def _only_registers(self, template: iot.CfnProvisioningTemplate) -> dict[str, object]:
        """What a claim certificate may do, which may sit in many gateways: ask for a certificate and register."""
        calls = ("$aws/certificates/create-from-csr/*", f"$aws/provisioning-templates/{template.ref}/provision/*")
        return _policy(
            {"Action": "iot:Connect", "Resource": self._arn("client", "claim-*")},
            {"Action": ["iot:Publish", "iot:Receive"], "Resource": [self._arn("topic", call) for call in calls]},
            {"Action": "iot:Subscribe", "Resource": [self._arn("topicfilter", call) for call in calls]},
        )

    def _arn(self, kind: str, name: str) -> str:
        return Stack.of(self).format_arn(service="iot", resource=kind, resource_name=name)


def _heard() -> tuple[str, str]:
    return f"cmd/telltale/{THING}/*", f"$aws/things/{THING}/shadow/*"


def _policy(*statements: dict[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
