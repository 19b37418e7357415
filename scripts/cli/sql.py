"""SQL on the deployed lake: one text in Athena's dialect, run by Athena on AWS and by DuckDB on one computer."""

import time
from dataclasses import replace

from cli import athena, duck
from cli.answer import Answer
from cli.deployment import Deployment
from cli.problem import Problem

ENGINE = "TELLTALE_QUERY_ENGINE"  # in a deployment's environment; the local one sets it to "duckdb"
ENGINES = {"athena": athena.answer, "duckdb": duck.answer}


def run(deployment: Deployment, sql: str, *, engine: str | None = None, limit: int | None = None) -> Answer:
    """The answer to one SELECT, from the deployment's own engine unless another is named; at most `limit` rows.

    Raises Problem for a query that cannot run, with the place of a syntax error, or with the names nearest to
    one that is not there.
    """
    engine = engine or deployment.environment.get(ENGINE, "athena")
    if engine not in ENGINES:
        raise Problem(f"no query engine named {engine}: there are {', '.join(ENGINES)}")
    started = time.monotonic()
    answer = ENGINES[engine](deployment, sql, limit)
    return replace(answer, seconds=time.monotonic() - started)
