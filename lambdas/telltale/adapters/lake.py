"""The Iceberg tables in the Glue catalog: made from core.schema, grown with it, given data files exactly once."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow.dataset as ds
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io.pyarrow import (
    PyArrowFileIO,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import TableProperties, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.name_mapping import MappedField
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from telltale.core.schema import Column, Table, Type

# On a table: the number of the last commit of ours in it. On a snapshot: the commit that made it.
COMMIT = "telltale.commit"
PROPERTIES: Mapping[str, str] = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "commit.manifest-merge.enabled": "true",  # else each commit leaves a manifest that every query opens
    "commit.retry.num-retries": "0",  # a retry has to look at COMMIT again first: `add` does
}
# Those that a table made by an earlier version is given too.
LASTING: Mapping[str, str] = {
    # Versions of the metadata that it lists, beside the current one. Maintenance deletes those that it lists no more.
    "write.metadata.previous-versions-max": "20",
}
AT_ONCE = 16  # footers, each nearly all waiting
METRICS = "write.metadata.metrics"
PATIENCE_S = "60"  # as botocore's own clients have
ATTEMPTS = 5  # of one addition, when another writer (a compaction, say) gets in between

TYPES: Mapping[Type, IcebergType] = {
    "string": StringType(),
    "int": IntegerType(),
    "long": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "timestamp": TimestamptzType(),
    "binary": BinaryType(),
}
ELEMENTS: Mapping[Type, IcebergType] = {"list<int>": IntegerType(), "list<string>": StringType()}


def glue_catalog(glue: Any, files: Mapping[str, str]) -> Catalog:
    """The Glue catalog; `files` is how PyIceberg reaches S3, see `file_access`."""
    return GlueCatalog("lake", client=glue, **files)


def file_access(environment: Mapping[str, str]) -> dict[str, str]:
    """Where S3 is, and how long it may take. Arrow's client does not read the SDK's variable for another endpoint, asks
    S3 for the region, and gives up after 3 s, which a busy computer's local AWS is over at times.
    """
    wanted = {"s3.endpoint": "AWS_ENDPOINT_URL", "s3.region": "AWS_REGION"}
    where = {setting: environment[name] for setting, name in wanted.items() if name in environment}
    return {**where, "s3.connect-timeout": PATIENCE_S, "s3.request-timeout": PATIENCE_S}


class Lake:
    """The tables of one database. `location` is where new ones are made, such as `s3://bucket/lake`."""

    def __init__(self, catalog: Catalog, *, database: str, location: str) -> None:
        self._catalog, self._database, self._location = catalog, database, location

    def find(self, table: Table) -> IcebergTable | None:
        """The table as it is; None if there is none yet."""
        try:
            return self._catalog.load_table((self._database, table.name))
        except NoSuchTableError:
            return None

    def load(self, table: Table) -> IcebergTable:
        """The table as it is; raises NoSuchTableError."""
        return self._catalog.load_table((self._database, table.name))

    def ensure(self, table: Table) -> IcebergTable:
        """The table as it is now: made if there is none, its columns added, renamed and widened as in the schema."""
        iceberg = self.find(table) or self._create(table)
        _evolve(iceberg, table)
        return iceberg

    def add(self, table: Table, files: Mapping[str, int | None] | Sequence[str], *, number: int) -> bool:
        """Add data files, each of one day, as commit `number`; False if the table already has that commit.

        Numbers only grow, and a table takes each one once, whoever brings it and however often. `files` are URIs, or
        URIs with sizes in bytes, which saves a request for each.
        """
        sizes = dict(files) if isinstance(files, Mapping) else dict.fromkeys(files)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._add(table, sizes, number)
            except CommitFailedException:
                continue  # another writer was faster: look again, it may have been this very commit
        return self._add(table, sizes, number)

    def _add(self, table: Table, sizes: Mapping[str, int | None], number: int) -> bool:
        iceberg = self.ensure(table)
        if int(iceberg.properties.get(COMMIT, "0")) >= number:
            return False
        mark = {COMMIT: str(number)}
        properties = {**mark, **metrics(table), **LASTING, **_comments(table)}
        if iceberg.name_mapping() is None:  # files without Iceberg's column numbers are read by it
            properties[TableProperties.DEFAULT_NAME_MAPPING] = iceberg.schema().name_mapping.model_dump_json()
        with _Transaction(iceberg) as transaction:
            transaction.set_properties(properties)
            with transaction.update_snapshot(snapshot_properties=mark).merge_append() as append:
                for file in data_files(transaction.table_metadata, iceberg.io, sizes):
                    append.append_data_file(file)
        return True

    def _create(self, table: Table) -> IcebergTable:
        schema = iceberg_schema(table)
        day = schema.find_field(table.day).field_id
        partitions = PartitionSpec(PartitionField(day, 1000, DayTransform(), f"{table.day}_day"))
        order = [SortField(schema.find_field(name).field_id, transform=IdentityTransform()) for name in table.sort]
        try:
            return self._catalog.create_table(
                (self._database, table.name),
                schema,
                location=f"{self._location}/{table.name}",
                partition_spec=partitions,
                sort_order=SortOrder(*order),
                properties={**PROPERTIES, **LASTING, **metrics(table), **_comments(table)},
            )
        except TableAlreadyExistsError:
            return self._catalog.load_table((self._database, table.name))


class _Transaction(Transaction):
    """PyIceberg's, which works out the metadata anew, with a copy of each snapshot, whenever it is looked at.

    That is 16 times a commit, and most of a commit's time on a table with a few hundred snapshots. Here it is once for
    each state that there is.
    """

    _known: tuple[Any, Any, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        base, updates = self._table.metadata, self._updates
        if self._known is None or self._known[0] is not base or self._known[1] is not updates:
            self._known = base, updates, super().table_metadata
        return self._known[2]


def metrics(table: Table) -> dict[str, str]:
    """Table properties: of which columns Iceberg keeps the bounds of each file, uncut.

    Those that a file is sorted and filed by, for by the others no file can be told from its neighbours: 80 columns of
    bounds for each file would only be carried along from commit to commit. Row groups have bounds of their own.
    """
    kept = dict.fromkeys((*table.sort, table.day))
    return {f"{METRICS}.default": "none"} | {f"{METRICS}.column.{name}": "full" for name in kept}


def _evolve(iceberg: IcebergTable, table: Table) -> None:
    """Add, rename, widen and reword columns until the table has those of the schema. Numbers and files stay."""
    have = {field.name: field for field in iceberg.schema().fields}
    renamed = {
        name: column.name for column in table.columns if column.name not in have for name in column.was if name in have
    }
    gained = [column for column in table.columns if column.name not in {*have, *renamed.values()}]
    found = {renamed.get(name, name): field for name, field in have.items()}
    widened = [column for column in table.columns if _is_wider(column, found.get(column.name))]
    reworded = [column for column in table.columns if column.name in found and found[column.name].doc != _doc(column)]
    if not (renamed or gained or widened or reworded):
        return
    with iceberg.transaction() as transaction:
        if transaction.table_metadata.name_mapping() is None:  # the old names have to stay known
            mapping = iceberg.schema().name_mapping.model_dump_json()
            transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
        with transaction.update_schema() as update:
            for name, to in renamed.items():
                update.rename_column(name, to)
            for column in widened:
                update.update_column(found[column.name].name, field_type=_type(column, 0))
            for column in reworded:
                update.update_column(found[column.name].name, doc=_doc(column))
            for column in gained:
                update.add_column(column.name, _type(column, 0), _doc(column), column.required)


def _comments(table: Table) -> dict[str, str]:
    """What the table is, for Iceberg, Athena and Spark; Glue shows its `Description`."""
    return {"comment": table.meaning, "Description": table.meaning}


def _is_wider(column: Column, field: NestedField | None) -> bool:
    """Whether the schema has made the column wider than the table's."""
    return field is not None and (field.field_type, column.type) in {(IntegerType(), "long"), (FloatType(), "double")}


