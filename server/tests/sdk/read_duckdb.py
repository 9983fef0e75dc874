"""Reads every table of a copy in the clear with DuckDB alone and prints one JSON document, as read_tables.py does.

usage: read_duckdb.py DIR -> {"us/usage": {"partitions": ["day"], "schema": {name: type}, "rows": [{..}]}, ..}
The extension that reads Delta logs is not in the package, so the log is read as the JSON that it is: each commit names its files.
"""

import json
import pathlib
import sys

import duckdb


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else value


root = pathlib.Path(sys.argv[1])
base = duckdb.connect()
base.execute("SET TimeZone = 'UTC'")
found = {}
for log in sorted(root.glob("*/tables/*/_delta_log")):
    actions = "read_json(?, format = 'newline_delimited', columns = {'add': 'JSON', 'remove': 'JSON'})"
    commits = str(log / "*.json")
    named = base.execute(f"SELECT add ->> 'path' FROM {actions} WHERE add IS NOT NULL", [commits]).fetchall()
    gone = base.execute(f"SELECT count(*) FROM {actions} WHERE remove IS NOT NULL", [commits]).fetchone()
    assert gone == (0,), "a copy has taken nothing out again"
    rows, schema = [], {}
    if named:
        files = [str(log.parent / path) for (path,) in named]
        read = base.execute("SELECT * FROM read_parquet(?, hive_partitioning = true, union_by_name = true)", [files])
        schema = {column[0]: str(column[1]) for column in read.description}
        rows = [{name: plain(value) for name, value in zip(schema, row)} for row in read.fetchall()]
    found[f"{log.parts[-4]}/{log.parts[-2]}"] = {"partitions": ["day"], "schema": schema, "rows": rows}
json.dump(found, sys.stdout)
