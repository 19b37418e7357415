"""Which snapshots of a table are kept, and which files those that are kept still read.

`--at` answers from the nearest snapshot before the time asked for, so of each hour and each day the last is kept.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as IcebergTable

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ALL_MS = 6 * HOUR_MS  # longer than a query takes: Athena stops one after 30 minutes, and after 4 hours at the most
HOURLY_MS = 7 * DAY_MS
DAILY_MS = 90 * DAY_MS
AT_ONCE = 16


def to_expire(made_ms: Mapping[int, int], *, named: Collection[int], now_ms: int) -> list[int]:
    """Ids of the snapshots that are not kept, of those made at these times.

    named : those that a branch or a tag points at, which always are kept.
    """
    last: dict[tuple[int, int], int] = {}  # of each hour or day: the last snapshot there is
    for snapshot, at_ms in sorted(made_ms.items(), key=lambda item: item[1]):
        age = now_ms - at_ms
        if age <= ALL_MS:
            last[0, snapshot] = snapshot
        elif age <= DAILY_MS:
            period = HOUR_MS if age <= HOURLY_MS else DAY_MS
            last[period, at_ms // period] = snapshot
    return sorted(made_ms.keys() - {*last.values(), *named})


def reached(iceberg: IcebergTable) -> set[str]:
    """URIs of all files that the table or one of its snapshots needs: metadata, manifests and data."""
    found = {iceberg.metadata_location, *(entry.metadata_file for entry in iceberg.metadata.metadata_log)}
    found |= {file.statistics_path for file in iceberg.metadata.statistics}
    snapshots = iceberg.snapshots()
    found |= {snapshot.manifest_list for snapshot in snapshots}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        lists = threads.map(lambda snapshot: snapshot.manifests(iceberg.io), snapshots)
        manifests = {manifest.manifest_path: manifest for of_one in lists for manifest in of_one}
        found |= manifests.keys()
        for uris in threads.map(lambda manifest: _data(iceberg, manifest), manifests.values()):
            found |= uris
    return found


def _data(iceberg: IcebergTable, manifest: ManifestFile) -> set[str]:
    entries = manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
    return {entry.data_file.file_path for entry in entries}