def _ids(metadata: TableMetadata) -> dict[str, int]:
    """Numbers of columns by their path in a Parquet file, under any name that they ever had."""
    ids = parquet_path_to_id_mapping(metadata.schema())
    mapping = metadata.name_mapping()
    for field in mapping.root if mapping else ():
        paths = [path for path, number in ids.items() if number in _numbers(field)]
        for name in field.names:
            ids |= {".".join([name, *path.split(".")[1:]]): ids[path] for path in paths}
    return ids


def _numbers(field: MappedField) -> set[int | None]:
    return {field.field_id}.union(*map(_numbers, field.fields))


def data_files(metadata: TableMetadata, io: Any, sizes: Mapping[str, int | None]) -> list[DataFile]:
    """What Iceberg wants to know of Parquet files, from their footers: one request each where the size is known."""
    schema, spec = metadata.schema(), metadata.spec()
    plan, ids = compute_statistics_plan(schema, metadata.properties), _ids(metadata)
    parquet = ds.ParquetFileFormat()

    def read(uri: str) -> DataFile:
        scheme, netloc, path = PyArrowFileIO.parse_location(uri, io.properties)
        files, size = io.fs_by_scheme(scheme, netloc), sizes[uri]
        if size is None:
            size = files.get_file_info(path).size
        footer = parquet.make_fragment(path, files, file_size=size).metadata
        statistics = data_file_statistics_from_parquet_metadata(footer, plan, ids)
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=uri,
            file_format=FileFormat.PARQUET,
            partition=statistics.partition(spec, schema),
            file_size_in_bytes=size,
            spec_id=metadata.default_spec_id,
            **statistics.to_serialized_dict(),
        )

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(read, sizes))


def iceberg_schema(table: Table) -> Schema:
    """The table's columns, numbered in order; the elements of lists after all columns."""
    elements = iter(range(len(table.columns) + 1, 2 * len(table.columns) + 1))
    fields = [
        NestedField(index, column.name, _type(column, next(elements)), required=column.required, doc=_doc(column))
        for index, column in enumerate(table.columns, start=1)
    ]
    return Schema(*fields)


def _type(column: Column, element_id: int) -> IcebergType:
    if column.type in ELEMENTS:
        return ListType(element_id, ELEMENTS[column.type], element_required=False)
    return TYPES[column.type]


def _doc(column: Column) -> str:
    return f"{column.meaning}, in {column.unit}" if column.unit else column.meaning
