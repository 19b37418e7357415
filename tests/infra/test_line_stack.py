"""Promises of the line: what starts what, what is retried, and where goes what fails."""

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import aws_cdk as cdk
import pytest
import work_orders
from aws_cdk.assertions import Template
from telltale.adapters import aggregates, changed_days
from telltale.adapters import settings as function_settings
from telltale.adapters.ledger import LEASE_MS
from telltale.adapters.notices.table import LOOK_INDEX
from telltale.core import notices

from infra import lake, layers
from infra.data import Data
from infra.line import Line
from infra.settings import Settings
from tests.infra.assembly import ROOT, Assembly, Json, Resource, stages_context

pytestmark = pytest.mark.synth

SETTINGS: dict[str, Any] = {
    "aggregate_lake": function_settings.AggregateSettings,
    "commit_lake": function_settings.CommitSettings,
    "detect_anomalies": function_settings.DetectSettings,
    "evidence_page": function_settings.PageSettings,
    "extract_features": function_settings.ExtractSettings,
    "maintain_lake": function_settings.MaintainSettings,
    "provisioning_hook": function_settings.ProvisioningSettings,
    "score_assets": function_settings.ScoreSettings,
    "send_notices": function_settings.NoticesSettings,
    "stale_sensors": function_settings.StaleSettings,
    "train_models": function_settings.TrainSettings,
    "work_orders": function_settings.WorkOrdersSettings,
}

OUTPUTS = {
    "AggregateFunction", "BusName", "CaptureRule", "CapturesStream", "CasesTable", "CommitFunction", "FeaturesStream",
    "CmmsSecretsArn", "GatewayPolicy", "GatewayThingType", "GlueDatabase", "LakeBucket", "LedgerTable", "LinkKeyArn",
    "LogbookTable", "MaintainFunction", "ModelsTable", "NoticesDeadLettersUrl", "NoticesQueueUrl", "NoticesTable",
    "OrdersDeadLettersUrl", "OrdersQueueUrl", "PagesUrl", "PeopleTopicArn", "ProgressTable", "ProvisioningTemplate",
    "RegistryTable", "ScoreFunction", "SendNoticesFunction", "StaleFunction", "StatesTable", "TopicArn",
    "TrainFunction", "WaveRule", "WebhookSecretArn", "WorkOrdersFunction", "Workgroup",
}  # fmt: skip

LINKING = {"send_notices", "work_orders"}  # functions that make links to the evidence page


def functions(stage: Assembly) -> dict[str, Resource]:
    """Resource of each function, by module."""
    return {f.properties["Handler"].split(".")[0]: f for f in stage.of("AWS::Lambda::Function")}


def mapping(stage: Assembly, module: str) -> Json:
    [found] = [
        m.properties
        for m in stage.of("AWS::Lambda::EventSourceMapping")
        if m.properties["FunctionName"] == functions(stage)[module].id
    ]
    return found


# --- Functions


def test_every_function_has_a_handler_file(stage: Assembly) -> None:
    assert set(functions(stage)) == set(SETTINGS)
    assert [module for module in SETTINGS if not (ROOT / "lambdas" / f"{module}.py").exists()] == []


@pytest.mark.parametrize("module", SETTINGS)
def test_a_function_is_told_what_its_settings_ask_for(stage: Assembly, module: str) -> None:
    told = functions(stage)[module].properties["Environment"]["Variables"]

    assert {field.name.upper() for field in fields(SETTINGS[module])} <= set(told)


def test_no_secret_is_in_an_environment(stage: Assembly) -> None:
    for function in functions(stage).values():
        values = str(function.properties["Environment"]["Variables"])
        assert "{{resolve:" not in values


def test_functions_run_on_arm_are_traced_and_share_one_asset(stage: Assembly) -> None:
    properties = [function.properties for function in functions(stage).values()]

    assert {tuple(p["Architectures"]) for p in properties} == {("arm64",)}
    assert {p["Runtime"] for p in properties} == {"python3.13"}
    assert {p["TracingConfig"]["Mode"] for p in properties} == {"Active"}
    assert len({json.dumps(p["Code"]) for p in properties}) == 1


