"""Shadows in the registry's table: an item each, `shadow#NAME`, that changes only for who has read its last state."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.core.errors import TelltaleError
from telltale.core.shadow import Act, Shadow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "shadow#"


class Moved(TelltaleError):
    """Somebody else changed the shadow since it was read."""


class Shadows:
    """The shadows of a deployment."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def get(self, name: str) -> Shadow | None:
        """The shadow as it is now (consistent read)."""
        answer = self._client.get_item(TableName=self._table, Key=_pk(name), ConsistentRead=True)
        return _shadow(answer["Item"]) if "Item" in answer else None

    def all(self) -> list[Shadow]:
        """Every shadow, those that have ended too, in the order they were started; reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            ConsistentRead=True,
            FilterExpression="begins_with(pk, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": PREFIX}},
        )
        found = [_shadow(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda one: (one.since_ms, one.name))

    def put(self, shadow: Shadow, *, replacing: Shadow | None) -> None:
        """Writes it over the one that was read, or as a new one. Raises Moved when another is there."""
        new = "attribute_not_exists(pk)"
        condition: dict[str, Any] = {"ConditionExpression": new}
        if replacing is not None:
            condition = {
                "ConditionExpression": "doc = :read",
                "ExpressionAttributeValues": {":read": {"S": encode(replacing)}},
            }
        try:
            self._client.put_item(
                TableName=self._table, Item={**_pk(shadow.name), "doc": {"S": encode(shadow)}}, **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            raise Moved(f"the shadow {shadow.name} was changed by somebody else") from error


def encode(shadow: Shadow) -> str:
    """The shadow as JSON, the same for equal ones."""
    return json.dumps(asdict(shadow), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _shadow(item: Mapping[str, Any]) -> Shadow:
    values = json.loads(item["doc"]["S"])
    return Shadow(**{**values, "acts": tuple(Act(**act) for act in values["acts"])})


def _pk(name: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"{PREFIX}{name}"}}
