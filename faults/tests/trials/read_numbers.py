"""Prints a line for each row of every Delta table of a directory in the clear: its table, the text that stands for its number, its measure.

usage: read_numbers.py DIR -> "de/usage\telab\t\n"
"""

import os
import pathlib
import sys

from deltalake import DeltaTable

WORDS = {"usage": "element", "crash": "exception_type", "performance": "screen", "device": "fault_code"}
MEASURES = {"performance": "duration_ms", "device": "uptime_h"}

root = pathlib.Path(sys.argv[1])
lines = []
for log in sorted(root.glob("*/tables/*/_delta_log")):
    kind = log.parts[-2]
    if kind not in WORDS:
        continue
    word, measure = WORDS[kind], MEASURES.get(kind)
    columns = [word] + ([measure] if measure else [])
    table = DeltaTable(str(log.parent))
    rows = table.to_pyarrow_table(columns=columns)
    words = rows.column(word).to_pylist()
    measures = rows.column(measure).to_pylist() if measure else [None] * len(words)
    name = f"{log.parts[-4]}/{kind}"
    for text, number in zip(words, measures):
        lines.append(f"{name}\t{text}\t{'' if number is None else format(float(number), '.0f')}")
sys.stdout.write("\n".join(lines))
sys.stdout.flush()
# Arrow's native threads may still run when the interpreter ends, and then abort the process. All is read and written.
os._exit(0)
