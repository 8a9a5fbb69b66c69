#!/usr/bin/env bash
# The models of tests/models against PyTorch: each is compiled with its weights and runs its cases through the shipped tfxrun, and
# in the tensor interpreter. tests/models/make_goldens.py made weights and cases; their outputs were computed in double precision.
# Sessions of several runs, of programs with states, are interpreted only.
# The models of examples/models, which have the real sizes, compile.
# usage: tests/run_models.sh BUILD_DIR [MODEL...]
set -u
build=$(cd "${1:?usage: run_models.sh BUILD_DIR [MODEL...]}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# |got - expected| <= ATOL + RTOL * |expected|. Values are of order one, and float32 sums of some hundred terms are off by some 1e-6.
# The interpreter computes in f64: it differs by the rounding of the stored f32, and by that of its own results.
compiled=(--atol 2e-5 --rtol 1e-5)
interpreted=(2e-7 2e-7)
# States are kept as f32 between runs, and what is made of them is off by as much as that rounding matters.
session=(2e-6 2e-6)

check() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >"$work/log" 2>&1 && passed=$((passed + 1)) && return
    failed=$((failed + 1))
    echo "FAILED: $name: $*"
    sed 's/^/    /' "$work/log" | tail -20
    return 1
}

interpret() { # MODEL CASE [ENTRY]
    "$build/tfxc" "$1" --interpret=tir ${3:+"--entry=$3"} "--input=$2" "--save=$work/out.npz" &&
        "$build/tests/compare_arrays" "$work/out.npz" "$2" "${interpreted[@]}"
}

run_step() { # MODEL STEP.npz ENTRY [DIM NUMBER]
    "$build/tfxc" "$1" --interpret=tir "--entry=$3" ${4:+"--dim=$4=$5"} "--input=$2" "--save=$work/out.npz" "--state=$work/state.npz" &&
        "$build/tests/compare_arrays" "$work/out.npz" "$2" "${session[@]}"
}

run_session() { # NAME FOLDER
    local step=0 file entry dim number
    rm -f "$work/state.npz"
    while file=$(echo "$2$step".*.npz) && [ -e "$file" ]; do
        IFS=. read -r _ entry dim number <<<"$(basename "$file" .npz)"
        check "$1, $(basename "$2"), step $step" run_step "$work/$1.tir" "$file" "$entry" $dim $number || return
        step=$((step + 1))
    done
    check "$1, $(basename "$2") has steps" [ "$step" -gt 1 ]
}

run_model() { # NAME
    local name=$1 program=$root/tests/models/$1.tfx file what entry cases=0
    check "$name as tensor IR" "$build/tfxc" "$program" -o "$work/$name.tir" || return
    for file in "$root/tests/models/$name"/*/; do
        [ -d "$file" ] || continue
        run_session "$name" "$file"
        cases=$((cases + 1))
    done
    [ "$cases" = 0 ] || return
    check "$name compiles" "$build/tfxc" "$program" -o "$work/$name.so" || return
    for file in "$root/tests/models/$name"/*.npz; do
        what=$(basename "$file" .npz) entry=
        [[ $what = *.* ]] && entry=${what%%.*}
        check "$name, $what" "$build/tfxrun" "$work/$name.so" ${entry:+--entry "$entry"} --input "$file" --expect "$file" "${compiled[@]}"
        check "$name, $what, interpreted" interpret "$work/$name.tir" "$file" $entry
        cases=$((cases + 1))
    done
    check "$name has cases" [ "$cases" -gt 0 ]
}

# The checks above can fail: one case's outputs are not another's.
tells_apart() { # MODEL.so CASE OTHER
    "$build/tfxrun" "$1" --entry encode --input "$2" --expect "$3" "${compiled[@]}"
    [ $? = 1 ]
}

# Layers that share their parameters are stored once: as many bytes for three of them as for one.
stored_once() { # PROGRAM, whose loop over three layers is "0..3"
    sed 's/0\.\.3/0..1/' "$1" >"$work/one_layer.tfx" && ! cmp -s "$1" "$work/one_layer.tfx" || return 1
    "$build/tfxc" "$1" -o "$work/a.so" --external-weights="$work/three" --weights=random &&
        "$build/tfxc" "$work/one_layer.tfx" -o "$work/a.so" --external-weights="$work/one" --weights=random || return 1
    ls -l "$work/three" "$work/one"
    [ "$(stat -c %s "$work/three")" = "$(stat -c %s "$work/one")" ]
}

if [ $# -gt 0 ]; then
    for model in "$@"; do run_model "$model"; done
else
    for program in "$root"/tests/models/*.tfx; do run_model "$(basename "$program" .tfx)"; done
    for program in "$root"/examples/models/*.tfx; do
        check "$(basename "$program") compiles" "$build/tfxc" "$program" --weights=random --emit=tir -o "$work/example.tir"
    done
    bert=$root/tests/models/bert
    check "tells cases apart" tells_apart "$work/bert.so" "$bert/encode.padded.npz" "$bert/encode.batch_of_primes.npz"
    check "ALBERT's layers are stored once" stored_once "$root/tests/models/albert.tfx"
fi
echo "models: $passed passed, $failed failed"
[ "$failed" = 0 ]
