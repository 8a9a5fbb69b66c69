#!/usr/bin/env bash
# The benchmark measures, writes what it promises, and finds out an engine that is wrong. Skipped (77) without its .venv.
# usage: tests/run_bench.sh BUILD_DIR
set -eu
build=$(cd "${1:?usage: run_bench.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
if ! missing=$("$python" -c 'import numpy, torch, transformers, matplotlib' 2>&1); then
    echo "skipped: scripts/setup --bench was not run: ${missing##*$'\n'}"
    exit 77
fi
exec "$python" "$root/tests/bench/check_bench.py" "$build"
