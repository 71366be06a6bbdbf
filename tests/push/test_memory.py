"""What a source takes of memory, however many rows it has."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

STAGE = """
import sys
from pathlib import Path
from cargo_source.catalog.columns import Column
from cargo_source.push.door import incoming
from cargo_source.push.staging import stage, taken
from cargo_source.push.store import PlanStore
from cargo_source.push.target import Mapped
store, came = PlanStore(), incoming(sys.argv[1])
columns = taken(came, {name: Mapped(name, "string", Column(name, name, "text", "-")) for name in came.schema.names})
stage(store.db, came, columns, "write", lambda rows: None)
# The peak of rusage would be that of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(store.count("source"), peak.split()[1])
store.close()
"""


def written(path, rows):
    """Write a file of two columns with 200 characters each, in one row group per million rows."""
    dice = np.random.default_rng(0)
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    ends = pa.py_buffer(np.arange(0, 10_001 * 200, 200, dtype=np.int32).tobytes())

    def column():
        letters = dice.integers(97, 123, size=10_000 * 200, dtype=np.uint8)
        return pa.Array.from_buffers(pa.string(), 10_000, [None, ends, pa.py_buffer(letters.tobytes())])

    group = min(rows, 1_000_000)
    few = [pa.record_batch([column(), column()], schema=schema) for _ in range(10)]
    with pq.ParquetWriter(path, schema, use_dictionary=False) as file:
        for _ in range(rows // group):
            file.write_table(pa.Table.from_batches(few * (group // 100_000)), row_group_size=group)
    return path


def staged(path, rows):
    """Stage a file in a process of its own, and give its peak in kilobytes."""
    done = subprocess.run([sys.executable, "-c", STAGE, str(path)], capture_output=True, text=True, check=True)
    count, peak = map(int, done.stdout.split())
    assert count == rows
    return peak


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak where Linux tells it")
def test_twenty_times_the_rows_take_little_more_memory(tmp_path):
    """2,000,000 rows of 400 characters are staged in 1.3 times what 100,000 rows take."""
    peaks = []
    for rows in (100_000, 2_000_000):
        path = written(tmp_path / f"{rows}.parquet", rows)
        # What an allocator keeps is chance, and more on a busy machine: the least of several is what is needed.
        peaks.append(min(staged(path, rows) for _ in range(3)))
    assert peaks[1] < 1.3 * peaks[0], peaks
