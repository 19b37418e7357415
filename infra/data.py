"""What keeps data: it outlives the line, and in production it outlives its own stack."""

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.lake import Lake
from infra.messages import Messages
from infra.notices import Notices
from infra.settings import Settings
from infra.tables import Tables

LINK_KEY_LENGTH = 64  # letters and digits: 380 bits, more than the 256 of the hash that uses them


class Data(Stack):
    def __init__(self, scope: Construct, id_: str, *, settings: Settings, **stack: Any) -> None:
        super().__init__(scope, id_, description="Telltale: lake, tables, streams, messages", **stack)
        key = _key(self, settings=settings)

        self.lake = Lake(self, "Lake", settings=settings, key=key)
        self.tables = Tables(self, "Tables", settings=settings, key=key)
        self.captures = self._stream("Captures", settings=settings, key=key)
        self.features = self._stream("Features", settings=settings, key=key)
        # Whoever reads it is no part of this app. As many shards and the same keys as `features`, whose records are
        # larger: what is judged fits.
        self.monitron = self._stream("Monitron", settings=settings, key=key) if settings.monitron_stream else None
        self.messages = Messages(self, "Messages", settings=settings, key=key)
        self.notices = Notices(self, "Notices", bus=self.messages.bus, key=key)
        # Signs what the webhook sends. Encrypted with AWS's key for secrets in every stage: a grant on a customer key
        # would name the reader's role in the key's policy, and that role is in the stack after this one.
        self.webhook_secret = secretsmanager.Secret(self, "WebhookSecret", removal_policy=settings.removal)
        # What the sites' maintenance systems ask for, one object for all sites; `telltale cmms secret` fills it in.
        self.cmms_secrets = secretsmanager.Secret(
            self, "CmmsSecrets", secret_object_value={}, removal_policy=settings.removal
        )
        # Signs links to the evidence page. It outlives the line, for links stand in orders and mails for months.
        self.link_key = secretsmanager.Secret(
            self,
            "LinkKey",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=LINK_KEY_LENGTH, exclude_punctuation=True
            ),
            removal_policy=settings.removal,
        )

        for name, value in self._outputs().items():
            CfnOutput(self, name, value=value)

    def _stream(self, id_: str, *, settings: Settings, key: kms.IKey | None) -> kinesis.Stream:
        on_demand = settings.on_demand_streams
        return kinesis.Stream(
            self,
            id_,
            stream_mode=kinesis.StreamMode.ON_DEMAND if on_demand else kinesis.StreamMode.PROVISIONED,
            shard_count=None if on_demand else settings.shards,
            retention_period=Duration.hours(settings.stream_retention_hours),
            encryption=kinesis.StreamEncryption.KMS if key else kinesis.StreamEncryption.MANAGED,
            encryption_key=key,
            removal_policy=settings.removal,
        )

    def _outputs(self) -> dict[str, str]:
        opted = {"MonitronStream": self.monitron.stream_name} if self.monitron else {}
        return {
            **opted,
            **self.notices.outputs(),
            "CapturesStream": self.captures.stream_name,
            "FeaturesStream": self.features.stream_name,
            "LakeBucket": self.lake.bucket.bucket_name,
            "GlueDatabase": self.lake.database_name,
            "Workgroup": self.lake.workgroup_name,
            "RegistryTable": self.tables.registry.table_name,
            "StatesTable": self.tables.states.table_name,
            "CasesTable": self.tables.cases.table_name,
            "LedgerTable": self.tables.ledger.table_name,
            "LogbookTable": self.tables.logbook.table_name,
            "ModelsTable": self.tables.models.table_name,
            "ProgressTable": self.tables.progress.table_name,
            "NoticesTable": self.tables.notices.table_name,
            "BusName": self.messages.bus.event_bus_name,
            "TopicArn": self.messages.notices.topic_arn,
            "OrdersQueueUrl": self.messages.orders.queue_url,
            "OrdersDeadLettersUrl": self.messages.dead_letters.queue_url,
            "WebhookSecretArn": self.webhook_secret.secret_arn,
            "CmmsSecretsArn": self.cmms_secrets.secret_arn,
            "LinkKeyArn": self.link_key.secret_arn,
        }


def _key(stack: Stack, *, settings: Settings) -> kms.Key | None:
    """The customer's own key for all that is at rest, where the stage asks for one."""
    if not settings.customer_key:
        return None
    return kms.Key(stack, "Key", enable_key_rotation=True, removal_policy=settings.removal)
