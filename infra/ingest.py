"""From MQTT to the stream: one IoT rule for JSON captures, one for CBOR, and a place for what they cannot deliver."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Settings

SQL_VERSION = "2016-03-23"
# The payload stays as it came, byte by byte, JSON too: quarantine and replay need the original. Who sent it is taken
# from the topic and the certificate, which IoT Core vouches for, and not from the payload.
ENVELOPE = (
    "SELECT encode(*, 'base64') AS payload, topic() AS topic, clientid() AS client, timestamp() AS received_ms "
    "FROM 'dt/telltale/+/+/{kind}'"
)
SENSOR = "${topic(4)}"  # dt/telltale/<gateway>/<sensor>/<kind>: a sensor's captures stay in order in one shard


class Ingest(Construct):
    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, stream: kinesis.IStream, lake: s3.IBucket
    ) -> None:
        super().__init__(scope, id_)
        self._stream, self._lake = stream, lake
        self._deliverer = self._iot_role("Deliverer")
        stream.grant_write(self._deliverer)
        self._rescuer = self._iot_role("Rescuer")
        lake.grant_put(self._rescuer, "rule-errors/*")

        self.capture_rule = self._rule("CaptureRule", kind="capture")
        self.wave_rule = self._rule("WaveRule", kind="wave")
        self.rules = (self.capture_rule, self.wave_rule)
        if settings.iot_logging:
            self._log_iot()

    def _rule(self, id_: str, *, kind: str) -> iot.CfnTopicRule:
        rule = iot.CfnTopicRule(
            self,
            id_,
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                description=f"messages of kind {kind} onto the stream of captures",
                sql=ENVELOPE.format(kind=kind),
                aws_iot_sql_version=SQL_VERSION,
                actions=[
                    iot.CfnTopicRule.ActionProperty(
                        kinesis=iot.CfnTopicRule.KinesisActionProperty(
                            stream_name=self._stream.stream_name,
                            partition_key=SENSOR,
                            role_arn=self._deliverer.role_arn,
                        )
                    )
                ],
                error_action=iot.CfnTopicRule.ActionProperty(
                    s3=iot.CfnTopicRule.S3ActionProperty(
                        bucket_name=self._lake.bucket_name,
                        key=f'rule-errors/{kind}/${{parse_time("yyyy/MM/dd", timestamp())}}/${{newuuid()}}.json',
                        role_arn=self._rescuer.role_arn,
                    )
                ),
            ),
        )
        rule.node.add_dependency(self._deliverer, self._rescuer)  # with their policies: IoT Core may use them at once
        return rule

    def _log_iot(self) -> None:
        stack, role = Stack.of(self), self._iot_role("Logger")
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:PutRetentionPolicy"],
                resources=[
                    stack.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name="AWSIotLogsV2*",
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                ],
            )
        )
        iot.CfnLogging(self, "Logging", account_id=stack.account, default_log_level="ERROR", role_arn=role.role_arn)

    def _iot_role(self, id_: str) -> iam.Role:
        return iam.Role(self, id_, assumed_by=iot_core(self))


def iot_core(scope: Construct) -> iam.ServicePrincipal:
    """AWS IoT Core, acting for this account and no other."""
    return iam.ServicePrincipal(
        "iot.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}}
    )
