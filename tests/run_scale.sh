#!/usr/bin/env bash
# run_scale.sh BUILD_DIR: what four times as large a model costs the compiler: less than six times the processor time and memory, up to
# LLVM IR, in models of many layers and of many kernels that differ. Quadratic work would take sixteen times. The least of three runs
# counts, and of time only what is more than the start of tfxc takes. Besides: the functions that plans are cut into do not grow with
# the model, and the kernels of equal layers take no more memory than the layers themselves.
set -u
build=$(cd "${1:?usage: run_scale.sh BUILD_DIR}" && pwd)
tfxc=$build/tfxc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
can_start() { (ulimit -v 4000000 && "$tfxc" --version) >/dev/null 2>&1; }
can_start || { echo "skipped: sanitizers take time and memory of their own"; exit 77; }

layers() { # N
    printf 'import "std/bert.tfx" as bert\nmodel m(x: f32[B, S, 64], mask: bool[B, S]) -> y: f32[B, S, 64] where B <= 8, S <= 512 {\n
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
layers_cut() { # N: the lines of the longest function of a plan, in LLVM IR
    layers "$1" >m.tfx
    "$tfxc" m.tfx --weights=random -o m.ll >log 2>&1 || cat log >&2
    awk '/^define/ { plan = /@plan\./; n = 0 } plan { n++ } /^}/ { if (plan && n > most) most = n; plan = 0 } END { print most + 0 }' m.ll
}
peak() { # EMIT: KB of memory that the compilation of m.tfx takes, to there
    python3 -S -c 'import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss if status == 0 else 0)' "$tfxc" m.tfx --weights=random "--emit=$1" -o out
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

small=$(layers_cut 100) large=$(layers_cut 400)
echo "scale: plans have functions of $small lines for 100 layers, $large for 400"
[ "$small" -gt 0 ] && [ "$large" -lt $((2 * small)) ] || { echo "FAILED: a plan's functions grow with it"; failed=1; }

if command -v python3 >log; then
    layers 1 >m.tfx
    base=$(peak tir)
    layers 250 >m.tfx
    graph=$(peak tir) kernels=$(peak kir)
    echo "scale: 250 layers: $(((graph - base) / 250)) KB each as tensor IR, $(((kernels - graph) / 250)) KB as kernels"
    [ "$base" -gt 0 ] && [ $((kernels - graph)) -lt $((3 * (graph - base))) ] ||
        { echo "FAILED: the kernels of equal layers take $(((kernels - graph) / (graph - base))) times the memory of the layers"; failed=1; }
fi
[ $failed = 0 ]
