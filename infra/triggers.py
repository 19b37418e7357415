"""What starts a function: records on a stream, cases in the queue, the clock."""

import jsii
from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from infra.settings import Settings

RECORDS = 300  # a batch; waveforms reach Lambda's 6 MB an invocation first, at about 30
WINDOW = Duration.seconds(1)  # what a capture may wait for company, twice on its way to a case
LAST_CALL = Duration.hours(1)  # before the stream forgets a batch, set it aside
LONGEST_WAIT = Duration.hours(6)  # that an event may wait for a function (AWS Lambda API, MaximumEventAgeInSeconds)
ORDERS = 10
ORDERS_AT_ONCE = 5  # guess: calls that a maintenance system takes side by side


def on_records(
    function: lambda_.Function, *, stream: kinesis.IStream, failures: s3.IBucket, settings: Settings
) -> None:
    """Run `function` on each shard's records in order, retrying until nearly the stream's end, then setting aside."""
    oldest = Duration.hours(settings.stream_retention_hours).minus(LAST_CALL)
    function.add_event_source(
        sources.KinesisEventSource(
            stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=RECORDS,
            max_batching_window=WINDOW,
            parallelization_factor=1,  # one writer a shard: that is what makes the receipts' sequence numbers enough
            report_batch_item_failures=True,
            bisect_batch_on_error=True,  # a record that kills the function ends up alone
            max_record_age=oldest,
            on_failure=SetAside(failures),
        )
    )


@jsii.implements(lambda_.IEventSourceDlq)
class SetAside:
    """Batches given up go to the bucket, payload included, under `aws/lambda/<mapping>/<shard>/<yyyy>/<mm>/<dd>/…`.

    CDK's own S3OnFailureDestination does the same and lets the function read and write the whole bucket. AWS asks for
    the right to put objects and the right to list them (AWS Lambda developer guide, "on-failure destinations").
    """

    def __init__(self, bucket: s3.IBucket) -> None:
        self._bucket = bucket

    def bind(
        self, target: lambda_.IEventSourceMapping, target_handler: lambda_.IFunction
    ) -> lambda_.DlqDestinationConfig:
        self._bucket.grant_put(target_handler, "aws/lambda/*")
        iam.Grant.add_to_principal(
            grantee=target_handler, actions=["s3:ListBucket"], resource_arns=[self._bucket.bucket_arn]
        )
        return lambda_.DlqDestinationConfig(destination=self._bucket.bucket_arn)


def on_cases(function: lambda_.Function, *, queue: sqs.IQueue) -> None:
    """Run `function` on the cases in `queue`; those it reports as failed come again."""
    function.add_event_source(
        sources.SqsEventSource(
            queue, batch_size=ORDERS, max_concurrency=ORDERS_AT_ONCE, report_batch_item_failures=True
        )
    )


def every(interval: Duration, *, run: lambda_.Function, retries: int = 0) -> None:
    """Run `run` by the clock. A failed or late run is not repeated, for the next one does its work; unless it is told
    to try again, after one minute and after two more (AWS Lambda developer guide, asynchronous invocation).
    """
    wait = interval if interval.to_seconds() <= LONGEST_WAIT.to_seconds() else LONGEST_WAIT
    run.configure_async_invoke(retry_attempts=retries, max_event_age=wait)
    events.Rule(run, "Clock", schedule=events.Schedule.rate(interval), targets=[targets.LambdaFunction(run)])
