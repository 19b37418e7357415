"""The line: from a gateway's message to a work order. It holds no data and can be thrown away and made again."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.alarms import Alarms
from infra.data import Data
from infra.engine import Engine
from infra.function import DISK_MB, ONE_CPU_MB, TWO_CPUS_MB, WAITS_MB, Function
from infra.gateways import IOT_WAITS_S, Gateways
from infra.ingest import Ingest
from infra.layers import Layers
from infra.messages import WORK_ORDERS_TIMEOUT_S
from infra.notices import EVERY as LOOK_AT_NOTICES
from infra.notices import TIMEOUT_S as NOTICES_TIMEOUT_S
from infra.pages import Pages
from infra.settings import Settings
from infra.triggers import every, on_cases, on_records

SORTING_MB = 4096  # 512 MB of data files (compaction.GROUP_BYTES), unpacked to be sorted: a guess at eight times


class Line(Stack):
    def __init__(self, scope: Construct, id_: str, *, settings: Settings, data: Data, **stack: Any) -> None:
        super().__init__(scope, id_, description="Telltale: from a gateway's message to a work order", **stack)
        self._settings, self._environment = settings, _environment(data, settings)
        lake, tables, messages = data.lake, data.tables, data.messages

        # Create
        layers = Layers(self, "Layers", wanted=self.node.try_get_context("layers"))
        extract = self._function("extract_features", layers.arrow, memory_mb=ONE_CPU_MB, timeout_s=120)
        detect = self._function("detect_anomalies", layers.pictures, memory_mb=ONE_CPU_MB, timeout_s=120)
        commit = self._function("commit_lake", layers.iceberg, memory_mb=ONE_CPU_MB, timeout_s=300)
        aggregate = self._function("aggregate_lake", layers.iceberg, memory_mb=ONE_CPU_MB, timeout_s=900)
        maintain = self._function(
            "maintain_lake", layers.iceberg, memory_mb=TWO_CPUS_MB, timeout_s=900, disk_mb=SORTING_MB
        )
        orders = self._function("work_orders", layers.base, memory_mb=WAITS_MB, timeout_s=WORK_ORDERS_TIMEOUT_S)
        send = self._function("send_notices", layers.base, memory_mb=WAITS_MB, timeout_s=NOTICES_TIMEOUT_S)
        score = self._function("score_assets", layers.iceberg, memory_mb=ONE_CPU_MB, timeout_s=300)
        train = self._function("train_models", layers.iceberg, memory_mb=TWO_CPUS_MB, timeout_s=900)
        stale = self._function("stale_sensors", layers.base, memory_mb=WAITS_MB, timeout_s=60)
        hook = self._function("provisioning_hook", layers.base, memory_mb=ONE_CPU_MB, timeout_s=IOT_WAITS_S)
        ingest = Ingest(self, "Ingest", settings=settings, stream=data.captures, lake=lake.bucket)
        gateways = Gateways(self, "Gateways", rules=ingest.rules, hook=hook)

        # Connect
        on_records(extract, stream=data.captures, failures=lake.bucket, settings=settings)
        on_records(detect, stream=data.features, failures=lake.bucket, settings=settings)
        on_cases(orders, queue=messages.orders)
        on_cases(send, queue=data.notices.queue)
        every(Duration.minutes(settings.commit_minutes), run=commit)
        every(Duration.minutes(settings.aggregate_minutes), run=aggregate, retries=2)
        every(Duration.hours(settings.maintain_hours), run=maintain)
        every(Duration.minutes(settings.sweep_minutes), run=orders)
        every(LOOK_AT_NOTICES, run=send)
        every(Duration.minutes(settings.stale_minutes), run=stale)
        every(Duration.minutes(settings.score_minutes), run=score)
        every(Duration.days(1), run=train)  # what is due, which each asset says itself

        # Grant
        for function in (extract, detect, score):
            lake.grant_receipts(function)
            tables.progress.grant_read_write_data(function)
        for function in (extract, detect, score, stale, train):
            messages.bus.grant_put_events_to(function)
        for function in (extract, detect, orders, send, score, stale, hook, train):
            tables.registry.grant_read_data(function)
        for function in (extract, orders, score):
            data.features.grant_write(function)
        for function in (detect, stale):
            tables.states.grant_read_write_data(function)
        for function in (detect, orders):
            tables.cases.grant_read_write_data(function)
        for function in (score, train):
            lake.grant_rows(function)
            tables.models.grant_read_write_data(function)
        lake.grant_models(train)
        lake.bucket.grant_read(score, "models/*")
        tables.cases.grant_read_data(train)
        lake.grant_evidence(detect)
        lake.grant_commit(commit)
        tables.progress.grant_read_write_data(commit)
        lake.grant_aggregation(aggregate)
        tables.progress.grant(aggregate, "dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem")
        lake.grant_maintenance(maintain)
        tables.progress.grant_read_write_data(maintain)
        tables.registry.grant_read_data(maintain)
        tables.cases.grant_read_data(maintain)
        tables.states.grant_read_data(orders)
        tables.ledger.grant_read_write_data(orders)
        tables.logbook.grant_read_write_data(orders)
        data.webhook_secret.grant_read(orders)
        data.cmms_secrets.grant_read(orders)
        messages.notices.grant_publish(orders)
        messages.orders.grant_send_messages(orders)
        lake.grant_pictures(orders)
        tables.cases.grant_read_data(send)
        tables.notices.grant_read_write_data(send)
        data.cmms_secrets.grant_read(send)
        data.notices.sent_by(send)

        if data.monitron:
            data.monitron.grant_write(detect)
            data.monitron.grant_write(stale)

        # Watch
        alarms = Alarms(self, "Alarms", topic=messages.notices if settings.alarm_email else None)
        alarms.on_lag(extract, detect)
        alarms.on_failure(extract, detect, commit, aggregate, orders, send, score, stale, hook)
        alarms.on_failed_day(train)
        alarms.on_failed_maintenance(maintain, interval=Duration.hours(settings.maintain_hours))
        alarms.on_dead_letters(messages.dead_letters)
        alarms.on_waiting_orders()
        alarms.on_dead_notices(data.notices.dead_letters)
        alarms.on_unsent_notices()
        alarms.on_old_aggregates()
        if settings.lake_engine == "athena":
            alarms.on_failed_engine(Engine(self, "Engine", settings=settings, lake=lake).machine)
        alarms.on_undelivered(ingest.rules)
        if data.monitron:
            alarms.on_undelivered_events()

        outputs = {
            "CommitFunction": commit.function_name,
            "AggregateFunction": aggregate.function_name,
            "MaintainFunction": maintain.function_name,
            "ScoreFunction": score.function_name,
            "TrainFunction": train.function_name,
            "WorkOrdersFunction": orders.function_name,
            "SendNoticesFunction": send.function_name,
            "StaleFunction": stale.function_name,
            "GatewayPolicy": gateways.policy.ref,
            "GatewayThingType": gateways.thing_type.ref,
            "ProvisioningTemplate": gateways.template.ref,
            "CaptureRule": ingest.capture_rule.ref,
            "WaveRule": ingest.wave_rule.ref,
        }
        if settings.pages:
            outputs["PagesUrl"] = self._open_pages(data, layers, alarms, links=[orders, send])
        if settings.hints_url:
            outputs["HintsUrl"] = self._open_to_hints(orders)
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _open_pages(self, data: Data, layers: Layers, alarms: Alarms, *, links: Sequence[Function]) -> str:
        """The address of the evidence page, to which the functions `links` make links."""
        at_once = self._settings.pages_at_once or None
        page = self._function("evidence_page", layers.base, memory_mb=ONE_CPU_MB, timeout_s=10, at_once=at_once)
        pages = Pages(self, "Pages", function=page, data=data)
        pages.link_from(*links)
        pages.unsubscribe_by(data.notices.queue)
        alarms.on_failed_pages(page)
        return pages.url

    def _open_to_hints(self, function: lambda_.Function) -> str:
        """The address at which `function` takes hints. Maintenance systems cannot sign as AWS does, so AWS asks
        nobody who they are: the HMAC over body and timestamp says it, and work_orders answers 401 without it.
        """
        return function.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE).url

    def _function(
        self,
        module: str,
        layers: list[lambda_.ILayerVersion],
        *,
        memory_mb: int,
        timeout_s: int,
        disk_mb: int = DISK_MB,
        at_once: int | None = None,
    ) -> Function:
        return Function(
            self,
            "".join(word.title() for word in module.split("_")),
            module=module,
            memory_mb=memory_mb,
            disk_mb=disk_mb,
            at_once=at_once,
            timeout=Duration.seconds(timeout_s),
            layers=layers,
            environment=self._environment,
            settings=self._settings,
        )


def _environment(data: Data, settings: Settings) -> dict[str, str]:
    """Where everything is. Each function is told all of it; what it may touch, its role decides."""
    return {
        "LAKE_BUCKET": data.lake.bucket.bucket_name,
        "LAKE_ENGINE": settings.lake_engine,
        "GLUE_DATABASE": data.lake.database_name,
        "WORKGROUP": data.lake.workgroup_name,
        "QUERY_ENGINE": "athena",
        "REGISTRY_TABLE": data.tables.registry.table_name,
        "STATES_TABLE": data.tables.states.table_name,
        "CASES_TABLE": data.tables.cases.table_name,
        "LEDGER_TABLE": data.tables.ledger.table_name,
        "LOGBOOK_TABLE": data.tables.logbook.table_name,
        "MODELS_TABLE": data.tables.models.table_name,
        "PROGRESS_TABLE": data.tables.progress.table_name,
        "NOTICES_TABLE": data.tables.notices.table_name,
        "CAPTURES_STREAM": data.captures.stream_name,
        "FEATURES_STREAM": data.features.stream_name,
        "MONITRON_STREAM": data.monitron.stream_name if data.monitron else "",
        "BUS_NAME": data.messages.bus.event_bus_name,
        "ORDERS_QUEUE_URL": data.messages.orders.queue_url,
        "TOPIC_ARN": data.messages.notices.topic_arn,
        "PEOPLE_TOPIC_ARN": data.notices.people.topic_arn,
        "WEBHOOK_SECRET_ARN": data.webhook_secret.secret_arn,
        "CMMS_SECRETS_ARN": data.cmms_secrets.secret_arn,
        "LINK_KEY_ARN": data.link_key.secret_arn,
        "NOTICES_QUEUE_URL": "",  # the page is told it, if notices are sent
        "PAGES_URL": "",  # a function that makes links is told where they lead, if the stage has the page
    }
