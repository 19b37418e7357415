"""Rows of the deployed lake, and the receipts whose rows are not in it yet."""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.receipts import PENDING, Receipt

from cli.deployment import Deployment

Row = dict[str, Any]
AT_ONCE = 16  # calls to S3, each nearly all waiting
EVERYTHING = AlwaysTrue()


def committed(
    deployment: Deployment, table: str, columns: Sequence[str], where: str | BooleanExpression = EVERYTHING
) -> list[Row]:
    """Rows of a table, times as datetimes; none if there is no such table yet."""
    catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
    try:
        iceberg = catalog.load_table((deployment.outputs["GlueDatabase"], table))
    except NoSuchTableError:
        return []
    rows: list[Row] = iceberg.scan(row_filter=where, selected_fields=tuple(columns)).to_arrow().to_pylist()
    return rows


def pending(deployment: Deployment) -> list[Receipt]:
    """Receipts that no commit has taken up yet."""
    return [Receipt.from_json(body) for body in read_all(deployment, objects_below(deployment, PENDING)).values()]


def rows_of(deployment: Deployment, receipts: Iterable[Receipt], table: str, columns: Sequence[str]) -> list[Row]:
    """Rows of a table that these receipts will bring."""
    keys = [file.key for receipt in receipts for file in receipt.files if file.table == table]
    bodies = read_all(deployment, keys).values()
    return [row for body in bodies for row in pq.read_table(io.BytesIO(body), columns=list(columns)).to_pylist()]


def objects_below(deployment: Deployment, prefix: str) -> dict[str, int]:
    """Keys in the lake's bucket that begin like this, with when they were written (ms)."""
    pages = deployment.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=deployment.outputs["LakeBucket"], Prefix=prefix)
    items = [item for page in found for item in page.get("Contents", [])]
    return {item["Key"]: round(item["LastModified"].timestamp() * 1000) for item in items}


def read_all(deployment: Deployment, keys: Iterable[str]) -> dict[str, bytes]:
    """The objects of these keys that are (still) there."""
    s3, bucket = deployment.client("s3"), deployment.outputs["LakeBucket"]

    def read(key: str) -> tuple[str, bytes | None]:
        try:
            return key, s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return key, None  # a receipt that was committed since it was listed

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return {key: body for key, body in threads.map(read, keys) if body is not None}
