#!/usr/bin/env bash
# run_programs.sh BUILD_DIR: the programs of tests/programs through the shipped tfxc, for several processors and levels and on one
# and on three threads: all must agree. What the numbers must be is for unit.codegen.test_lower.
set -u
build=$(cd "${1:?usage: run_programs.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$root/tests/support/checks.sh"

can_run() { # CPU: this machine has what the processor has
    [ -f "$1.so" ] || printf 'module m\nfunc @m(%%x: f32[1]) -> (y: f32[1]) {\n  return %%x\n}\n' >one.tir
    "$build/tfxc" one.tir "-mcpu=$1" -o "$1.so" && "$build/tfxrun" "$1.so" --random 1
}
variants=(-O0 -mcpu=x86-64)
for cpu in haswell skylake-avx512; do can_run $cpu >log 2>&1 && variants+=("-mcpu=$cpu"); done

for program in "$root"/tests/programs/*.tir; do
    name=$(basename "$program" .tir)
    try "$name" "$build/tfxc" "$program" -o native.so || continue
    # @function, and what its integer inputs may hold: small numbers, so that they are indices and have equals.
    sed -n 's/^func @\([a-z_0-9]*\)(\(.*\)) -> .*/\1 \2/p' "$program" | while read -r entry arguments; do
        echo "$entry $(grep -o '%[a-z]*: [iu][0-9]*\[' <<<"$arguments" | sed 's/%\([a-z]*\):.*/--range \1=0..2/' | tr '\n' ' ')"
    done >entries
    while read -r entry ranges; do
        try "$name.$entry" "$build/tfxrun" native.so --entry "$entry" --random 7 $ranges --output "$entry.npz"
        try "$name.$entry on three threads" "$build/tfxrun" native.so --entry "$entry" --random 7 $ranges --threads 3 \
            --expect "$entry.npz" --rtol 0 --atol 0
    done <entries
    for variant in "${variants[@]}"; do
        try "$name $variant" "$build/tfxc" "$program" "$variant" -o variant.so || continue
        while read -r entry ranges; do
            try "$name.$entry $variant" "$build/tfxrun" variant.so --entry "$entry" --random 7 $ranges --expect "$entry.npz" --rtol 1e-5 --atol 1e-5
        done <entries
    done
done
echo "programs: $passed passed, $failed failed"
[ "$failed" = 0 ]
