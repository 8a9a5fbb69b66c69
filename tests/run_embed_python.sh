#!/usr/bin/env bash
# run_embed_python.sh BUILD_DIR: models called from Python, through examples/embed_python/tfx.py. Skipped where no Python has NumPy.
set -u
build=$(cd "${1:?usage: run_embed_python.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
python=
for candidate in "$root/.venv/bin/python" python3; do
    if "$candidate" -c 'import numpy' 2>/dev/null; then python=$candidate && break; fi
done
[ -n "$python" ] || { echo "embed_python: no Python with NumPy here (.venv, or Debian's python3-numpy)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1

digits=$root/examples/digits/digits.tfx
"$build/tfxc" "$digits" -o "$work/digits.so" &&
    "$build/tfxc" "$digits" -o "$work/digits_outside.so" --external-weights="$work/digits.tfxw" &&
    "$build/tfxc" "$digits" -o "$work/other.so" --weights=random &&
    "$build/tfxc" "$root/tests/embed/small.tfx" -o "$work/small.so" --weights=random:3 &&
    for version in "first 1 88 0" "short 2 80 128" "shorter 2 88 112" "next 3 88 128"; do
        set -- $version && ${CC:-cc} -shared -fPIC -I"$root" -DVERSION="$2" -DAPI_SIZE="$3" -DINFO_SIZE="$4" \
            "$root/tests/embed/other_version.c" -o "$work/$1.so" || exit 1
    done &&
    echo 'int x;' | ${CC:-cc} -shared -fPIC -x c - -o "$work/no_model.so" || exit 1

failures=0
"$python" "$root/tests/embed/check_tfx.py" "$work" >"$work/log" 2>&1 || { failures=1; cat "$work/log"; }
checks=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' "$work/log")
[ "${checks:-0}" -gt 0 ] || { echo "embed_python: nothing ran"; exit 1; }

"$python" "$root/examples/embed_python/demo.py" "$work/digits.so" >"$work/log" 2>&1 || { failures=$((failures + 1)); cat "$work/log"; }
"$python" "$root/examples/embed_python/demo.py" "$work/other.so" >"$work/log" 2>&1 && failures=$((failures + 1)) && echo "the demo takes random weights for right"
grep -q '^test accuracy ' "$work/log" || { failures=$((failures + 1)); cat "$work/log"; }
awk '/^```python$/ { on = 1; next } /^```$/ { on = 0 } on' "$root/docs/embedding.md" >"$work/doc.py"
(cd "$work" && PYTHONPATH=$root/examples/embed_python "$python" doc.py) >"$work/log" 2>&1 && grep -q '^digits(pixels: f32' "$work/log" ||
    { failures=$((failures + 1)); echo "the program of docs/embedding.md:"; cat "$work/log"; }
echo "embed_python: $((checks + 4 - failures)) passed, $failures failed"
[ $failures = 0 ]
