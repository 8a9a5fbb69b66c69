#!/usr/bin/env bash
# Policies through the shipped binaries: the digits model with narrow weights against PyTorch's values for such weights, on
# every way from the program to a run; what is stored; rules that are left out.
# usage: tests/run_policy.sh BUILD_DIR
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$build/tfxc" ] || { echo "skipped: no $build/tfxc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$root/tests/support/checks.sh"

digits=$root/examples/digits goldens=$root/tests/e2e/goldens
pixels=pixels=$goldens/pixels_3.npy
compile() { # OUT RULES [FLAG]...: the digits model with a policy
    local out=$1 rules=$2
    shift 2
    { cat "$digits/digits.tfx"; printf 'optimize digits {\n%s\n}\n' "$rules"; } >"$work/model.tfx"
    "$build/tfxc" "$work/model.tfx" --weights="$digits/model.safetensors" --prefix=digits -o "$out" "$@"
}
near() { # MODEL.so EXPECTED.npy TOLERANCE
    "$build/tfxrun" "$1" --input "$pixels" --expect "logits=$2" --rtol 0 --atol "$3"
}
far() { ! near "$@"; }
bytes() { stat -c %s "$1"; }
smaller() { # FILE PERCENT OTHER: FILE has at most so many percent of OTHER's bytes
    echo "$(bytes "$1") against $(bytes "$3") bytes"
    [ $(($(bytes "$1") * 100)) -le $(($(bytes "$3") * $2)) ]
}
says() { # TEXT COMMAND...
    local text=$1
    shift
    "$@" 2>&1 | tee /dev/stderr | grep -qF "$text"
}

check "compiles without a policy" compile "$work/plain.so" "" --external-weights="$work/plain.weights"
"$build/tfxrun" "$work/plain.so" --weights "$work/plain.weights" --input "$pixels" --output "logits=$work/plain.npy" >"$work/log"
for to in bf16 f16; do
    rule="narrow_weights linear in \"**\" (to = $to) expect 25"
    check "$to compiles" compile "$work/$to.so" "$rule"
    check "$to is what PyTorch says" near "$work/$to.so" "$goldens/digits_$to.npy" 2e-6
    check "$to is not the exact model" far "$work/$to.so" "$work/plain.npy" 1e-4
    for ir in tir kir; do
        check "$to in the $ir interpreter" "$build/tfxc" "$work/model.tfx" --weights="$digits/model.safetensors" \
            --interpret=$ir "--input=$pixels" "--save=logits=$work/$ir.npy"
    done
    check "$to: compiled and interpreted kernels agree bit for bit" near "$work/$to.so" "$work/kir.npy" 0
    check "$to for a processor without conversions" sh -c "\"$build/tfxc\" \"$work/model.tfx\" \
        --weights=\"$digits/model.safetensors\" -mcpu=x86-64 -o \"$work/old.so\" --prefix=digits"
    check "$to is the same there" near "$work/old.so" "$goldens/digits_$to.npy" 2e-6
    check "$to stores half" compile "$work/half.so" "$rule" --external-weights="$work/$to.weights"
    check "$to: weights in half the bytes" smaller "$work/$to.weights" 58 "$work/plain.weights"
done

rules='narrow_weights in "vit.encoder.**" (to = bf16)
  keep_exact in "vit.encoder.layer.*.output.dense"'
check "rules are written to .tir" compile "$work/rules.tir" "$rules" --stop-after=dce
check "with their places" grep -q '^rule narrow_weights in "vit.encoder.\*\*" (to = "bf16") at @digits r' "$work/rules.tir"
check "and do the same from there" sh -c "\"$build/tfxc\" \"$work/rules.tir\" --prefix=digits -o \"$work/from_tir.so\""
check "marks and rules compile" compile "$work/both.so" "$rules"
"$build/tfxrun" "$work/both.so" --input "$pixels" --output "logits=$work/both.npy" >"$work/log"
check "with the same bits" near "$work/from_tir.so" "$work/both.npy" 0
check "--skip-pass gives the exact model" compile "$work/skipped.so" "$rules" --skip-pass=narrow_weights
check "bit for bit" near "$work/skipped.so" "$work/plain.npy" 0
check "--remarks says what was left out" says "not done: --skip-pass leaves the pass out" \
    compile "$work/skipped.so" "$rules" --skip-pass=narrow_weights --remarks
check "--remarks says what was done" says "stored 24 parameters as bf16: " \
    compile "$work/remarks.so" 'narrow_weights linear in "vit.**" (to = bf16)' --remarks
check "a rule that changes nothing is warned about" says "warning: this rule changes nothing" \
    compile "$work/nothing.so" 'narrow_weights in "vit.layernorm" (to = bf16)'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
