#!/usr/bin/env bash
# The digits example through the shipped binaries: both interpreters and the compiled model against PyTorch's values.
# usage: tests/run_digits.sh BUILD_DIR
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$root/tests/support/checks.sh"

digits=$root/examples/digits
check "compiles to a shared object" "$build/tfxc" "$digits/digits.tfx" -o "$work/digits.so"
check "intermediate tensors compile" "$build/tfxc" "$root/tests/e2e/goldens/digits_tensors.tfx" -o "$work/tensors.so"
check "every tensor is as near to f64 as PyTorch's, twice" "$build/tests/check_digits" "$work/tensors.so" \
    "$root/tests/e2e/goldens/digits_tensors.npz" "$work/digits.so" "$digits"
for ir in tir kir; do
    check "the $ir interpreter runs the model" "$build/tfxc" "$digits/digits.tfx" --interpret=$ir \
        "--input=pixels=$root/tests/e2e/goldens/pixels_3.npy" "--save=logits=$work/$ir.npy"
    check "the compiled model agrees with it" "$build/tfxrun" "$work/digits.so" \
        --input "pixels=$root/tests/e2e/goldens/pixels_3.npy" --expect "logits=$work/$ir.npy" --rtol 0 \
        --atol "$([ $ir = kir ] && echo 0 || echo 1e-5)"
done
for level in 0 1 3; do
    check "-O$level gives the same bits" sh -c "\"$build/tfxc\" \"$digits/digits.tfx\" -O$level -o \"$work/o.so\" && \
        \"$build/tfxrun\" \"$work/o.so\" --input \"pixels=$root/tests/e2e/goldens/pixels_3.npy\" --expect \"logits=$work/kir.npy\" --rtol 0 --atol 0"
done
for mcpu in x86-64 haswell; do
    check "-mcpu=$mcpu stays within 1e-5" sh -c "\"$build/tfxc\" \"$digits/digits.tfx\" -mcpu=$mcpu -o \"$work/o.so\" && \
        \"$build/tfxrun\" \"$work/o.so\" --input \"pixels=$root/tests/e2e/goldens/pixels_3.npy\" --expect \"logits=$work/tir.npy\" --rtol 0 --atol 1e-5"
done
check "equal sources and flags give equal bytes" sh -c "mkdir \"$work/again\" && \
    \"$build/tfxc\" \"$digits/digits.tfx\" -o \"$work/again/digits.so\" && cmp \"$work/digits.so\" \"$work/again/digits.so\""
for kind in tir kir ll s; do
    check "writes .$kind" "$build/tfxc" "$digits/digits.tfx" -o "$work/d.$kind"
done
check ".tir compiles to the same bits" sh -c "\"$build/tfxc\" \"$work/d.tir\" -o \"$work/tir.so\" && \
    \"$build/tfxrun\" \"$work/tir.so\" --input \"pixels=$root/tests/e2e/goldens/pixels_3.npy\" --expect \"logits=$work/kir.npy\" --rtol 0 --atol 0"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
