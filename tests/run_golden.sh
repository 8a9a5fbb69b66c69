#!/usr/bin/env bash
# run_golden.sh BUILD_DIR [--update] [CASE]...: runs passes on tensor IR, and lowers it, as a user would and compares what comes out.
#
# A case is one file, tests/golden/{passes,lower}/*.tirtest: lines beginning with '#' say what it shows, then sections:
#   == in.tir   the input
#   == args     further arguments of tfxc, such as --run-pass=cse
#   == tir      passes: the IR that must come out, exactly
#   == plan     lower: the plans of the kernel IR that must come out, exactly
#   == stderr   what is said, exactly; nothing when the section is missing. An error in it means that tfxc must fail.
# --update rewrites the expectations; read the difference before committing it.
set -u
build=${1:?usage: run_golden.sh BUILD_DIR [--update] [CASE]...}
shift
update=
[ "${1-}" = --update ] && update=1 && shift
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=${TFXC:-$(cd "$build" && pwd)/tfxc}
[ -x "$tfxc" ] || { echo "skipped: no $tfxc"; exit 77; }
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=("$root"/tests/golden/{passes,lower}/*.tirtest)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0
failed=0
for case in "${cases[@]}"; do
    name=$(basename "$case" .tirtest)
    dir=$work/$name
    form=tir ir=tir
    [ "$(basename "$(dirname "$case")")" = lower ] && form=plan ir=kir
    mkdir "$dir"
    touch "$dir/args" "$dir/$form" "$dir/stderr" "$dir/comment"
    awk -v dir="$dir" '
        BEGIN { out = dir "/comment" }
        /^== / { out = dir "/" substr($0, 4); printf "" > out; next }
        { print > out }' "$case"
    read -r -d '' -a args <"$dir/args"
    (cd "$dir" && "$tfxc" in.tir "${args[@]}" --verify-each --emit=$ir -o - >all 2>got.stderr)
    status=$?
    if [ $form = tir ]; then mv "$dir/all" "$dir/got.tir"; else sed -n '/^plan /,$p' "$dir/all" >"$dir/got.plan"; fi
    wanted=0
    grep -q 'error: ' "$dir/stderr" && wanted=1
    if [ -n "$update" ]; then
        {
            cat "$dir/comment"
            echo "== in.tir" && cat "$dir/in.tir"
            echo "== args" && cat "$dir/args"
            echo "== $form" && cat "$dir/got.$form"
            if [ -s "$dir/got.stderr" ] || grep -q '^== stderr' "$case"; then echo "== stderr" && cat "$dir/got.stderr"; fi
        } >"$dir/new"
        cmp -s "$dir/new" "$case" || { cp "$dir/new" "$case" && echo "updated $name"; }
        continue
    fi
    if [ $((status != 0)) -eq $wanted ] && diff -u "$dir/$form" "$dir/got.$form" >"$dir/diff" &&
        diff -u "$dir/stderr" "$dir/got.stderr" >>"$dir/diff"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name (exit status $status)"
        cat "$dir/diff"
    fi
done
[ -n "$update" ] && exit 0
echo "golden: $passed passed, $failed failed"
[ $failed -eq 0 ]
