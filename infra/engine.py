"""Maintenance of the tables by Athena, for a lake that one function cannot keep up with (`lake_engine` in cdk.json).

Once a day a state machine goes through the tables of the schema, a few side by side:

    is there such a table? → ALTER TABLE … SET TBLPROPERTIES → OPTIMIZE … REWRITE DATA USING BIN_PACK → VACUUM

Athena stops an OPTIMIZE or a VACUUM of a large table half-way and asks to run it again; what it did stays done. So each
is repeated, as are runs that fail for any other reason. A table that fails does not keep others from being done; the
execution fails at the end, and says which they were.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.lake import TABLES, Lake
from infra.settings import Settings

EVERY = Duration.days(1)
LONGEST = Duration.hours(20)  # then it is stopped, before the next one begins
AT_ONCE = (
    4  # tables; Athena takes 20 DML queries at a time in its smallest regions (Athena user guide, "Service quotas")
)
AGAIN = 10  # runs of a statement that Athena asks for, or that failed
FIRST_WAIT_S, LONGEST_WAIT_S = 30, 600
# How far time travel reaches back: as far as the function keeps a snapshot a day (adapters/snapshots.py). Athena's own
# default is 5 days, and VACUUM takes for an orphan what is older and in no snapshot.
KEPT_S = 90 * 86_400
STATEMENTS: Mapping[str, str] = {
    "Properties": "ALTER TABLE {database}.{table} SET TBLPROPERTIES "
    f"('vacuum_max_snapshot_age_seconds'='{KEPT_S}')",
    "Optimize": "OPTIMIZE {database}.{table} REWRITE DATA USING BIN_PACK",
    "Vacuum": "VACUUM {database}.{table}",
}


# What a task answers is not needed, and the name of the table is, further on. CDK leaves out a `ResultPath` of null.
NOTHING: Mapping[str, Any] = {"ResultSelector": {"done": True}, "ResultPath": "$.did"}


class Engine(Construct):
    """The state machine, its clock, and a workgroup of its own: the people's one stops queries that read much."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, lake: Lake) -> None:
        super().__init__(scope, id_)
        workgroup = self._workgroup(lake)
        definition = machine(database=lake.database_name, workgroup=workgroup.ref)
        log = logs.LogGroup(self, "Log", retention=settings.log_retention, removal_policy=settings.removal)
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_string(Stack.of(self).to_json_string(definition)),
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ALL, include_execution_data=True),
            tracing_enabled=True,
            timeout=LONGEST,
            removal_policy=settings.removal,
        )
        lake.grant_engine(self.machine, workgroup=workgroup.ref)
        events.Rule(
            self, "Clock", schedule=events.Schedule.rate(EVERY), targets=[targets.SfnStateMachine(self.machine)]
        )

    def _workgroup(self, lake: Lake) -> athena.CfnWorkGroup:
        key = lake.bucket.encryption_key
        encryption = athena.CfnWorkGroup.EncryptionConfigurationProperty(
            encryption_option="SSE_KMS" if key else "SSE_S3", kms_key=key.key_arn if key else None
        )
        return athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=f"{lake.workgroup_name}-maintenance",
            description="Maintenance of the lake's tables; without a limit to what it reads",
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=lake.bucket.s3_url_for_object("athena-results/"),
                    encryption_configuration=encryption,
                ),
            ),
        )


def machine(*, database: str, workgroup: str, tables: Sequence[str] = TABLES) -> Any:
    """The state machine in Amazon States Language."""
    return {
        "StartAt": "Tables",
        "States": {
            "Tables": {"Type": "Pass", "Result": list(tables), "Next": "Each"},
            "Each": {
                "Type": "Map",
                "MaxConcurrency": AT_ONCE,
                "ItemSelector": {"table.$": "$$.Map.Item.Value"},
                "ItemProcessor": _of_one_table(database, workgroup),
                "Next": "Sum",
            },
            "Sum": {
                "Type": "Pass",
                "Parameters": {"failed.$": "States.ArrayContains($[*].failed, true)", "said.$": "$[*].said"},
                "Next": "All done?",
            },
            "All done?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.failed", "BooleanEquals": True, "Next": "Some failed"}],
                "Default": "Done",
            },
            "Some failed": {
                "Type": "Fail",
                "Error": "TablesFailed",
                "CausePath": "States.JsonToString($.said)",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def _of_one_table(database: str, workgroup: str) -> Any:
    failed = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"}
    missing = {"ErrorEquals": ["Glue.EntityNotFoundException"], "ResultPath": "$.error", "Next": "Not there"}
    names = [*STATEMENTS]
    states: dict[str, Any] = {
        "Is there": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:glue:getTable",
            "Parameters": {"DatabaseName": database, "Name.$": "$.table"},
            **NOTHING,
            "Retry": [_retry(["Glue.InternalServiceException", "Glue.OperationTimeoutException"])],
            "Catch": [missing, failed],
            "Next": names[0],
        },
        "Not there": _end("is not there", failed=False),
        "Failed": _end("failed", failed=True),
        "Maintained": _end("is maintained", failed=False),
    }
    for name, after in zip(names, [*names[1:], "Maintained"], strict=True):
        states[name] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::athena:startQueryExecution.sync",
            "Parameters": {
                "QueryString.$": _format(STATEMENTS[name], database),
                "WorkGroup": workgroup,
            },
            **NOTHING,
            "Retry": [_retry(["States.ALL"])],
            "Catch": [failed],
            "Next": after,
        }
    return {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Is there", "States": states}


def _end(said: str, *, failed: bool) -> Any:
    """The end of one table; `said` follows its name."""
    return {
        "Type": "Pass",
        "Parameters": {"failed": failed, "said.$": f"States.Format('{{}} {said}', $.table)"},
        "End": True,
    }


def _format(statement: str, database: str) -> str:
    """The statement as an intrinsic function that puts the table's name in, with quotes escaped as it wants them."""
    text = statement.format(database=database, table="{}").replace("'", "\\'")
    return f"States.Format('{text}', $.table)"


def _retry(errors: Sequence[str]) -> Any:
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": FIRST_WAIT_S,
        "BackoffRate": 2,
        "MaxDelaySeconds": LONGEST_WAIT_S,
        "MaxAttempts": AGAIN,
        "JitterStrategy": "FULL",
    }
