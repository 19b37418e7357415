"""SQL on the deployed lake: one text in Athena's dialect, run by Athena on AWS and by DuckDB on one computer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from telltale.adapters.answer import Answer, Engine, Unanswered
from telltale.adapters.athena import Athena, AthenaSaid
from telltale.adapters.duck import Duck
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.trino import as_of, parse_query, unknown_names, within
from telltale.core import schema

from cli.deployment import Deployment
from cli.problem import Problem

ENGINE = "TELLTALE_QUERY_ENGINE"  # in a deployment's environment; the local one sets it to "duckdb"


def run(
    deployment: Deployment,
    sql: str,
    *,
    engine: str | None = None,
    limit: int | None = None,
    at: datetime | None = None,
) -> Answer:
    """The answer to one SELECT, from the deployment's own engine unless another is named; at most `limit` rows.

    `at` asks it of an earlier time: of the tables as they were, when the clock showed that.

    Raises Problem for a query that cannot run, with the place of a syntax error, or with the names nearest to
    one that is not there.
    """
    engine = engine or deployment.environment.get(ENGINE, "athena")
    if engine not in ENGINES:
        raise Problem(f"no query engine named {engine}: there are {', '.join(ENGINES)}")
    started = time.monotonic()
    try:
        answer = ENGINES[engine](deployment).answer(sql if at is None else as_of(sql, at), limit=limit)
    except AthenaSaid as said:
        raise Problem(str(said), _advice(sql, deployment.outputs["GlueDatabase"])) from said
    except Unanswered as refusal:
        raise Problem(refusal.what, refusal.then) from refusal
    return replace(answer, seconds=time.monotonic() - started)


def _advice(sql: str, database: str) -> str | None:
    """What the text alone tells of a query that Athena refused: where the syntax fails, the nearest names."""
    try:
        query = within(parse_query(sql), database)
    except Unanswered as refusal:
        return str(refusal)
    return "\n  ".join(unknown_names(query, {table.name: table.names for table in schema.TABLES})) or None


def _athena(deployment: Deployment) -> Engine:
    outputs = deployment.outputs
    return Athena(deployment.client("athena"), database=outputs["GlueDatabase"], workgroup=outputs["Workgroup"])


def _duck(deployment: Deployment) -> Engine:
    catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
    return Duck(catalog, deployment.outputs["GlueDatabase"])


ENGINES: Mapping[str, Callable[[Deployment], Engine]] = {"athena": _athena, "duckdb": _duck}
