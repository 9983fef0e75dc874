#!/bin/sh
# Records the requests of the SDKs into DIR. Needs python3 and npm; installs into DIR. Usage: run.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir/out" "$dir/node"
[ -d "$dir/venv" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" -q install segment-analytics-python sentry-sdk
(cd "$dir/node" && npm i --silent @segment/analytics-node @sentry/node)
cp "$here"/segment_node.mjs "$here"/sentry_node.cjs "$dir/node"
port=18090
record() {
    prefix=$1
    shift
    port=$((port + 1))
    python3 "$here/record.py" "$port" "$dir/out" "$prefix" &
    recorder=$!
    sleep 1
    "$@" || true
    kill "$recorder"
}
record segment-python sh -c '"$0" "$1" '"$((port + 1))" "$dir/venv/bin/python" "$here/segment_python.py"
record segment-python-gzip sh -c '"$0" "$1" '"$((port + 1))"' gzip' "$dir/venv/bin/python" "$here/segment_python.py"
record segment-node sh -c 'node "$0" '"$((port + 1))" "$dir/node/segment_node.mjs"
record sentry-python sh -c '"$0" "$1" '"$((port + 1))" "$dir/venv/bin/python" "$here/sentry_python.py"
record sentry-node sh -c 'node "$0" '"$((port + 1))" "$dir/node/sentry_node.cjs"
