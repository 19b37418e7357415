"""Notices to people: their queue, their topic, and the function that sends them.

The queue hears of every change of a case ten seconds after it, by when most cases have their work order, or are known
to share one. What becomes due while nothing changes, the clock tells.
"""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.function import Function

TIMEOUT_S = 120  # a few cases whose channels take all the time they are given
DELAY = Duration.seconds(10)  # longer than an order takes with most systems (guess)
DELIVERIES = 8  # of a message that fails by a fault of ours, 12 minutes apart; a channel that is down fails none
EVERY = Duration.minutes(1)  # how exact escalations, reminders and hours are


class Notices(Construct):
    """Beside the data, and not in the line: the queue's policy names the rule, and who is subscribed is data."""

    def __init__(self, scope: Construct, id_: str, *, bus: events.IEventBus, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.people = sns.Topic(
            self,
            "People",
            enforce_ssl=True,
            master_key=key or kms.Alias.from_alias_name(self, "SnsKey", "alias/aws/sns"),
        )
        self.dead_letters = self._queue("DeadLetters", key=key, retention_period=Duration.days(14))
        self.queue = self._queue(
            "Queue",
            key=key,
            delivery_delay=DELAY,
            visibility_timeout=Duration.seconds(6 * TIMEOUT_S),  # as AWS asks for
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=DELIVERIES),
        )
        events.Rule(
            self,
            "CasesToNotices",
            event_bus=bus,
            event_pattern=events.EventPattern(source=["telltale"], detail_type=events.Match.prefix("Case ")),
            targets=[targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)],
        )

    def sent_by(self, function: Function) -> None:
        """Lets the function tell people, and see who is subscribed."""
        self.people.grant_publish(function)
        iam.Grant.add_to_principal(
            grantee=function, actions=["sns:ListSubscriptionsByTopic"], resource_arns=[self.people.topic_arn]
        )

    def outputs(self) -> dict[str, str]:
        return {
            "NoticesQueueUrl": self.queue.queue_url,
            "NoticesDeadLettersUrl": self.dead_letters.queue_url,
            "PeopleTopicArn": self.people.topic_arn,
        }

    def _queue(self, id_: str, *, key: kms.IKey | None, **options: object) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            **options,  # type: ignore[arg-type]  # Queue's own keywords, passed on
        )
