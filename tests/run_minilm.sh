#!/usr/bin/env bash
# The MiniLM example with its real weights, through the shipped binaries and the example's own programs: embeddings against
# PyTorch's, what the search finds, and what it says to bad input. Skipped (77) where weights or tokenizer cannot be had.
# usage: tests/run_minilm.sh BUILD_DIR
set -u -o pipefail
build=$(cd "${1:?usage: run_minilm.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
example=$root/examples/minilm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
limit=2e-6 # of what an element may differ from PyTorch's; PyTorch's own error is 3e-7
passed=0 failed=0

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name: $*"
        tail -20 "$work/log" | sed 's/^/    /'
    fi
}

# What COMMAND ends with, and a line that its output must have.
ends_with() { # STATUS TEXT COMMAND...
    local status=$1 text=$2 got
    shift 2
    "$@" >"$work/said" 2>&1 </dev/null
    got=$?
    cat "$work/said"
    echo "status $got, expected $status; expected to read: $text"
    [ $got = "$status" ] && grep -qF -- "$text" "$work/said"
}

skip() {
    echo "skipped: $1"
    cat "$work/log"
    exit 77
}

"$example/fetch" >"$work/log" 2>&1
case $? in
0) ;;
3) skip "the weights cannot be fetched" ;;
*) check "fetch" false; cat "$work/log"; echo "minilm: 0 passed, 1 failed"; exit 1 ;;
esac
"$root/.venv/bin/python" -c 'import tokenizers' 2>/dev/null || "$root/scripts/setup" --examples >"$work/log" 2>&1 </dev/null ||
    skip "the tokenizer cannot be installed"

# ---- fetch ----
offline=(env PIP_NO_INDEX=1 HF_HUB_OFFLINE=1)
check "fetch needs no network when the files are there" "${offline[@]}" "$example/fetch"
mkdir -p "$work/elsewhere/examples/minilm" "$work/wrong"
cp "$example/fetch" "$work/elsewhere/examples/minilm/"
fetch=$work/elsewhere/examples/minilm/fetch
check "fetch says what to do without a network" ends_with 3 "then here:" "${offline[@]}" "$fetch"
check "fetch says that there is no copy" ends_with 3 "there is no $work/none" "$fetch" "$work/none"
echo text >"$work/wrong/model.safetensors"
cp "$work/wrong/model.safetensors" "$work/wrong/tokenizer.json"
check "fetch refuses other files" ends_with 1 "model.safetensors: not the published file" "$fetch" "$work/wrong"
check "fetch refuses what is no wheel" ends_with 3 "File is not a zip file" "$fetch" "$work/wrong/tokenizer.json"
check "and leaves nothing behind" sh -c "[ -z \"\$(ls '$work/elsewhere/.cache/minilm')\" ]"
check "fetch takes a copy" sh -c "'$fetch' '$root/.cache/minilm' && cmp '$root/.cache/minilm/tokenizer.json' '$work/elsewhere/.cache/minilm/tokenizer.json'"
rm -rf "$work/elsewhere"

# ---- embeddings ----
check "unpacks the goldens" python3 -m zipfile -e "$example/goldens/goldens.npz" "$work/goldens"
against_goldens() { # MODEL CASE [LIMIT]
    local from=$work/goldens/$2
    "$build/tfxrun" "$1" --input "ids=$from/ids.npy" --input "mask=$from/mask.npy" --expect "emb=$from/emb.npy" --rtol 0 --atol "${3:-$limit}"
}
check "compiles to a shared object" "$build/tfxc" "$example/minilm.tfx" -o "$work/minilm.so"
for tokens in 1 2 7 64 128 511 512; do
    for batch in 1 3 8; do
        for mask in none scattered; do
            check "t${tokens}_b${batch}_$mask" against_goldens "$work/minilm.so" "t${tokens}_b${batch}_$mask"
        done
    done
done
check "rows without a true mask give zeros" against_goldens "$work/minilm.so" t7_b3_masked 0
check "compiles for any x86-64" "$build/tfxc" "$example/minilm.tfx" -mcpu=x86-64 -o "$work/minilm.so"
check "and agrees there" against_goldens "$work/minilm.so" t7_b8_scattered
rm -f "$work/minilm.so"

# ---- the demo, on a few packages that every machine that can build tfxc has ----
packages='adduser|bash|binutils|bison|bzip2|cmake|coreutils|diffutils|e2fsprogs|findutils|flex|gcc|grep|gzip|libc6|mount|ninja-build|passwd|perl-base|sed|tar|tzdata|util-linux'
awk -v RS= -v ORS='\n\n' "/^Package: ($packages)\n/" /var/lib/dpkg/status >"$work/status"
demo() {
    DPKG_STATUS=$work/status BUILD=$build "$example/demo" "$@"
}
check "the demo runs" demo "write a parser from a grammar"
check "its program needs no dlopen" sh -c "! nm -u '$build/minilm/search' | grep dlopen"
search=$build/minilm/search tokenize=$example/tokenize
finds() { # QUERY PACKAGE...: the best match is one of the packages
    local best
    "$tokenize" "$1" | "$search" query "$build/minilm/packages.index" | tee "$work/said"
    best=$(sed -n '2s/^ *[0-9.]* *\([^:]*\):.*/\1/p' "$work/said")
    shift
    case " $* " in *" $best "*) return 0 ;; esac
    return 1
}
check "finds a parser generator" finds "write a parser from a grammar" bison
check "finds a compressor" finds "make a file smaller" gzip bzip2
check "finds the time" finds "what time is it in Tokyo" tzdata
check "finds the passwords" finds "choose a new secret word to log in with" passwd
check "finds a search tool" finds "look for a pattern in text files" grep
check "finds a compiler" finds "translate C into machine code" gcc
check "finds the disk tools" finds "repair a broken hard disk" e2fsprogs

