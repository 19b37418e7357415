"""When a person should look: the line falls behind, fails, or gives something up."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

PERIOD = Duration.minutes(5)
LATE = Duration.minutes(10)  # guess: a case that late is still weeks early, and a slow start is over
OLD = Duration.hours(2)  # guess: eight runs, and before anybody's morning report
FAILING = 3  # periods in a row; one failed run is what retries are for
WAITING, WAITING_PERIODS = Duration.minutes(15), 4  # an hour of "later"; in each period the sweep has run at least once


class Alarms(Construct):
    """Alarms that tell `topic`, or only show, without one."""

    def __init__(self, scope: Construct, id_: str, *, topic: sns.ITopic | None) -> None:
        super().__init__(scope, id_)
        self._topic = topic

    def on_lag(self, *readers: lambda_.IFunction) -> None:
        for function in readers:
            age = function.metric("IteratorAge", statistic="Maximum", period=PERIOD)
            self._alarm(
                f"Late{function.node.id}",
                age,
                above=LATE.to_milliseconds() - 1,
                says="Captures wait in the stream: the function that reads it fails or is too slow.",
            )

    def on_failure(self, *functions: lambda_.IFunction) -> None:
        for function in functions:
            self._alarm(
                f"Failing{function.node.id}",
                function.metric_errors(period=PERIOD),
                periods=FAILING,
                says="The function fails again and again; its log says why.",
            )

    def on_failed_pages(self, function: lambda_.IFunction) -> None:
        """Of the function behind the evidence page, which tells whoever asked of its failures itself."""
        failed = function.metric("Url5xxCount", statistic="Sum", period=PERIOD)
        self._alarm(
            f"Failing{function.node.id}",
            failed,
            periods=FAILING,
            says="The evidence page fails again and again; the log of its function says why.",
        )

    def on_failed_day(self, *functions: lambda_.IFunction) -> None:
        """Of functions that run once a day: one failure is a day lost."""
        for function in functions:
            self._alarm(
                f"Failing{function.node.id}",
                function.metric_errors(period=PERIOD),
                says="The function failed, and runs again only tomorrow; its log says why.",
            )

    def on_failed_maintenance(self, function: lambda_.IFunction, *, interval: Duration) -> None:
        """Of the function that maintains the lake: one failure the next run makes good."""
        self._alarm(
            f"Failing{function.node.id}",
            function.metric_errors(period=interval),
            periods=2,
            says="The lake was not maintained twice in a row; `telltale lake` says which tables, the log says why.",
        )

    def on_failed_engine(self, machine: sfn.IStateMachine) -> None:
        period = Duration.days(1)
        ended_badly = cloudwatch.MathExpression(
            expression="failed + stopped + late",
            using_metrics={
                "failed": machine.metric_failed(period=period),
                "stopped": machine.metric_aborted(period=period),
                "late": machine.metric_timed_out(period=period),
            },
            period=period,
        )
        self._alarm(
            "FailedEngine",
            ended_badly,
            says="Athena did not maintain every table of the lake; the state machine's execution says which, and why.",
        )

    def on_dead_letters(self, queue: sqs.IQueue) -> None:
        self._alarm(
            "DeadLetters",
            queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            says="A case's message failed again and again; the log says why, `telltale redrive` sends it round again.",
        )

    def on_waiting_orders(self) -> None:
        waiting = cloudwatch.Metric(
            namespace="Telltale",
            metric_name="OrdersWaiting",  # which work_orders counts
            dimensions_map={"service": "work_orders"},
            statistic="Maximum",
            period=WAITING,
        )
        self._alarm(
            "WaitingOrders",
            waiting,
            periods=WAITING_PERIODS,
            says="A maintenance system has not taken its orders for an hour; each is asked for again until it does.",
        )

    def on_dead_notices(self, queue: sqs.IQueue) -> None:
        self._alarm(
            "DeadNotices",
            queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            says="A message for send_notices failed again and again; its log says why.",
        )

    def on_unsent_notices(self) -> None:
        for name, periods, says in (
            (
                "NoticesGivenUp",
                1,
                "A notice was refused, or could not be sent for a day; `telltale notices log` says why.",
            ),
            ("NoticesWaiting", WAITING_PERIODS, "A channel has taken no notices for an hour; each is tried again."),
        ):
            unsent = cloudwatch.Metric(
                namespace="Telltale",
                metric_name=name,  # which send_notices counts
                dimensions_map={"service": "send_notices"},
                statistic="Maximum",
                period=WAITING,
            )
            self._alarm(name, unsent, periods=periods, says=says)

    def on_old_aggregates(self) -> None:
        behind = cloudwatch.Metric(
            namespace="Telltale",
            metric_name="AggregatesBehind",  # in seconds, which aggregate_lake tells in each run
            dimensions_map={"service": "aggregate_lake"},
            statistic="Maximum",
            period=WAITING,
        )
        self._alarm(
            "OldAggregates",
            behind,
            above=OLD.to_seconds(),
            says="A day that changed has waited for its aggregates for hours; `telltale status` says why.",
        )

    def on_undelivered(self, rules: Sequence[iot.CfnTopicRule]) -> None:
        for rule in rules:
            failures = cloudwatch.Metric(
                namespace="AWS/IoT",
                metric_name="Failure",
                dimensions_map={"RuleName": rule.ref, "ActionType": "Kinesis"},
                statistic="Sum",
                period=PERIOD,
            )
            self._alarm(
                f"Undelivered{rule.node.id}",
                failures,
                says="Messages did not reach the stream; they are in the lake bucket below rule-errors/.",
            )

    def on_undelivered_events(self) -> None:
        for service in ("detect_anomalies", "stale_sensors"):
            undelivered = cloudwatch.Metric(
                namespace="Telltale",
                metric_name="MonitronEventsUndelivered",  # which they count
                dimensions_map={"service": service},
                statistic="Sum",
                period=PERIOD,
            )
            self._alarm(
                f"Untold-{service}",
                undelivered,
                says="The stream in Monitron's format lacks events; `telltale export monitron` makes them again.",
            )

    def _alarm(self, id_: str, metric: cloudwatch.IMetric, *, says: str, above: float = 0, periods: int = 1) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id_,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=f"{Stack.of(self).stack_name}: {says}",
        )
        if self._topic:
            alarm.add_alarm_action(actions.SnsAction(self._topic))
