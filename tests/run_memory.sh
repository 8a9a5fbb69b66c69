#!/usr/bin/env bash
# run_memory.sh BUILD_DIR: the workspace of a thousand random sets of dims, exact to the byte and free of what it held before:
# tests/e2e/memory_check.c over models and programs.
set -u
build=$(cd "${1:?usage: run_memory.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$build/tfxc" ] || { echo "skipped: no tfxc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0 sets=0

# Mistakes of generated code, planted in the toy model, are found: what the workspace held shows in the outputs, bytes behind it.
for mistake in 0 3 6; do
    ${CC:-cc} -shared -fPIC -O1 -w -DTOY_MISTAKE=$mistake -I"$root" "$root"/tests/unit/runtime/toy_model.c "$root"/runtime/rt_*.c -o toy.so
    bash -c '"$@"; exit $?' sh "$build/tests/memory_check" 20 ./toy.so --random 1 --range ids=0..9 >log 2>&1
    status=$?
    [ $mistake = 0 ] && [ $status != 0 ] && { echo "FAILED: the toy model"; cat log; failed=1; }
    [ $mistake != 0 ] && [ $status = 0 ] && { echo "FAILED: mistake $mistake is not found"; failed=1; }
done

while read -r source n flags; do
    if "$build/tfxc" "$root/tests/$source" --weights=random -o m.so 2>log && "$build/tests/memory_check" "$n" m.so $flags >log 2>&1; then
        sets=$((sets + $(sed -n 's/memory_check: \([0-9]*\) .*/\1/p' log)))
    else
        echo "FAILED: $source"
        sed 's/^/    /' log
        failed=1
    fi
done <<END
models/bert.tfx 50 --random 1 --range types=0..2
models/modernbert.tfx 100
models/roberta.tfx 50
models/vit.tfx 20
models/attention.tfx 20
models/layers.tfx 20 --random 1 --range ids=0..22
programs/in_place.tir 40
programs/placed.tir 30
programs/contract.tir 10
programs/rows.tir 10
END
echo "memory: $sets sets of dims"
[ $failed = 0 ] && [ "$sets" -ge 1000 ]