# ---- texts against PyTorch ----
embed() { # FILE ARGUMENT...
    local to=$1
    shift
    "$tokenize" <"$example/goldens/texts.txt" | "$search" embed "$@" >"$to"
}
check "embeds texts" embed "$work/1.npy" -j 1
check "as PyTorch does" "$build/tests/compare_npy" "$work/1.npy" "$example/goldens/goldens.npz:texts" $limit
check "on three threads" embed "$work/3.npy" -j 3
check "with the same bits" cmp "$work/1.npy" "$work/3.npy"

# ---- long, empty and bad texts ----
words=$(printf 'word %.0s' $(seq 600))
counts() { # N COMMAND...: the first line that it prints has N ids
    local n=$1
    shift
    [ "$("$@" | head -1 | cut -f 1 | wc -w)" = "$n" ]
}
check "cuts at 256 tokens" counts 256 "$tokenize" "$words"
check "cuts where told" counts 512 "$tokenize" --max-tokens 512 "$words"
check "says that it cut" ends_with 0 "1 texts were cut at 512 tokens" "$tokenize" --max-tokens 512 "$words"
check "has a most" ends_with 2 "expected 1 to 512" "$tokenize" --max-tokens 513 "$words"
check "an empty text has no ids" counts 0 "$tokenize" ""
feed() { # INPUT COMMAND...: COMMAND with the printf string as its input
    local input=$1
    shift
    printf "$input" | "$@"
}
refused() { # INPUT STATUS TEXT COMMAND...
    local input=$1 status=$2 text=$3
    shift 3
    ends_with "$status" "$text" bash -c 'printf "$1" | "${@:2}"' - "$input" "$@"
}
index=$work/test.index
check "index of three" feed '101 7592 102\thello\n101 102\n101 2088 102\tworld' "$search" index "$index"
check "leaves empty texts out" refused '101 7592 102\thello\n\tnothing\n' 0 "line 2: the text is empty: left out" "$search" index "$work/one"
check "indexes nothing" refused '' 0 "0 texts" "$search" index "$work/none"
check "finds nothing there" refused '101 7592 102\thello\n' 0 "hello" "$search" query "$work/none"
check "finds itself" refused '101 7592 102\thello\n' 0 "  1.000  hello" "$search" query "$index"
check "an empty query" refused '\t\n' 1 "line 1: the query is empty" "$search" query "$index"
check "no query" refused '' 1 "no query" "$search" query "$index"
check "a word" refused '101 102\nhello\n' 1 "line 2: expected an id in decimal, got 'hello'" "$search" embed
check "a negative id" refused '101 -5\n' 1 "line 1: expected an id in decimal, got '-5'" "$search" embed
check "two spaces" refused '101  5\n' 1 "line 1: expected an id in decimal, got ' 5'" "$search" embed
check "a comma" refused '101,5\n' 1 "line 1: expected a space, a tab or the end after 1 ids" "$search" embed
check "an id too large" refused '101 30522\n' 1 "line 1: id 2 is above 30521" "$search" embed
check "an id far too large" refused '99999999999999999999999999\n' 1 "line 1: id 1 is above 30521" "$search" embed
check "a zero byte" refused '101 \\0\n' 1 "line 1: expected an id" "$search" embed
check "too many ids" refused "$(printf '7 %.0s' $(seq 512))7\n" 1 "line 1: more than 512 ids" "$search" embed
check "no command" ends_with 2 "usage: search index" "$search"
check "another command" ends_with 2 "usage: search index" "$search" find "$index"
check "too many arguments" ends_with 2 "usage: search index" "$search" query "$index" "$index"
check "no threads" ends_with 2 "-j: expected a number from 1 to 256, got '0'" "$search" embed -j 0
check "an index that is not there" ends_with 3 "No such file" "$search" query "$work/no.index"
check "an index that is a folder" ends_with 3 "is not an index" "$search" query "$work"
check "an index in no folder" refused '' 3 "No such file" "$search" index "$work/no/index"
check "a full disk" refused '101 102\n' 3 "No space left" bash -c "'$search' embed >/dev/full"
damaged() { # TEXT COMMAND...: after COMMAND on a copy of the index, a query says TEXT
    local text=$1
    shift
    cp "$index" "$work/damaged"
    "$@" "$work/damaged" || return 1
    refused '101 102\thello\n' 3 "$text" "$search" query "$work/damaged"
}
poke() { # OFFSET FILE
    printf '\377' | dd of="$2" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
bytes=$(wc -c <"$index")
for size in 1 63; do check "an index of $size bytes" damaged "is not an index" truncate -s $size; done
for size in 64 71 100 $((bytes - 1)) $((bytes + 1)); do check "an index of $size bytes" damaged "its size is not" truncate -s "$size"; done
check "an empty index file" damaged "is not an index" truncate -s 0
check "another magic" damaged "is not an index" poke 0
check "another version" damaged "another version" poke 8
check "other weights" damaged "made with other weights" poke 40
for offset in 16 23 24 31; do check "a wrong count at $offset" damaged "its size is not" poke "$offset"; done
for offset in $((bytes - 10 - 32)) $((bytes - 10 - 24)) $((bytes - 10 - 16)) $((bytes - 10 - 1)); do
    check "a wrong title at $offset" damaged "is damaged" poke "$offset"
done

echo "minilm: $passed passed, $failed failed"
[ "$failed" = 0 ]
