#!/usr/bin/env bash
# Models with code for several processors. Each variant that this machine can run gives the bits of a model compiled for that processor
# alone, and of the kernel interpreter; the weights are there once; every variant's code uses its own instruction set and no other; open
# takes, refuses and obeys as it should, on this machine and on processors that qemu makes up.
# usage: tests/run_multiversion.sh BUILD_DIR
set -u
build=$(cd "${1:?usage: run_multiversion.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
[ "$(uname -m)" = x86_64 ] || { echo "multiversion: this machine is no x86-64"; exit 77; }
passed=0 failed=0
digits=$root/examples/digits/digits.tfx pixels=$root/tests/e2e/goldens/pixels_3.npy
exact=(--rtol 0 --atol 0)

check() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >log 2>&1 && passed=$((passed + 1)) && return
    failed=$((failed + 1))
    echo "FAILED: $name: $*"
    sed 's/^/    /' log | tail -20
    return 1
}

refuses() { # WORDS COMMAND...: the command fails and says that
    local words=$1
    shift
    ! "$@" >said 2>&1 && grep -qF -- "$words" said || { cat said; return 1; }
}

taken() { # MODEL [COMMAND...]: the variant that open takes there
    "${@:2}" "$build/tfxrun" "$1" --describe --json | sed -n 's/^  "variant": "\(.*\)",$/\1/p'
}

# ---- this machine ----
check "compiles" "$build/tfxc" "$digits" --multiversion -o all.so || exit 1
names=(x86-64-v4 x86-64-v3 x86-64)
check "lists its variants" test "$("$build/tfxrun" all.so --describe --json | grep -o '"name": "x86-64[-v0-9]*"' | tr -d '\n')" = \
    "$(printf '"name": "%s"' "${names[@]}")"
ran=0
for cpu in "${names[@]}"; do
    check "$cpu alone" "$build/tfxc" "$digits" -mcpu="$cpu" -o "$cpu.so"
    if ! "$build/tfxrun" "$cpu.so" --random 1 >/dev/null 2>&1; then
        check "$cpu is refused by name" refuses "variant '$cpu' cannot run: this machine lacks: " "$build/tfxrun" all.so --variant "$cpu" --random 1
        continue
    fi
    [ $ran -gt 0 ] || check "takes $cpu" test "$(taken all.so)" = "$cpu"
    ran=$((ran + 1))
    for batch in 1 3 7 64; do
        "$build/tfxrun" "$cpu.so" --random $batch --dim B=$batch --output want.npz >/dev/null
        check "$cpu, $batch images" "$build/tfxrun" all.so --variant "$cpu" --random $batch --dim B=$batch --expect want.npz "${exact[@]}"
    done
    "$build/tfxc" "$digits" --interpret=kir -mcpu="$cpu" "--input=pixels=$pixels" --save=logits=kir.npy
    tolerance=("${exact[@]}")
    [ "$cpu" != x86-64 ] || tolerance=(--rtol 0 --atol 1e-5) # no fused multiply-adds
    check "$cpu as interpreted" "$build/tfxrun" all.so --variant "$cpu" --input "pixels=$pixels" --expect logits=kir.npy "${tolerance[@]}"
    check "the contract, $cpu" "$build/tests/embed_check" "$cpu.so" --random 3 --dim B=3
done
check "a variant ran" test $ran -gt 0
check "the contract, all variants" "$build/tests/embed_check" all.so --random 3 --dim B=3
check "an unknown variant" refuses "the model has no variant 'z80', only 'x86-64-v4', 'x86-64-v3', 'x86-64'" "$build/tfxrun" all.so --variant z80 --random 1

# All variants' code, and one copy of the weights.
weights=$("$build/tfxrun" all.so --describe --json | sed -n 's/.*"weight_bytes": \([0-9]*\),/\1/p')
size() { stat -c %s "$1"; }
check "weights are there once" test "$(size all.so)" -lt $(($(size x86-64-v4.so) + $(size x86-64-v3.so) + $(size x86-64.so) - 2 * weights))
check "equal flags give equal bytes" sh -c "mkdir again && '$build/tfxc' '$digits' --multiversion -o again/all.so && cmp all.so again/all.so"

