#!/usr/bin/env bash
# run_format.sh BUILD_DIR [--update] [CASE]...: tfxc --format and --print-blocks; where documentation (///) ends up.
#
#   - tests/golden/format/*.txt: text in and out (sections "== in.tfx" and "== out.tfx"; --update rewrites the
#     second, the programs of docs/language.md, and docs/stdlib.md)
#   - every program in the tree: formatting twice changes nothing, and the formatted program has the same tensor IR
#   - every .tfx file and the programs of docs/language.md are formatted; docs/stdlib.md is up to date
#   - files: rewritten whole or not at all, with their permissions; several at once; standard input
set -u
build=${1:?usage: run_format.sh BUILD_DIR [--update] [CASE]...}
shift
update=
[ "${1-}" = --update ] && update=1 && shift
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=${TFXC:-$(cd "$build" && pwd)/tfxc}
[ -x "$tfxc" ] || { echo "skipped: no $tfxc"; exit 77; }
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=("$root"/tests/golden/format/*.txt)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

pass() { passed=$((passed + 1)); }
fail() { # MESSAGE
    echo "FAILED $1"
    failed=$((failed + 1))
}
check() { # MESSAGE COMMAND...
    local message=$1
    shift
    if "$@" >"$work/log" 2>&1; then pass; else
        fail "$message"
        cat "$work/log"
    fi
}
says() { # MESSAGE PATTERN: what the last check printed
    if grep -q "$2" "$work/log"; then pass; else fail "$1"; fi
}

for case in "${cases[@]}"; do
    name=$(basename "$case" .txt) dir=$work/golden.$(basename "$case" .txt)
    mkdir "$dir"
    awk -v dir="$dir" '/^== / { out = dir "/" $2; printf "" > out; next } out { print > out }' "$case"
    (cd "$dir" && "$tfxc" --format - <in.tfx >got.tfx 2>stderr) || fail "$name: $(cat "$dir/stderr")"
    if [ -n "$update" ]; then
        { sed '/^== out.tfx$/,$d' "$case" && echo '== out.tfx' && cat "$dir/got.tfx"; } >"$dir/new"
        cmp -s "$dir/new" "$case" || { cp "$dir/new" "$case" && echo "updated $name"; }
        continue
    fi
    check "$name" diff -u --label expected --label got "$dir/out.tfx" "$dir/got.tfx"
    check "$name: formatted again" "$tfxc" --format=check "$dir/out.tfx"
done
if [ -n "$update" ] && [ $# -eq 0 ]; then # the programs of the documentation, and the page of the library
    while IFS= read -r line; do
        case $line in
        '```tfx') inside=yes && : >"$work/doc.tfx" && echo "$line" && continue ;;
        '```') [ -n "${inside-}" ] && { "$tfxc" --format - <"$work/doc.tfx" || cat "$work/doc.tfx"; } && inside= ;;
        esac
        if [ -n "${inside-}" ]; then printf '%s\n' "$line" >>"$work/doc.tfx"; else printf '%s\n' "$line"; fi
    done <"$root/docs/language.md" >"$work/language.md"
    cmp -s "$work/language.md" "$root/docs/language.md" || { cp "$work/language.md" "$root/docs/language.md" && echo "updated docs/language.md"; }
    "$tfxc" --print-blocks >"$work/stdlib.md"
    cmp -s "$work/stdlib.md" "$root/docs/stdlib.md" || { cp "$work/stdlib.md" "$root/docs/stdlib.md" && echo "updated docs/stdlib.md"; }
fi
[ -n "$update" ] && exit 0
[ $# -eq 0 ] || { echo "format: $passed passed, $failed failed"; exit $((failed > 0)); }

# Every program that there is: the files, and what stands in tests and docs.
mkdir "$work/all"
for file in "$root"/tests/diag/*.txt "$root"/tests/golden/frontend/*.txt "$root"/tests/golden/format/*.txt "$root/docs/language.md"; do
    awk -v stem="$work/all/$(basename "$file")" '
        /^```tfx$/ { path = stem "." ++n ".tfx"; next }
        /^```$/    { path = ""; next }
        /^== /     { gsub("/", "_", $2); path = $2 ~ /\.tfx$/ ? stem "." $2 : ""; if (path) printf "" > path; next }
        path       { print > path }' "$file"
done
mapfile -t shipped < <(find "$root/frontend" "$root/examples" "$root/tests" -name "*.tfx")
for file in "${shipped[@]}"; do
    name=${file#"$root"/}
    cp "$file" "$work/all/${name//\//_}"
done
cp -r "$work/all" "$work/once"
"$tfxc" --format "$work"/once/*.tfx >"$work/log" 2>&1 # those with syntax errors stay
cp -r "$work/once" "$work/twice"
"$tfxc" --format "$work"/twice/*.tfx >"$work/log" 2>&1
check "a second formatting changes something" diff -r "$work/once" "$work/twice"
programs=0
tir() { (cd "$work/$1" && "$tfxc" "$2" --weights=random --run-pass=dce --emit=tir -o "$work/$1.tir" >"$work/tir.log" 2>&1); }
for file in "$work"/all/*.tfx; do
    name=$(basename "$file")
    tir all "$name" || continue
    programs=$((programs + 1))
    check "$name: formatted, it does not compile" tir once "$name"
    check "$name: another program" cmp "$work/all.tir" "$work/once.tir"
done
[ $programs -ge 30 ] || fail "only $programs programs found"

check "the shipped programs are not formatted" "$tfxc" --format=check "${shipped[@]}"
check "the programs of docs/language.md are not formatted" "$tfxc" --format=check "$work"/all/language.md.*.tfx
"$tfxc" --print-blocks >"$work/stdlib.md"
check "docs/stdlib.md is not what tfxc --print-blocks prints" diff -u "$root/docs/stdlib.md" "$work/stdlib.md"

# ---- files ----
cd "$work" || exit 1
same() { [ "$(cat "$1")" = "$2" ]; }
formats() { "$tfxc" --format "$@"; }
not() { ! "$@"; }

printf 'const a=1' >a.tfx
chmod 640 a.tfx
ln -s a.tfx link.tfx
check "through a link" formats link.tfx
check "a last line without an end" same a.tfx 'const a = 1'
check "the link stays one" test -L link.tfx
check "permissions are kept" test "$(stat -c %a a.tfx)" = 640
touch -d 2001-01-01 a.tfx
check "a formatted file" formats a.tfx
check "a formatted file is not written again" test "$(stat -c %Y a.tfx)" = "$(date -d 2001-01-01 +%s)"

printf 'const a = 1\r\n\r\n\r\n// c\r\nconst b = 2\r\n' >crlf.tfx
check "CRLF is not the normal form" not "$tfxc" --format=check crlf.tfx
check "CRLF" formats crlf.tfx
printf 'const a = 1\n\n// c\nconst b = 2\n' >lf.tfx
check "CRLF becomes LF" cmp crlf.tfx lf.tfx
: >empty.tfx
check "an empty file" formats empty.tfx
check "an empty file stays empty" test ! -s empty.tfx

printf 'const a=\nconst b=1\n' >broken.tfx
cp broken.tfx kept.tfx
printf 'const c=1\n' >c.tfx
check "a syntax error is an error" not formats broken.tfx c.tfx
says "it is said where" "broken.tfx:1:9: error: unexpected end of line"
check "a file with a syntax error stays" cmp broken.tfx kept.tfx
check "the other files are formatted" same c.tfx 'const c = 1'
check "no file" not formats missing.tfx
check "no file at all" not formats
check "an output" not formats c.tfx -o d.tfx
check "two inputs without --format" not "$tfxc" a.tfx c.tfx --emit=nothing

printf 'const a = 1\nconst  b = 2\n' >d.tfx
cp d.tfx kept.tfx
check "what is not formatted is an error" not "$tfxc" --format=check a.tfx d.tfx
says "and is said where" "^d.tfx:2:1: error: 'd.tfx' is not formatted"
says "and what is expected" 'expected: const b = 2'
check "checking writes nothing" cmp d.tfx kept.tfx
check "checking standard input" not "$tfxc" --format=check - <d.tfx
printf 'const a = 1 \n' >e.tfx
check "blanks at an end" not "$tfxc" --format=check e.tfx
says "blanks at an end are named" 'lines end without blanks'
"$tfxc" --format - <d.tfx >e.tfx
check "standard input to standard output" same e.tfx "$(printf 'const a = 1\nconst b = 2')"

# A write that fails leaves the old file and nothing else.
{ for i in $(seq 3000); do echo "const name_$i=$i"; done; } >big.tfx
cp big.tfx kept.tfx
before=$(ls)
check "a full disk is an error" not bash -c "ulimit -f 8; '$tfxc' --format big.tfx"
after=$(ls)
check "the old file stays" cmp big.tfx kept.tfx
check "nothing is left behind" test "$before" = "$after"
if [ "$(id -u)" != 0 ]; then
    chmod 444 big.tfx
    check "a file that may not be written" not formats big.tfx
    check "it stays" cmp big.tfx kept.tfx
fi

# The largest file, as many short lines and as one long one; and one that would grow beyond the limit.
limit=1048576
yes 'const a = 1' | head -c $((limit - limit % 12)) >lines.tfx
printf '//%*s' $((limit % 12 - 3)) x | tr ' ' x >>lines.tfx
echo >>lines.tfx
check "the largest file has the limit's size" test "$(stat -c %s lines.tfx)" = $limit
check "the largest file" "$tfxc" --format=check lines.tfx
{ printf 'const a = [1'; yes ',1' | head -n 300000 | tr -d '\n'; echo ']'; } >long.tfx
check "a line of 600 kB" formats long.tfx
check "is broken" test "$(awk 'length > 120' long.tfx | wc -l)" = 0
{ printf 'block b(x: f32) -> f32 {'; yes ' x=x' | head -n 200000 | tr -d '\n'; echo '}'; } >grows.tfx
cp grows.tfx kept.tfx
check "what would grow beyond the limit is an error" not formats grows.tfx
says "that is named" 'would be too large'
check "it stays as it is" cmp grows.tfx kept.tfx

# ---- documentation reaches the header and the artefact ----
cat >words.tfx <<'end'
/// Looks words up.
///
/// No */ end.
model words
  where B <= 4, S <= 8
{
  /// The first entry.
  /// In two lines.
  entry one(
    /// token ids,
    /// 0 pads
    ids: i64[B, S],
    /// slots
    P: dim
  ) -> (
    /// vectors
    v: f32[B, S, 4]
  )
    where P < 5
  {
    return embedding(ids, 10, dim = 4) @ "e" + P
  }
  entry two(x: f32[B]) -> f32[B] { return x }
}
end
check "a documented program" "$tfxc" words.tfx --weights=random -o words.o
for text in ' \* Looks words up\.$' ' \* No \* / end\.$' '^/\* The first entry\.$' ' \* In two lines\. \*/$' ' \* 0 pads \*/$' ' \* vectors \*/$' \
    '^/\* slots \*/$'; do
    check "no line like '$text' in the header" grep -q "$text" words.h
done
check "a documented artefact" "$tfxc" words.tfx --weights=random -o words.so
"$(dirname "$tfxc")/tfxrun" words.so --describe >described
cat >expected <<'end'
  Looks words up.

  No */ end.
entry 'one'
  The first entry.
  In two lines.
  in      ids: i64[B, S]   token ids,
            0 pads
  out     v: f32[B, S, 4]   vectors
end
check "tfxrun --describe" diff expected <(sed -n '2,4p; /^entry .one/,/^  out/p' described)
"$(dirname "$tfxc")/tfxrun" words.so --describe --json >described
check "tfxrun --describe --json" grep -q '"doc": "The first entry\.\\nIn two lines\."' described

echo "format: $passed passed, $failed failed"
[ $failed -eq 0 ]
