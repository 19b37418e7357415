"""The state machine of infra/engine.py, run by MiniStack: which statements it has Athena run, and how it ends."""

import json
import time
from typing import Any
from uuid import uuid4

from infra.engine import machine
from tests.contracts.conftest import client

SYNC = "arn:aws:states:::athena:startQueryExecution.sync"
STARTED = "arn:aws:states:::aws-sdk:athena:startQueryExecution"  # what MiniStack knows of it: it waits for no result


class Account:
    """An account with a database of these tables and a workgroup of its own."""

    def __init__(self, endpoint: str, *tables: str) -> None:
        self.endpoint, self.database = endpoint, f"telltale_{uuid4().hex}"
        self.workgroup = self.database
        glue = self.client("glue")
        glue.create_database(DatabaseInput={"Name": self.database})
        for name in tables:
            glue.create_table(DatabaseName=self.database, TableInput={"Name": name, "StorageDescriptor": {}})
        where = {"ResultConfiguration": {"OutputLocation": f"s3://{self.database.replace('_', '-')}/"}}
        self.client("athena").create_work_group(Name=self.workgroup, Configuration=where)

    def client(self, service: str) -> Any:
        return client(service, self.endpoint)

    def run(self, *tables: str, workgroup: str | None = None) -> dict[str, Any]:
        """How an execution ended; without waits between attempts, of which there is one."""
        definition = machine(database=self.database, workgroup=workgroup or self.workgroup, tables=tables)
        text = json.dumps(definition).replace(SYNC, STARTED).replace('"MaxAttempts": 10', '"MaxAttempts": 0')
        states = self.client("stepfunctions")
        role = "arn:aws:iam::000000000000:role/engine"
        made = states.create_state_machine(name=f"engine-{uuid4().hex}", definition=text, roleArn=role)
        started = states.start_execution(stateMachineArn=made["stateMachineArn"], input="{}")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found: dict[str, Any] = states.describe_execution(executionArn=started["executionArn"])
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.05)
        raise AssertionError("the execution does not end")

    def statements(self) -> list[str]:
        athena = self.client("athena")
        ids = athena.list_query_executions(WorkGroup=self.workgroup)["QueryExecutionIds"]
        found = [athena.get_query_execution(QueryExecutionId=one)["QueryExecution"]["Query"] for one in ids]
        return sorted(found)


def test_each_table_that_is_there_gets_its_statements_and_the_others_are_passed_over(ministack: str) -> None:
    account = Account(ministack, "captures", "features")

    ended = account.run("captures", "features", "scores")

    assert ended["status"] == "SUCCEEDED", ended
    assert account.statements() == [
        *(
            f"ALTER TABLE {account.database}.{name} SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='7776000')"
            for name in ("captures", "features")
        ),
        *(f"OPTIMIZE {account.database}.{name} REWRITE DATA USING BIN_PACK" for name in ("captures", "features")),
        *(f"VACUUM {account.database}.{name}" for name in ("captures", "features")),
    ]


def test_a_table_that_fails_for_good_does_not_stop_the_others_and_fails_the_execution_at_the_end(
    ministack: str,
) -> None:
    account = Account(ministack, "captures", "features")

    ended = account.run("captures", "scores", workgroup="there-is-none")

    assert (ended["status"], ended["error"]) == ("FAILED", "TablesFailed")
    assert json.loads(ended["cause"]) == ["captures failed", "scores is not there"]
