"""Prints every cell of every Parquet file under a directory, and the files' own metadata, whether a table knows them or not.

usage: read_files.py DIR    (bytes as they are and as hexadecimal digits; one value a line)
An encrypted file, which begins with PARE, has nothing that can be read without its key, and is passed over.
"""

import os
import pathlib
import sys

import pyarrow.parquet

out = sys.stdout.buffer
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.parquet")):
    with path.open("rb") as begin:
        if begin.read(4) == b"PARE":
            continue
    file = pyarrow.parquet.ParquetFile(path)
    out.write(repr(file.metadata.metadata).encode() + b"\n" + repr(file.schema_arrow).encode() + b"\n")
    for batch in file.iter_batches():
        for column in batch.to_pydict().values():
            for value in column:
                if isinstance(value, bytes):
                    out.write(value + b"\n" + value.hex().encode() + b"\n")
                else:
                    out.write(str(value).encode() + b"\n")
out.flush()
# Arrow's native threads may still run when the interpreter ends, and then abort the process. All is read and written.
os._exit(0)
