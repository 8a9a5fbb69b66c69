#!/usr/bin/env bash
# run_catalogue.sh BUILD_DIR [--write]: the catalogue of messages, docs/diagnostics.md, is made of the table support/diag_codes.def and of
# the examples tests/diag/codes/CODE.txt (which run_diag.sh checks). Fails when it is out of date, when a code that the source uses is not
# in the table, when nothing uses a row, or when a row has no example that shows it. --write writes the page.
set -u
build=$(cd "${1:?usage: run_catalogue.sh BUILD_DIR [--write]}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=${TFXC:-$build/tfxc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root" || exit 1
failed=0 passed=0
fail() {
    echo "FAIL: $1"
    failed=$((failed + 1))
}

sed -nE 's/^DIAG_CODE\("([a-z-]+)", "(.*)"\)$/\1 \2/p' support/diag_codes.def >"$work/table"
cut -d' ' -f1 "$work/table" | sort >"$work/codes"
[ "$(grep -c '^DIAG_CODE' support/diag_codes.def)" = "$(wc -l <"$work/codes")" ] || fail "a row of diag_codes.def is not understood"

# The codes in the source: the first string of sema_error and sema_warning, the last one of diag_code.
for file in support/*.c frontend/*.[cyl] ir/*.c ir/kir/*.c passes/*.c codegen/*.c driver/*.c tfxc.c; do
    tr '\n' ' ' <"$file" | grep -oE '(sema_error|sema_warning|diag_code)\([^;]*;' |
        sed -nE 's/^sema_(error|warning)\([^"]*"([a-z-]+)",.*/\2/p; s/^diag_code\(.*"([a-z-]+)"\);$/\1/p'
done | sort -u >"$work/used"
for code in $(comm -23 "$work/used" "$work/codes"); do fail "code '$code' is not in support/diag_codes.def"; done
for code in $(comm -13 "$work/used" "$work/codes"); do fail "no message has the code '$code' of diag_codes.def"; done
for case in tests/diag/codes/*.txt; do
    grep -qx "$(basename "$case" .txt)" "$work/codes" || fail "$case is the example of no code"
done

section() { # CASE NAME: the text of a section
    awk -v name="== $2" '/^== / { inside = $0 == name; next } inside' "$1"
}

{
    cat <<'END'
# Messages

What tfxc says about mistakes, by code. `--diagnostics=json` prints messages as one JSON array with these codes; they stay what they are,
while texts may become better. This page is made by `tests/run_catalogue.sh build --write` of the table `support/diag_codes.def` and of
the examples in `tests/diag/codes`, which the tests compile.

A message has the place, what is wrong, the line with the place underlined, and then what was expected, what is there, what else there is to know,
and what to write. A mistake is told once: where a loop or a block is unrolled many times, at its first place; inside of the standard library, at the
call in your file. After 20 errors the rest is only counted.

`tfxc` ends with status 0 when all went well (there may be warnings), 1 after errors, 2 when the command line makes no sense, 3 when memory
runs out. Nothing is written unless the status is 0.
END
    while read -r code meaning; do
        case=tests/diag/codes/$code.txt
        printf '\n## %s\n\n%s\n' "$code" "$meaning"
        [ -f "$case" ] || continue
        printf '\n```\n'
        files=$(sed -nE 's/^== (.*\.(tfx|tir))$/\1/p' "$case")
        for file in $files; do
            [ "$file" = "$(set -- $files; echo "$1")" ] || printf '\n// %s\n' "$file"
            section "$case" "$file"
        done
        args=$(section "$case" args)
        [ -n "$args" ] || args=$(section "$case" command | sed 's/^a.tfx //')
        printf '```\n\n```\n'
        [ -z "$args" ] || [ "$args" = --weights= ] || printf '$ tfxc a.tfx %s\n' "$args"
        section "$case" stderr
        printf '```\n'
    done <"$work/table"
} >"$work/page"

# Each example shows its code and no other error.
for code in $(cat "$work/codes"); do
    case=tests/diag/codes/$code.txt
    [ -f "$case" ] || { fail "there is no example $case"; continue; }
    got=$(bash tests/run_diag.sh "$build" --codes "$case")
    if [ "$got" = "$code" ]; then passed=$((passed + 1)); else fail "$case shows '$(echo $got)'"; fi
done

if [ "${2:-}" = --write ]; then
    cp "$work/page" docs/diagnostics.md
elif ! diff -u docs/diagnostics.md "$work/page" >"$work/diff"; then
    head -40 "$work/diff"
    fail "docs/diagnostics.md is out of date: tests/run_catalogue.sh build --write"
else
    passed=$((passed + 1))
fi
echo "catalogue: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