# Other kinds of output, and lists of one's own.
check "an object" "$build/tfxc" "$digits" --multiversion=x86-64,x86-64-v3 -o digits.o
check "links" cc -O1 -I. "$root/tests/cross/linked_digits.c" digits.o -lm -lpthread -o linked
"$build/tfxc" "$digits" --multiversion=x86-64,x86-64-v3 -o other.so 2>said
check "warns of what is never taken" grep -qF "variant 'x86-64-v3' is never taken: every machine that runs it prefers 'x86-64'" said
check "the order is the user's" test "$(taken other.so)" = x86-64
check "names a processor twice" refuses "--multiversion names 'haswell' twice" "$build/tfxc" "$digits" --multiversion=haswell,haswell -o x.so
check "names none" refuses "unknown processor 'haswel'" "$build/tfxc" "$digits" --multiversion=haswel -o x.so
for flag in -mcpu=haswell -mattr=+fma --machine=default; do
    check "with $flag" refuses "--multiversion is for several processors, and ${flag%%=*} is about one" "$build/tfxc" "$digits" --multiversion $flag -o x.so
done
check "as kernel IR" refuses "--multiversion does not go with --emit=kir" "$build/tfxc" "$digits" --multiversion -o x.kir

# ---- the code ----
check "assembly" "$build/tfxc" "$digits" --multiversion -o all.s
# The widest registers of the functions of each variant; and no instruction of AVX (they begin with v) in the baseline's.
awk '/^"?(kernel|launch|tasks|plan|buffer_bytes|scratch_bytes)\./ { f = $0; sub(/"?:.*/, "", f); sub(/.*\.x86-64/, "x86-64", f) }
     f && /%zmm/ { seen[f " zmm"] = 1 } f && /%ymm/ { seen[f " ymm"] = 1 } f && /^\tv[a-z]/ { seen[f " v"] = 1 } f && /%xmm/ { seen[f " xmm"] = 1 }
     END { for (s in seen) print s }' all.s | sort >used
printf '%s\n' 'x86-64 xmm' 'x86-64-v3 v' 'x86-64-v3 xmm' 'x86-64-v3 ymm' 'x86-64-v4 v' 'x86-64-v4 xmm' 'x86-64-v4 ymm' 'x86-64-v4 zmm' | sort >want
check "each variant uses its own registers" diff used want

# ---- processors of qemu, which emulates up to AVX2 ----
if command -v qemu-x86_64 >/dev/null && qemu-x86_64 -cpu Haswell "$build/tfxrun" --help >/dev/null 2>&1; then
    for row in "qemu64 x86-64" "Nehalem x86-64" "SandyBridge x86-64" "Haswell x86-64-v3" "EPYC x86-64-v3" "max x86-64-v3"; do
        read -r machine want <<<"$row"
        check "$machine takes $want" test "$(taken all.so qemu-x86_64 -cpu "$machine" 2>/dev/null)" = "$want"
    done
    # The machine's bits are those of any other.
    for machine in Nehalem Haswell; do
        cpu=$(taken all.so qemu-x86_64 -cpu $machine 2>/dev/null)
        "$build/tfxrun" x86-64.so --input "pixels=$pixels" --output want.npz >/dev/null
        [ "$cpu" = x86-64 ] || "$build/tfxc" "$digits" --interpret=kir "-mcpu=$cpu" "--input=pixels=$pixels" --save=want.npz
        check "$machine computes" qemu-x86_64 -cpu $machine "$build/tfxrun" all.so --input "pixels=$pixels" --expect want.npz "${exact[@]}"
    done
    check "Nehalem is refused" refuses " x86-64-v3; this machine lacks: avx " \
        qemu-x86_64 -cpu Nehalem "$build/tfxrun" x86-64-v3.so --random 1
    "$build/tfxc" "$digits" --multiversion=x86-64-v4,x86-64-v3 -o fast.so
    check "Nehalem finds no variant" refuses "no variant of the model runs on this machine; 'x86-64-v3' needs: avx " \
        qemu-x86_64 -cpu Nehalem "$build/tfxrun" fast.so --random 1
    check "and --describe still works there" test -z "$(taken fast.so qemu-x86_64 -cpu Nehalem 2>/dev/null)"
else
    echo "multiversion: no qemu-x86_64, nothing tried on other processors"
fi
echo "multiversion: $passed passed, $failed failed"
[ "$failed" = 0 ]
