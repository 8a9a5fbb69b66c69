#!/usr/bin/env bash
# run_padding.sh BUILD_DIR [MODEL...]: the models of tests/padding, packed and not: real places agree, and padding is removed in every
# entry. Masks have holes, are full on either side, empty and whole; one text and several, one token, odd numbers, the bound.
set -u
build=$(cd "${1:?usage: run_padding.sh BUILD_DIR [MODEL...]}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$root/tests/support/checks.sh"

# One entry at one size, with several numbers of real tokens: where an entry takes no numbers but a mask, that has holes.
agree() { # NAME ENTRY OPTION...
    local name=$1 entry=$2
    shift 2
    try "$name.$entry $*" "$build/tfxrun" padded.so --entry "$entry" "$@" --output out.npz &&
        try "$name.$entry $*, packed" "$build/tfxrun" packed.so --entry "$entry" "$@" --expect out.npz --rtol 1e-4 --atol 2e-5
}

run_model() { # NAME
    local name=$1 program=$root/tests/padding/$1.tfx entry size
    try "$name" "$build/tfxc" "$program" --weights=random --remarks -o packed.so || return
    mv log remarks
    try "$name, padded" "$build/tfxc" "$program" --weights=random --skip-pass=remove_padding -o padded.so || return
    for entry in $(sed -n 's/^  entry \([a-z_]*\)(.*/\1/p' "$program"); do
        try "$name.$entry is packed" grep -q "remove_padding: @$entry: tokens are packed" remarks
        for size in "B=1 S=1" "B=3 S=1" "B=1 S=7" "B=5 S=23" "B=3 S=64" "B=1 S=97" "B=5 S=131"; do
            read -r batch tokens <<<"$size"
            local given=(--dim "$batch" --dim "$tokens")
            ! grep -q "T <= " "$program" || given+=(--dim T=$((${tokens#S=} / 2 + 1)))
            case $(sed -n "s/^  entry $entry(\(.*\)).*/\1/p" "$program") in
            *"n: i64"*) for range in 0..0 "${tokens#S=}..${tokens#S=}" "0..${tokens#S=}" 0..3 0..1; do agree "$name" "$entry" --random 3 "${given[@]}" --range "n=$range"; done ;;
            *"start: i64"*) for range in 0..0 "${tokens#S=}..${tokens#S=}" "0..${tokens#S=}" 0..2; do agree "$name" "$entry" --random 3 "${given[@]}" --range "start=$range"; done ;;
            *attention_mask*) for range in 0..0 1..1 0..1 0..9; do agree "$name" "$entry" --random 3 "${given[@]}" --range "attention_mask=$range"; done ;;
            *) for seed in 3 4; do agree "$name" "$entry" --random $seed "${given[@]}"; done ;;
            esac
        done
    done
}

[ $# -gt 0 ] || set -- $(cd "$root/tests/padding" && ls *.tfx | sed 's/\.tfx$//')
for model in "$@"; do run_model "$model"; done
echo "padding: $passed passed, $failed failed"
[ "$failed" = 0 ]