def test_the_asset_has_no_caches(stage: Assembly) -> None:
    [asset] = stage.folder.glob("asset.*")

    assert (asset / "telltale" / "core").is_dir()
    assert list(asset.rglob("__pycache__")) == []


def test_no_log_is_kept_for_ever(stage: Assembly) -> None:
    groups = {group.id: group.properties.get("RetentionInDays") for group in stage.of("AWS::Logs::LogGroup")}

    assert {f.properties["LoggingConfig"]["LogGroup"] for f in functions(stage).values()} == set(groups)
    assert set(groups.values()) == {stages_context()["stages"][stage_name(stage)]["log_days"]}


def stage_name(stage: Assembly) -> str:
    manifest = json.loads((stage.folder / "manifest.json").read_text())
    name: str = manifest["artifacts"]["TelltaleLine"]["properties"]["tags"]["stage"]
    return name


# --- Streams


@pytest.mark.parametrize(("module", "stream"), [("extract_features", "Captures"), ("detect_anomalies", "Features")])
def test_a_shard_is_read_in_order_by_one_reader_from_its_oldest_record(
    stage: Assembly, module: str, stream: str
) -> None:
    reader = mapping(stage, module)

    assert reader["EventSourceArn"].startswith(stream)
    assert reader["ParallelizationFactor"] == 1
    assert reader["StartingPosition"] == "TRIM_HORIZON"
    assert reader["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize("module", ["extract_features", "detect_anomalies"])
def test_a_batch_is_retried_until_shortly_before_the_stream_forgets_it(stage: Assembly, module: str) -> None:
    reader = mapping(stage, module)
    [hours] = {stream.properties["RetentionPeriodHours"] for stream in stage.of("AWS::Kinesis::Stream")}

    assert "MaximumRetryAttempts" not in reader  # as often as it takes
    assert timedelta(hours=hours - 2) <= timedelta(seconds=reader["MaximumRecordAgeInSeconds"]) < timedelta(hours=hours)


@pytest.mark.parametrize("module", ["extract_features", "detect_anomalies"])
def test_a_batch_given_up_is_set_aside_in_the_lake_with_its_records(stage: Assembly, module: str) -> None:
    destination = mapping(stage, module)["DestinationConfig"]["OnFailure"]["Destination"]

    assert destination.startswith("LakeBucket")  # a bucket is sent the records themselves, a queue only their numbers


@pytest.mark.parametrize("module", ["extract_features", "detect_anomalies"])
def test_a_record_that_kills_the_function_ends_up_alone(stage: Assembly, module: str) -> None:
    assert mapping(stage, module)["BisectBatchOnFunctionError"] is True


def test_a_capture_waits_at_most_a_second_in_each_stream(stage: Assembly) -> None:
    readers = [mapping(stage, module) for module in ("extract_features", "detect_anomalies")]

    assert max(reader["MaximumBatchingWindowInSeconds"] for reader in readers) <= 1


# --- Work orders


def test_a_case_event_reaches_the_queue_of_work_orders(stage: Assembly) -> None:
    rule = stage.the("AWS::Events::Rule", "MessagesCasesToOrders").properties
    [target] = rule["Targets"]

    assert rule["EventBusName"].startswith("MessagesBus")
    assert rule["EventPattern"] == {"source": ["telltale"], "detail-type": [{"prefix": "Case "}]}
    assert target["Arn"].startswith("MessagesOrders")
    assert target["DeadLetterConfig"]["Arn"].startswith("MessagesDeadLetters")


def test_a_message_is_not_handed_out_again_while_it_is_worked_on(stage: Assembly) -> None:
    queue = stage.the("AWS::SQS::Queue", "MessagesOrders").properties
    worker = functions(stage)["work_orders"].properties

    assert queue["VisibilityTimeout"] >= 6 * worker["Timeout"]
    assert mapping(stage, "work_orders")["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_message_that_fails_again_and_again_is_kept_as_a_dead_letter_for_two_weeks(stage: Assembly) -> None:
    queue = stage.the("AWS::SQS::Queue", "MessagesOrders").properties
    dead = stage.the("AWS::SQS::Queue", "MessagesDeadLetters").properties

    assert queue["RedrivePolicy"]["deadLetterTargetArn"].startswith("MessagesDeadLetters")
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 3
    assert dead["MessageRetentionPeriod"] == timedelta(days=14).total_seconds()


def test_a_message_is_left_to_the_sweep_before_it_is_a_dead_letter(stage: Assembly) -> None:
    """So a maintenance system that is down for a day fills no dead letters."""
    queue = stage.the("AWS::SQS::Queue", "MessagesOrders").properties

    assert queue["RedrivePolicy"]["maxReceiveCount"] > work_orders.TRIES


def test_a_case_is_leased_for_longer_than_its_worker_can_live(stage: Assembly) -> None:
    worker = functions(stage)["work_orders"].properties

    assert timedelta(milliseconds=LEASE_MS) > timedelta(seconds=worker["Timeout"])


# --- Notices


def test_a_case_event_reaches_the_queue_of_notices_when_its_order_may_be_known(stage: Assembly) -> None:
    rule = stage.the("AWS::Events::Rule", "NoticesCasesToNotices").properties
    queue = stage.the("AWS::SQS::Queue", "NoticesQueue").properties
    [target] = rule["Targets"]

    assert rule["EventBusName"].startswith("MessagesBus")
    assert rule["EventPattern"] == {"source": ["telltale"], "detail-type": [{"prefix": "Case "}]}
    assert (target["Arn"][:12], target["DeadLetterConfig"]["Arn"][:18]) == ("NoticesQueue", "NoticesDeadLetters")
    assert timedelta(seconds=queue["DelaySeconds"]) < timedelta(milliseconds=notices.GRACE_MS)


def test_what_was_begun_is_sent_again_only_when_its_function_is_dead_and_its_message_may_come_again(
    stage: Assembly,
) -> None:
    sender = functions(stage)["send_notices"].properties
    queue = stage.the("AWS::SQS::Queue", "NoticesQueue").properties

    assert timedelta(milliseconds=notices.LEASE_MS) > timedelta(seconds=sender["Timeout"])
    assert queue["VisibilityTimeout"] >= 6 * sender["Timeout"]
    assert mapping(stage, "send_notices")["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_clock_looks_at_notices_every_minute(stage: Assembly) -> None:
    function = functions(stage)["send_notices"].id
    [rule] = [r.properties for r in stage.of("AWS::Events::Rule") if function in str(r.properties.get("Targets"))]

    assert rule["ScheduleExpression"] == "rate(1 minute)"


def test_cases_at_which_a_notice_becomes_due_can_be_found_soonest_first(stage: Assembly) -> None:
    [index] = stage.the("AWS::DynamoDB::Table", "TablesNotices").properties["GlobalSecondaryIndexes"]

    assert index["IndexName"] == LOOK_INDEX
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["look", "look_ms"]


def test_a_maintenance_system_that_takes_no_orders_for_an_hour_raises_an_alarm(stage: Assembly) -> None:
    alarm = stage.the("AWS::CloudWatch::Alarm", "AlarmsWaitingOrders").properties
    sweep = stages_context()["stages"][stage_name(stage)]["sweep_minutes"]

    assert (alarm["Namespace"], alarm["MetricName"]) == ("Telltale", "OrdersWaiting")
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "work_orders"}]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == timedelta(hours=1).total_seconds()
    assert alarm["Period"] >= 2 * sweep * 60  # no period without a sweep


def test_every_queue_that_feeds_a_function_has_dead_letters(stage: Assembly) -> None:
    fed = {m.properties["EventSourceArn"] for m in stage.of("AWS::Lambda::EventSourceMapping")}
    without = [q.id for q in stage.of("AWS::SQS::Queue") if q.id in fed and "RedrivePolicy" not in q.properties]

    assert without == []


# --- Hints of maintenance systems


def test_no_address_but_the_evidence_page_is_open_unless_the_stage_asks_for_it(stage: Assembly) -> None:
    [url] = stage.of("AWS::Lambda::Url")

    assert url.properties["TargetFunctionArn"] == functions(stage)["evidence_page"].id


def test_where_the_stage_asks_for_it_hints_reach_work_orders_and_nothing_else_is_open() -> None:
    app = cdk.App(context={"layers": "unbuilt"})
    asked = stages_context()["stages"]["demo"] | {"hints_url": True, "pages": False}
    settings = Settings.of("plant", {"plant": asked})

    line = Template.from_stack(Line(app, "Line", settings=settings, data=Data(app, "Data", settings=settings)))

    [(address, url)] = line.find_resources("AWS::Lambda::Url").items()
    [output] = line.find_outputs("HintsUrl").values()
    target = url["Properties"]["TargetFunctionArn"]["Fn::GetAtt"][0]
    permissions = [p["Properties"] for p in line.find_resources("AWS::Lambda::Permission").values()]
    to_all = [p for p in permissions if p["Principal"] == "*"]
    assert output["Value"] == {"Fn::GetAtt": [address, "FunctionUrl"]}
    assert url["Properties"]["AuthType"] == "NONE"
    assert line.find_resources("AWS::Lambda::Function")[target]["Properties"]["Handler"] == "work_orders.handler"
    assert {p["FunctionName"]["Fn::GetAtt"][0] for p in to_all} == {target}
    # Called by its address only: AWS asks for both rights.
    assert {p["Action"]: (p.get("FunctionUrlAuthType"), p.get("InvokedViaFunctionUrl")) for p in to_all} == {
        "lambda:InvokeFunctionUrl": ("NONE", None),
        "lambda:InvokeFunction": (None, True),
    }


# --- The evidence page


def test_a_stage_without_pages_has_no_address_and_its_orders_have_no_links() -> None:
    app = cdk.App(context={"layers": "unbuilt"})
    settings = Settings.of("plant", {"plant": stages_context()["stages"]["demo"] | {"pages": False}})

    line = Template.from_stack(Line(app, "Line", settings=settings, data=Data(app, "Data", settings=settings)))

    told = [f["Properties"] for f in line.find_resources("AWS::Lambda::Function").values()]
    assert line.find_resources("AWS::Lambda::Url") == {}
    assert line.find_outputs("PagesUrl") == {}
    assert {f["Environment"]["Variables"]["PAGES_URL"] for f in told} == {""}
    assert "evidence_page.handler" not in {f["Handler"] for f in told}


def test_those_who_make_links_are_told_where_the_page_is(stage: Assembly) -> None:
    [url] = stage.of("AWS::Lambda::Url")
    told = {m: f.properties["Environment"]["Variables"] for m, f in functions(stage).items()}

    assert stage.outputs()["PagesUrl"] == url.id
    assert {m for m, env in told.items() if env["PAGES_URL"]} == LINKING
    assert {told[m]["PAGES_URL"] for m in LINKING} == {url.id}


def test_in_production_strangers_at_the_page_take_no_more_than_its_share_of_the_account(production: Assembly) -> None:
    page = functions(production)["evidence_page"].properties

    assert page["ReservedConcurrentExecutions"] == 5
    assert page["Timeout"] <= 10


def test_a_page_that_fails_again_and_again_raises_an_alarm(stage: Assembly) -> None:
    alarm = stage.the("AWS::CloudWatch::Alarm", "AlarmsFailingEvidencePage").properties

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Url5xxCount")
    assert [one["Value"] for one in alarm["Dimensions"]] == [functions(stage)["evidence_page"].id]


def test_the_key_of_links_is_made_by_aws_and_outlives_the_line(stage: Assembly) -> None:
    key = stage.the("AWS::SecretsManager::Secret", "LinkKey")
    keeps = stages_context()["stages"][stage_name(stage)]["keep_data"]

    assert key.properties["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}
    assert key.whole["DeletionPolicy"] == ("Retain" if keeps else "Delete")


def test_where_the_stage_asks_for_it_events_go_on_a_stream_of_their_own_too() -> None:
    app = cdk.App(context={"layers": "unbuilt"})
    settings = Settings.of("plant", {"plant": stages_context()["stages"]["production"] | {"monitron_stream": True}})
    kept = Data(app, "Data", settings=settings)

    line, data = (Template.from_stack(stack) for stack in (Line(app, "Line", settings=settings, data=kept), kept))

    [name] = data.find_outputs("MonitronStream").values()
    stream = data.find_resources("AWS::Kinesis::Stream")[name["Value"]["Ref"]]["Properties"]
    writers = [
        policy["Properties"]["Roles"][0]["Ref"]
        for policy in line.find_resources("AWS::IAM::Policy").values()
        if name["Value"]["Ref"] in str(policy["Properties"]["PolicyDocument"])
    ]
    assert (stream["ShardCount"], stream["StreamEncryption"]["EncryptionType"]) == (settings.shards, "KMS")
    assert sorted(role[:13] for role in writers) == ["DetectAnomali", "StaleSensorsR"]
    assert len([id_ for id_ in line.find_resources("AWS::CloudWatch::Alarm") if "Untold" in id_]) == 2


def test_no_stage_has_that_stream_unasked(stage: Assembly) -> None:
    told = [
        function.properties["Environment"]["Variables"]["MONITRON_STREAM"] for function in functions(stage).values()
    ]

    assert set(told) == {""}
    assert "MonitronStream" not in stage.outputs()


# --- The clock


def test_the_lake_is_maintained_by_the_hour_with_room_to_sort(stage: Assembly) -> None:
    function = functions(stage)["maintain_lake"]
    [rule] = [r.properties for r in stage.of("AWS::Events::Rule") if function.id in str(r.properties.get("Targets"))]
    hours = stages_context()["stages"][stage_name(stage)]["maintain_hours"]

    assert rule["ScheduleExpression"] == f"rate({hours} hour{'s' if hours > 1 else ''})"
    assert function.properties["Timeout"] == 900
    assert function.properties["EphemeralStorage"] == {"Size": 4096}


@pytest.mark.parametrize(
    ("module", "setting"),
    [
        ("commit_lake", "commit_minutes"),
        ("score_assets", "score_minutes"),
        ("stale_sensors", "stale_minutes"),
        ("work_orders", "sweep_minutes"),
    ],
)
def test_the_clock_runs_it_and_leaves_what_fails_to_the_next_run(stage: Assembly, module: str, setting: str) -> None:
    function = functions(stage)[module].id
    [rule] = [r.properties for r in stage.of("AWS::Events::Rule") if function in str(r.properties.get("Targets"))]
    asynchronous = [i.properties for i in stage.of("AWS::Lambda::EventInvokeConfig")]
    minutes = stages_context()["stages"][stage_name(stage)][setting]

    assert rule["ScheduleExpression"] == f"rate({minutes} minute{'s' if minutes > 1 else ''})"
    assert rule["State"] == "ENABLED"
    assert [a["MaximumRetryAttempts"] for a in asynchronous if a["FunctionName"] == function] == [0]


def test_aggregates_follow_the_lake_by_the_clock_and_a_run_that_fails_is_tried_again(stage: Assembly) -> None:
    function = functions(stage)["aggregate_lake"]
    [rule] = [r.properties for r in stage.of("AWS::Events::Rule") if function.id in str(r.properties.get("Targets"))]
    [again] = [
        i.properties["MaximumRetryAttempts"]
        for i in stage.of("AWS::Lambda::EventInvokeConfig")
        if i.properties["FunctionName"] == function.id
    ]
    minutes = stages_context()["stages"][stage_name(stage)]["aggregate_minutes"]

    assert (rule["ScheduleExpression"], rule["State"], again) == (f"rate({minutes} minutes)", "ENABLED", 2)


def test_an_aggregation_is_dead_before_another_takes_its_lease(stage: Assembly) -> None:
    timeout = functions(stage)["aggregate_lake"].properties["Timeout"]

    assert timedelta(milliseconds=changed_days.LEASE_MS) > timedelta(seconds=timeout)


def test_in_aws_athena_aggregates_and_may_query_what_aggregates_are_made_of(stage: Assembly) -> None:
    told = functions(stage)["aggregate_lake"].properties["Environment"]["Variables"]

    assert told["QUERY_ENGINE"] == "athena"
    assert set(lake.AGGREGATED) == aggregates.SOURCES
    assert tuple(one.table.name for one in aggregates.AGGREGATES) == lake.AGGREGATES


def test_models_are_looked_at_once_a_day_and_a_failed_day_raises_an_alarm(stage: Assembly) -> None:
    function = functions(stage)["train_models"].id
    [rule] = [r.properties for r in stage.of("AWS::Events::Rule") if function in str(r.properties.get("Targets"))]

    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert stage.the("AWS::CloudWatch::Alarm", "AlarmsFailingTrainModels").properties["EvaluationPeriods"] == 1


# --- Gateways


SQL = (
    "SELECT encode(*, 'base64') AS payload, topic() AS topic, clientid() AS client, timestamp() AS received_ms "
    "FROM 'dt/telltale/+/+/{kind}'"
)


@pytest.mark.parametrize(("rule", "kind"), [("IngestCaptureRule", "capture"), ("IngestWaveRule", "wave")])
def test_a_rule_puts_the_message_unchanged_on_the_stream_in_the_sensors_order(
    stage: Assembly, rule: str, kind: str
) -> None:
    payload = stage.the("AWS::IoT::TopicRule", rule).properties["TopicRulePayload"]
    [action] = payload["Actions"]

    assert payload["Sql"] == SQL.format(kind=kind)
    assert payload["AwsIotSqlVersion"] == "2016-03-23"  # the first one that encodes binary payloads
    assert payload.get("RuleDisabled", False) is False
    assert action["Kinesis"]["StreamName"].startswith("Captures")
    assert action["Kinesis"]["PartitionKey"] == "${topic(4)}"


def test_what_a_rule_cannot_deliver_is_kept_each_under_a_key_of_its_own(stage: Assembly) -> None:
    for rule in stage.of("AWS::IoT::TopicRule"):
        kept = rule.properties["TopicRulePayload"]["ErrorAction"]["S3"]

        assert kept["BucketName"].startswith("LakeBucket")
        assert kept["Key"].startswith("rule-errors/")
        assert "${newuuid()}" in kept["Key"]


def test_iot_core_logs_what_it_refuses(stage: Assembly) -> None:
    [logging] = stage.of("AWS::IoT::Logging")

    assert logging.properties["DefaultLogLevel"] == "ERROR"


def test_a_gateway_registers_itself_only_past_the_hook_and_gets_the_gateway_policy(stage: Assembly) -> None:
    [template] = stage.of("AWS::IoT::ProvisioningTemplate")
    body = json.loads(template.properties["TemplateBody"])

    assert template.properties["PreProvisioningHook"]["TargetArn"] == functions(stage)["provisioning_hook"].id
    assert functions(stage)["provisioning_hook"].properties["Timeout"] <= 5  # IoT Core waits no longer
    assert body["Resources"]["thing"]["Properties"]["ThingName"] == {"Ref": "SerialNumber"}
    assert body["Resources"]["policy"]["Properties"]["PolicyName"].startswith("GatewaysPolicy")


# --- Alarms


def test_an_alarm_tells_a_person_where_the_stage_names_one() -> None:
    app = cdk.App(context={"layers": "unbuilt"})
    stages = {"plant": stages_context()["stages"]["production"] | {"alarm_email": "shift@example.org"}}
    settings = Settings.of("plant", stages)
    data = Data(app, "Data", settings=settings)

    line = Template.from_stack(Line(app, "Line", settings=settings, data=data))
    told = Template.from_stack(data)

    [subscription] = told.find_resources("AWS::SNS::Subscription").values()
    assert subscription["Properties"]["Endpoint"] == "shift@example.org"
    assert all("AlarmActions" in a["Properties"] for a in line.find_resources("AWS::CloudWatch::Alarm").values())
    assert "cloudwatch.amazonaws.com" in str(told.find_resources("AWS::SNS::TopicPolicy"))
    assert "cloudwatch.amazonaws.com" in str(told.find_resources("AWS::KMS::Key"))


@pytest.mark.parametrize(
    "watched",
    [
        "LateExtractFeatures",
        "LateDetectAnomalies",
        "FailingAggregateLake",
        "FailingCommitLake",
        "FailingMaintainLake",
        "FailingScoreAssets",
        "DeadLetters",
        "DeadNotices",
        "NoticesGivenUp",
        "NoticesWaiting",
        "OldAggregates",
        "UndeliveredWaveRule",
    ],
)
def test_trouble_raises_an_alarm(stage: Assembly, watched: str) -> None:
    assert stage.the("AWS::CloudWatch::Alarm", f"Alarms{watched}").properties["TreatMissingData"] == "notBreaching"


# --- The whole


def test_everything_a_command_asks_for_is_an_output(stage: Assembly) -> None:
    assert set(stage.outputs()) == OUTPUTS


def test_what_can_be_tagged_says_what_it_costs_money_for(stage: Assembly) -> None:
    taggable = (
        "AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::Lambda::Function", "AWS::Logs::LogGroup",
        "AWS::S3::Bucket", "AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::SecretsManager::Secret", "AWS::KMS::Key",
        "AWS::IoT::TopicRule",
    )  # fmt: skip
    wanted = {("application", "telltale"), ("stage", stage_name(stage))}
    untagged = [
        r.id
        for r in stage.of(*taggable)
        if not wanted <= {(t["Key"], t["Value"]) for t in r.properties.get("Tags", [])}
    ]

    assert untagged == []


NAMED = {  # these have no other way, or people type them
    "AWS::Athena::WorkGroup", "AWS::Glue::Database", "AWS::Events::EventBus",
}  # fmt: skip


def test_nothing_has_a_name_of_our_choosing_that_could_be_taken(stage: Assembly) -> None:
    names = (
        "BucketName", "TableName", "StreamName", "QueueName", "TopicName", "FunctionName", "RoleName", "RuleName",
        "PolicyName", "LogGroupName", "ThingTypeName", "TemplateName", "LayerName", "AlarmName",
    )  # fmt: skip
    ours = [
        (r.id, name)
        for r in stage.resources()
        for name in names
        if isinstance(r.whole.get("Properties", {}).get(name), str) and r.type not in NAMED | {"AWS::IAM::Policy"}
    ]

    assert ours == []


# Of the list of AWS services that ended or are ending: what their CloudFormation types and IAM actions begin with.
ENDED = (
    "greengrass:",  # version 1; version 2 is greengrassv2
    "iot::securityprofile",  # Device Defender Detect
    "iotanalytics",
    "iotevents",
    "kinesisanalytics:",  # for SQL; for Flink it is kinesisanalyticsv2
    "lookout",
    "monitron",
    "sagemaker::device",  # Edge Manager
)


def test_nothing_is_built_on_a_service_that_ended(stage: Assembly) -> None:
    statements = [s for r in stage.of("AWS::IAM::Policy") for s in r.properties["PolicyDocument"]["Statement"]]
    actions = {
        action for s in statements for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    used = {r.type.removeprefix("AWS::").lower() for r in stage.resources()} | {action.lower() for action in actions}

    assert [name for name in used if name.startswith(ENDED)] == []


# --- Layers


def test_a_template_without_its_layers_refuses_to_be_deployed_and_says_how_to_build_them(stage: Assembly) -> None:
    rule = stage.templates["TelltaleLine"]["Rules"]["LayersAreBuilt"]
    [assertion] = rule["Assertions"]
    left, right = assertion["Assert"]["Fn::Equals"]

    assert left != right
    assert "python -m infra.layers" in assertion["AssertDescription"]
    assert all("Layers" not in function.properties for function in functions(stage).values())
    assert assertion["AssertDescription"] == layers.HOW
