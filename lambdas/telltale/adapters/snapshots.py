"""Which snapshots of a table are kept, and which files those that are kept still read.

`--at` answers from the nearest snapshot before the time asked for, so of each hour and each day the last is kept.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
# A snapshot that a query began with is kept for an hour less than this, at least: Athena stops one after 30 minutes.
ALL_MS = 3 * HOUR_MS
HOURLY_MS = 3 * DAY_MS
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


class Reach:
    """Finds what tables reach. Manifests never change, so each is read once, however often it is asked."""

    def __init__(self) -> None:
        self._manifests: dict[str, list[ManifestFile]] = {}  # by manifest list
        self._data: dict[str, set[str]] = {}  # by manifest

    def of(self, iceberg: IcebergTable) -> set[str]:
        """URIs of all files that the table or one of its snapshots needs: metadata, manifests and data."""
        found = {file.statistics_path for file in iceberg.metadata.statistics} | versions(iceberg)
        snapshots = iceberg.snapshots()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            lists = threads.map(lambda snapshot: self._of_snapshot(iceberg, snapshot), snapshots)
            manifests = {manifest.manifest_path: manifest for of_one in lists for manifest in of_one}
            data = threads.map(lambda manifest: self._of_manifest(iceberg, manifest), manifests.values())
            return found.union({snapshot.manifest_list for snapshot in snapshots}, manifests, *data)

    def _of_snapshot(self, iceberg: IcebergTable, snapshot: Snapshot) -> list[ManifestFile]:
        key = snapshot.manifest_list
        if key not in self._manifests:
            self._manifests[key] = snapshot.manifests(iceberg.io)
        return self._manifests[key]

    def _of_manifest(self, iceberg: IcebergTable, manifest: ManifestFile) -> set[str]:
        key = manifest.manifest_path
        if key not in self._data:
            entries = manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
            self._data[key] = {entry.data_file.file_path for entry in entries}
        return self._data[key]


def versions(iceberg: IcebergTable) -> set[str]:
    """URIs of the versions of its metadata that the table lists."""
    return {iceberg.metadata_location, *(entry.metadata_file for entry in iceberg.metadata.metadata_log)}
