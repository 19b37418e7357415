"""Many items of a DynamoDB table at once."""

from collections.abc import Iterator, Sequence
from typing import Any

KEYS_A_CALL = 100  # DynamoDB BatchGetItem, API reference


def many_items(client: Any, table: str, keys: Sequence[str], **options: Any) -> Iterator[dict[str, Any]]:
    """The items under these keys that there are, in no order. options : of BatchGetItem, such as ConsistentRead."""
    unique = list(dict.fromkeys(keys))
    for first in range(0, len(unique), KEYS_A_CALL):
        wanted: Sequence[Any] = [{"pk": {"S": key}} for key in unique[first : first + KEYS_A_CALL]]
        while wanted:
            answer = client.batch_get_item(RequestItems={table: {"Keys": wanted, **options}})
            yield from answer["Responses"].get(table, [])
            wanted = answer["UnprocessedKeys"].get(table, {}).get("Keys", [])
