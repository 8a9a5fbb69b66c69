#!/usr/bin/env bash
# run_language_docs.sh BUILD_DIR: docs/language.md against the compiler. Its complete programs compile, and it mentions every file
# of the standard library and every built-in function.
set -u
build=${1:?usage: run_language_docs.sh BUILD_DIR}
root=$(cd "$(dirname "$0")/.." && pwd)
doc=$root/docs/language.md
tfxc=$(cd "$build" && pwd)/tfxc
[ -x "$tfxc" ] || { echo "skipped: no $tfxc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

awk -v dir="$work" '/^```tfx$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside { print > (dir "/" n ".tfx") }' "$doc"
programs=0
for program in "$work"/*.tfx; do
    programs=$((programs + 1))
    if ! "$tfxc" "$program" --weights=random --emit=tir -o "$work/out.tir" >"$work/log" 2>&1; then
        echo "FAIL: a program of docs/language.md does not compile"
        cat "$program" "$work/log"
        failed=1
    fi
done
[ "$programs" -ge 4 ] || { echo "FAIL: only $programs programs found"; failed=1; }

# What the table for those who come from PyTorch says to write stands in the program below it, word for word.
section=$(sed -n '/^## Coming from PyTorch/,/^## Grammar/p' "$doc")
tour=$(sed -n '/^```tfx$/,/^```$/p' <<<"$section")
rows=0
while IFS= read -r row; do
    row=${row//'\|'/$'\x01'}
    cell=$(cut -d'|' -f3 <<<"$row")
    while IFS= read -r code; do
        rows=$((rows + 1))
        grep -qF -- "${code//$'\x01'/|}" <<<"$tour" || { echo "FAIL: the program for the table lacks ${code//$'\x01'/|}"; failed=1; }
    done < <(grep -oE '`[^`]+`' <<<"$cell" | tr -d '`')
done < <(grep '^| `' <<<"$section")
[ "$rows" -ge 25 ] || { echo "FAIL: only $rows pieces of code found in the table"; failed=1; }

names=$(cd "$root/frontend" && ls std/*.tfx; sed -n 's/^BUILTIN(\([a-z]*\),.*/\1/p' "$root/frontend/builtins.def")
for name in $names; do
    grep -q "\b$name\b" "$doc" || { echo "FAIL: docs/language.md does not mention $name"; failed=1; }
done
for word in $(sed -n 's/^"\([a-z]*\)" .*return TOK_.*/\1/p' "$root/frontend/lexer.l"); do
    grep -q "\b$word\b" "$doc" || { echo "FAIL: docs/language.md does not mention the word $word"; failed=1; }
done
[ "$failed" -eq 0 ] && echo "language docs: $programs programs, $(echo "$names" | wc -l) names"
exit "$failed"
