#!/usr/bin/env bash
# run_scale.sh BUILD_DIR: what four times as large a model costs the compiler: less than six times the processor time and memory, up to
# LLVM IR, in models of many layers and of many kernels that differ. Quadratic work would take sixteen times. The least of three runs
# counts, and of time only what is more than the start of tfxc takes.
set -u
build=$(cd "${1:?usage: run_scale.sh BUILD_DIR}" && pwd)
tfxc=$build/tfxc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
can_start() { (ulimit -v 4000000 && "$tfxc" --version) >/dev/null 2>&1; }
can_start || { echo "skipped: sanitizers take time and memory of their own"; exit 77; }

layers() { # N
    printf 'import "std/bert.tfx" as bert\nmodel m(x: f32[B, S, 64], mask: bool[B, S]) -> y: f32[B, S, 64] where B <= 8, S <= 128 {\n
    let y = x for l in 0..%d { y = bert.layer(y, mask, heads = 4, hidden = 128) @ "layer.{l}" } return y }\n' "$1"
}
kernels() { # N
    printf 'model m(x: f32[B, %d]) -> y: f32[B, 1] where B <= 8 {\nlet y = sum(x, axis = 1)
    for l in 1..%d { y = y * max(x[:, 0..64 * l], axis = 1) } return y }\n' $((64 * $1)) "$1"
}
milliseconds() { # KIND N: the least processor time of three compilations
    local least= TIMEFORMAT='%3U %3S' user system now
    "$1" "$2" >m.tfx
    for _ in 1 2 3; do
        read -r user system < <({ time "$tfxc" m.tfx --weights=random -o m.ll >log 2>&1; } 2>&1)
        now=$((10#${user/./} + 10#${system/./}))
        [ -n "$least" ] && [ "$least" -le "$now" ] || least=$now
    done
    [ -s m.ll ] || { echo "$1 $2 does not compile" >&2; cat log >&2; }
    rm -f m.ll
    echo "$least"
}
failed=0
start=$(kernels 2 >m.tfx; milliseconds kernels 2)
for kind in "layers 100" "kernels 150"; do
    read -r what n <<<"$kind"
    small=$(milliseconds "$what" "$n") large=$(milliseconds "$what" $((4 * n)))
    small=$((small > start + 20 ? small - start : 20)) large=$((large - start))
    echo "scale: $n $what: $small ms, $((4 * n)): $large ms"
    [ $large -lt $((6 * small)) ] || { echo "FAILED: $what: $((large / small)) times the time for four times the size"; failed=1; }
done
[ $failed = 0 ]
