"""Reads an Arrow IPC stream from a file and prints its rows as JSON: usage: read_arrow.py FILE"""

import json
import sys

import pyarrow.ipc

with pyarrow.ipc.open_stream(sys.argv[1]) as stream:
    json.dump(stream.read_all().to_pylist(), sys.stdout, default=str)
