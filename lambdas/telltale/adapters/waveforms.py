"""The waveforms of one capture, read back from the data file that the extractor wrote them to."""

from collections import OrderedDict
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telltale.core.capture import Waveform
from telltale.core.errors import TelltaleError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = ("capture_id", "axis", "position", "sensor", "fs_hz", "unit", "scale", "samples")
REMEMBERED = 2  # files; one is a batch of the extractor, some 12 MB when unpacked


class Gone(TelltaleError):
    """The file is not there, or the capture is not in it."""


class Waveforms:
    """The data files of the table `waveforms`. Those read last are remembered: they never change."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._files: OrderedDict[str, pa.Table] = OrderedDict()

    def of(self, key: str, *, position: str, sensor: str, capture_id: str) -> tuple[Waveform, ...]:
        """The capture's waveforms in that file, in the order of their axes. Raises Gone."""
        table = self._file(key)
        wanted = {"capture_id": capture_id, "position": position, "sensor": sensor}
        for name, value in wanted.items():
            table = table.filter(pc.equal(table[name], value))
        if not len(table):
            raise Gone(f"{key} has no waveforms of capture {capture_id}")
        rows = table.select([name for name in COLUMNS if name != "samples"]).to_pylist()
        samples = [np.asarray(values.values, np.int16) for values in table["samples"]]
        waveforms = [
            Waveform(row["axis"], counts, row["fs_hz"], row["scale"], row["unit"])
            for row, counts in zip(rows, samples, strict=True)
        ]
        return tuple(sorted(waveforms, key=lambda wave: wave.axis))

    def _file(self, key: str) -> pa.Table:
        if key not in self._files:
            self._files[key] = self._read(key)
            while len(self._files) > REMEMBERED:
                self._files.popitem(last=False)
        self._files.move_to_end(key)
        return self._files[key]

    def _read(self, key: str) -> pa.Table:
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._s3.exceptions.NoSuchKey as missing:
            raise Gone(f"{key} is not there any more") from missing
        return pq.read_table(BytesIO(body), columns=list(COLUMNS))
