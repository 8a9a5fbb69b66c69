#!/usr/bin/env bash
# run_registers.sh BUILD_DIR: the inner loops of matmuls and attention keep their tiles in registers. A loop that spills them is right and slow,
# so no other test would see it. The assembly is looked at, because the processor at hand may have fewer registers.
set -u
build=$(cd "${1:?usage: run_registers.sh BUILD_DIR}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

printf 'model a(q: f32[B, 2, S, 64], k: f32[B, 2, T, 64], v: f32[B, 2, T, 80], keep: bool[B, T]) -> f32[B, 2, S, 80]
  where B <= 4, S <= 4096, T <= 4096\n{\n  return attend(q, k, v, rearrange(keep, "b k -> b 1 k"))\n}\n' >attend.tfx
# As many keys as fit one block: their number sets the size of scratch, and must not set the distance of its rows.
sed 's/T <= 4096/T <= 512/' attend.tfx >short.tfx
printf 'model one(x: f32[M, 1000]) -> f32[M, 70]\n  where M <= 4096\n{\n  return linear(x, 70, bias = false)\n}\n' >one.tfx
# Both matmuls of a pair sum in two blocks: the second begins within a register tile of the first one's columns.
printf 'model pair(x: f32[M, 1000]) -> f32[M, 70]\n  where 1000 <= M, M <= 4096\n{\n  let h = relu(linear(x, 1000) @ "up")
  return linear(h, 70) @ "down"\n}\n' >pair.tfx

# Blocks of code with many multiply-adds, and how many of these also touch vectors on the stack, once for ten multiply-adds or
# more often: "BLOCKS SPILLED". (Once for sixteen is what LLVM's model of one processor thinks is free.)
loops() { # ASSEMBLY LEAST
    awk -v least="$2" '
        function done() { if (sums >= least) { blocks++; if (10 * stack > sums) spilled++ } sums = stack = 0 }
        /^\.?L[A-Za-z0-9_]*:/ || /^\tj/ { done() }
        /vfmadd/ { sums++ }
        /[xyz]mm.*\(%rsp|\(%rsp.*[xyz]mm/ { stack++ }
        END { done(); print blocks + 0, spilled + 0 }' "$1"
}

# The highest tile is 6 x 16 with 16 registers of 8, 14 x 32 with 32 of 16; matmuls take four and two steps of it, attention four.
check() { # MODEL KERNEL CPU HIGHEST
    local blocks spilled model=$1 kernel=$2
    shift 2
    if ! "$build/tfxc" "$model.tfx" --weights=random -mcpu="$1" --emit=s -o m.s; then
        failed=$((failed + 1))
        return
    fi
    if ! grep -q "^kernel\.${kernel}_" m.s; then
        failed=$((failed + 1))
        echo "FAILED: $model, $1: there is no kernel '$kernel'"
        return
    fi
    read -r blocks spilled < <(loops m.s 24)
    if [ "$(loops m.s "$2")" = "0 0" ]; then
        failed=$((failed + 1))
        echo "FAILED: $model, $1: no loop has $2 multiply-adds: what was looked for is not there"
    elif [ "$spilled" != 0 ]; then
        failed=$((failed + 1))
        echo "FAILED: $model, $1: $spilled of $blocks loops keep vectors on the stack"
    else
        passed=$((passed + 1))
    fi
}

for model in attend short; do
    for cpu in haswell znver3; do check $model attention $cpu 48; done
    for cpu in skylake-avx512 znver4; do check $model attention $cpu 112; done
done
check one matmul haswell 48
check one matmul znver3 48
check one matmul skylake-avx512 56
check one matmul znver4 56
check pair matmuls znver3 48
check pair matmuls skylake-avx512 56
check pair matmuls znver4 56
echo "registers: $passed passed, $failed failed"
[ $failed = 0 ]
