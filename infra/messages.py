"""Who is told: events on a bus, notices to people, and the queue of cases that need their work order looked at."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.settings import Settings

WORK_ORDERS_TIMEOUT_S = 120  # three cases of a maintenance system that takes all the time it is given
# Of a message that fails by a fault of ours, 12 minutes apart: an hour and a half, then a person is told. One whose
# maintenance system says "later" never comes so often: work_orders leaves it to the sweep before (TRIES).
DELIVERIES = 8


class Messages(Construct):
    def __init__(self, scope: Construct, id_: str, *, settings: Settings, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.bus = events.EventBus(self, "Bus", kms_key=key)
        self.notices = sns.Topic(
            self,
            "Notices",
            enforce_ssl=True,
            master_key=key or kms.Alias.from_alias_name(self, "SnsKey", "alias/aws/sns"),
        )
        if settings.alarm_email:
            self._tell(settings.alarm_email)
        self.dead_letters = self._queue("DeadLetters", key=key, retention_period=Duration.days(14))
        self.orders = self._queue(
            "Orders",
            key=key,
            visibility_timeout=Duration.seconds(6 * WORK_ORDERS_TIMEOUT_S),  # as AWS asks for
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=DELIVERIES),
        )
        # Here and not in the line: the queue's policy names this rule, and the line already names the queue.
        events.Rule(
            self,
            "CasesToOrders",
            event_bus=self.bus,
            event_pattern=events.EventPattern(source=["telltale"], detail_type=events.Match.prefix("Case ")),
            targets=[targets.SqsQueue(self.orders, dead_letter_queue=self.dead_letters)],
        )

    def _tell(self, email: str) -> None:
        """Send the notices, and the alarms of this account, to `email`."""
        self.notices.add_subscription(subscriptions.EmailSubscription(email))
        account = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        self.notices.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com", conditions=account))

    def _queue(self, id_: str, *, key: kms.IKey | None, **options: object) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            **options,  # type: ignore[arg-type]  # Queue's own keywords, passed on
        )
