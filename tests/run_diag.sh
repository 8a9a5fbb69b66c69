#!/usr/bin/env bash
# run_diag.sh BUILD_DIR [--codes] [CASE]...: compiles the programs of tests/diag and of tests/golden/frontend
# and compares what tfxc says, carets included, and what it makes.
#
# A case is one file: lines beginning with '#' say what it shows, then sections:
#   == NAME.tfx           a source file; the first is the one compiled
#   == NAME.safetensors   lines "tensor DTYPE [sizes]": a weights file of zeros is made of them; "raw TEXT": the text itself
#   == args               further arguments of tfxc ("--weights=" alone takes the clause's file)
#   == tir                the tensor IR that must come out, exactly (if the section is there)
#   == command            all arguments of tfxc, instead of those that are given otherwise
#   == status             the exit status, if it is not 0 or 1
#   == stderr             what is expected, exactly; an error in it means that tfxc must fail, none that it must succeed
# Places in the standard library, and the version of lld, are left out of the comparison: they move with every edit there.
# Without a weights file, parameters are random. Only dead code is removed, so that the IR is as the front end made it. DIAG_UPDATE=1 rewrites the expectations instead of comparing.
set -u
build=${1:?usage: run_diag.sh BUILD_DIR [CASE]...}
shift
codes=no # --codes: print the codes of the case's messages instead of comparing
[ "${1:-}" = --codes ] && codes=yes && shift
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=${TFXC:-$(cd "$build" && pwd)/tfxc}
[ -x "$tfxc" ] || { echo "skipped: no $tfxc"; exit 77; }
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=("$root"/tests/diag/*.txt "$root"/tests/diag/codes/*.txt "$root"/tests/golden/frontend/*.txt)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make_weights TABLE OUT: 8 bytes of header length, the header, zeros.
make_weights() {
    if [ "$(head -c 4 "$1")" = "raw " ]; then
        head -c -1 "$1" | tail -c +5 >"$2"
        return
    fi
    local header='{' sep='' offset=0 name dtype sizes size n bytes
    while read -r name dtype sizes; do
        [ -n "$name" ] || continue
        sizes=${sizes//[\[\] ]/}
        n=1
        for size in ${sizes//,/ }; do n=$((n * size)); done
        case $dtype in
        F64 | I64 | U64) bytes=8 ;; F32 | I32 | U32) bytes=4 ;; F16 | BF16 | I16 | U16) bytes=2 ;; *) bytes=1 ;;
        esac
        header+="$sep\"$name\":{\"dtype\":\"$dtype\",\"shape\":[$sizes],\"data_offsets\":[$offset,$((offset + n * bytes))]}"
        sep=,
        offset=$((offset + n * bytes))
    done <"$1"
    header+='}'
    local i length=${#header}
    for i in 0 1 2 3 4 5 6 7; do
        printf "\\x$(printf %02x $(((length >> (8 * i)) & 255)))"
    done >"$2"
    printf %s "$header" >>"$2"
    head -c "$offset" /dev/zero >>"$2"
}

passed=0
failed=0
for case in "${cases[@]}"; do
    name=$(basename "$case" .txt)
    dir=$(mktemp -d -p "$work")
    awk -v dir="$dir" '
        /^== / { section = substr($0, 4); path = dir "/" section
                 if (section ~ /\//) { sub("/[^/]*$", "", section); system("mkdir -p \"" dir "/" section "\"") }
                 printf "" > path; sections = sections substr($0, 4) "\n"; next }
        path   { print > path }
        END    { printf "%s", sections > (dir "/sections") }' "$case"
    main=$(grep -m1 -E '\.(tfx|tir)$' "$dir/sections")
    args=()
    [ -f "$dir/args" ] && read -ra args <"$dir/args"
    if grep -q '\.safetensors$' "$dir/sections"; then
        for w in $(grep '\.safetensors$' "$dir/sections"); do
            mv "$dir/$w" "$dir/table"
            make_weights "$dir/table" "$dir/$w"
        done
    elif [[ ${args[*]-} != *--weights=* ]]; then
        args+=(--weights=random)
    fi
    [ "${args[*]-}" = --weights= ] && args=()
    args=("$main" --run-pass=dce --emit=tir -o out.tir "${args[@]}")
    [ -f "$dir/command" ] && read -ra args <"$dir/command"
    (cd "$dir" && "$tfxc" "${args[@]}") >"$dir/stdout" 2>"$dir/said"
    status=$?
    if [ $codes = yes ]; then
        (cd "$dir" && "$tfxc" "${args[@]}" --diagnostics=json) 2>&1 >"$dir/stdout" |
            sed -nE 's/.*"code": "([a-z-]+)".*/\1/p' | sort -u
        continue
    fi
    sed -E 's,(std/[a-z0-9_]+\.tfx):[0-9]+:[0-9]+,\1,g; s/lld-[0-9]+/lld/' "$dir/said" >"$dir/got"
    if [ -n "${DIAG_UPDATE:-}" ]; then
        {
            sed -E '/^== (tir|stderr)$/,$d' "$case"
            [ -f "$dir/tir" ] && echo '== tir' && cat "$dir/out.tir"
            echo '== stderr'
            cat "$dir/got"
        } >"$dir/new" && cp "$dir/new" "$case"
        continue
    fi
    expected=0
    grep -qE '(^|: )error: ' "$dir/stderr" && expected=1
    [ -f "$dir/status" ] && expected=$(cat "$dir/status")
    if [ $status -ne $expected ]; then
        echo "FAIL $name: status $status, $expected expected"
        cat "$dir/got"
        failed=$((failed + 1))
    elif ! diff -u --label expected --label got "$dir/stderr" "$dir/got" ||
        { [ -f "$dir/tir" ] && ! diff -u --label expected --label got "$dir/tir" "$dir/out.tir"; }; then
        echo "FAIL $name"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
done
[ $codes = yes ] && exit 0
[ -n "${DIAG_UPDATE:-}" ] && { echo "expectations rewritten: read the diff"; exit 0; }
echo "diag: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
