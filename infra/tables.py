"""The DynamoDB tables: one key, paid by the request, restorable to any second of the last 35 days."""

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings import Settings


class Tables(Construct):
    def __init__(self, scope: Construct, id_: str, *, settings: Settings, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self._settings, self._key = settings, key

        self.registry = self._table("Registry")  # the plant: sites, positions, sensors, gateways
        self.states = self._table("States")  # what each position is like now, and when it was last heard
        self.cases = self._table("Cases")  # the latest revision of each case
        self.ledger = self._table("Ledger", forgets="expires")  # which work order belongs to which case
        self.logbook = self._table("Logbook")  # the built-in maintenance system's orders
        self.models = self._table("Models")  # which model of each asset is live, and where its scoring stands
        self.notices = self._table("Notices")  # what was sent to whom
        self.progress = self._table("Progress", forgets="expires")  # batches, captures seen, leases

        # Cases that their work order has not caught up with, oldest change first.
        self.cases.add_global_secondary_index(
            index_name="outbox",
            partition_key=dynamodb.Attribute(name="outbox", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="changed_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        # Cases at which a notice becomes due by the clock, soonest first.
        self.notices.add_global_secondary_index(
            index_name="look",
            partition_key=dynamodb.Attribute(name="look", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="look_ms", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )

    def _table(self, id_: str, *, forgets: str | None = None) -> dynamodb.Table:
        # Not TableV2: it is a global table, whose encryption and tags CDK can write only for a region known at synth.
        return dynamodb.Table(
            self,
            id_,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=forgets,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self._key else dynamodb.TableEncryption.DEFAULT,
            encryption_key=self._key,
            deletion_protection=self._settings.keep_data,
            removal_policy=self._settings.removal,
        )
