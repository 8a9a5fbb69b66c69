#!/usr/bin/env bash
# run_large_weights.sh BUILD_DIR: a model with 3.3 GB of weights, more than 32-bit offsets reach, by every way into a program: a
# shared object, weights in a file of their own, and an object and an archive linked by GNU ld and by lld into executables, with fixed
# addresses and without, and into shared objects. Values at both ends of the weights and at 2 GiB must come out. The weights are
# sparse, linked files are not: each is removed before the next is made.
set -u
build=$(cd "${1:?usage: run_large_weights.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=$build/tfxc run=$build/tfxrun peak=$build/tests/peak_memory cc=${CC:-cc}
[ -x "$tfxc" ] || { echo "skipped: no tfxc"; exit 77; }
[ "$(uname -m)" = x86_64 ] || { echo "skipped: not x86-64"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/tfxc-large.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
room=$(df -Pk . | awk 'NR == 2 { print int($4 / 1000000) }')
[ "$room" -ge 10 ] || { echo "skipped: $room GB of disk at $work, 10 are needed"; exit 77; }
memory=$(awk '/^MemAvailable/ { print int($2 / 1000000) }' /proc/meminfo)
[ "$memory" -ge 8 ] || { echo "skipped: $memory GB of memory, 8 are needed"; exit 77; }
passed=0 failed=0

ok() { # NAME COMMAND...
    local name=$1 begin=$SECONDS
    shift
    if "$@" >log 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name: $*" && sed 's/^/    /' log; fi
    [ -z "${LARGE_TIMES:-}" ] || echo "$((SECONDS - begin)) s: $name"
}

# ---- the weights: a table of 800,000 rows of 1024 floats, nearly all zero, and one row behind it ----
bytes=$((800000 * 4096)) header='{"table.weight":{"dtype":"F32","shape":[800000,1024],"data_offsets":[0,'
header+="$bytes]},\"z\":{\"dtype\":\"F32\",\"shape\":[1024],\"data_offsets\":[$bytes,$((bytes + 4096))]}}"
while [ $((${#header} % 8)) != 0 ]; do header+=' '; done
row() { # INDEX BYTES: a row of 1024 times the same number
    for _ in {1..1024}; do printf "$2"; done | dd of=large.safetensors bs=4096 seek=$((8 + ${#header} + $1 * 4096)) oflag=seek_bytes \
        conv=notrunc status=none
}
printf "$(printf '\\x%02x\\x%02x' $((${#header} % 256)) $((${#header} / 256)))\0\0\0\0\0\0%s" "$header" >large.safetensors
row 0 '\0\0\x80\x3f'      # 1
row 524287 '\0\0\0\x40'   # 2, the last row below 2 GiB
row 524288 '\0\0\x80\x40' # 4
row 799999 '\0\0\0\x41'   # 8
row 800000 '\0\0\0\x3f'   # 0.5, added to each
cat >large.tfx <<'END'
model large(ids: i64[B]) -> y: f32[B, 1024]
  where B <= 8
  weights "large.safetensors"
{
  let x = embedding(ids, 800000, dim = 1024) @ "table"
  param z: f32[1024]
  return x + z
}
END

# ---- what tfxc writes; its own memory must not grow with the weights (lld's pages of the files that it maps do) ----
ok "an object" "$peak" 400 "$tfxc" large.tfx -o large.o
ok "an archive" "$peak" 400 "$tfxc" large.tfx -o large.a
ok "weights outside" "$peak" 400 "$tfxc" large.tfx -o outside.so --external-weights=large.tfxw
ok "the same weights for an object" "$tfxc" large.tfx --external-weights=large.tfxw -o outside.o
ok "linked" "$cc" -I. "$root/tests/e2e/large/main.c" outside.o -lm -o outside
ok "run, weights outside" ./outside large.tfxw
printf '\x93NUMPY\x01\0\x46\0%-69s\n' "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }" >ids.npy
printf '\xff\x34\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0' >>ids.npy # 799999, 0
says() { # MODEL...: 8.5 from the last row and 1.5 from the first
    "$run" "$@" --input ids=ids.npy | grep -q '^y: f32\[2, 1024\] 8.5 8.5 .* min 1.5, max 8.5'
}
ok "tfxrun, weights outside" says outside.so --weights large.tfxw
truncate -s -1 large.tfxw
ok "cut by a byte" sh -c "! '$run' outside.so --weights large.tfxw --input ids=ids.npy"
rm -f large.tfxw outside*
ok "a shared object" "$tfxc" large.tfx -o large.so
ok "tfxrun, weights inside" says large.so
rm -f large.so

# ---- linked ----
lld=$(ls /usr/lib/llvm-*/bin/ld.lld 2>log | sort -V | tail -1)
link() { # NAME FILE FLAGS...: into a program, which must run
    local name=$1 file=$2
    shift 2
    ok "$name" "$cc" -O1 -I. "$@" "$root/tests/e2e/large/main.c" "$file" -lm -o program
    ok "$name: run" ./program
    rm -f program
}
link_shared() { # NAME FILE FLAGS...: into a shared object, with which a program must run
    local name=$1 file=$2
    shift 2
    ok "$name" "$cc" -shared "$@" -Wl,--whole-archive "$file" -Wl,--no-whole-archive -lm -o liblarge.so
    ok "$name: a program" "$cc" -I. "$root/tests/e2e/large/main.c" -L. -llarge "-Wl,-rpath,$work" -o program
    ok "$name: run" ./program
    rm -f program liblarge.so
}
link "GNU ld, any address" large.o -fuse-ld=bfd -fPIE -pie
link "GNU ld, fixed address, archive" large.a -fuse-ld=bfd -no-pie
link_shared "GNU ld, shared, archive" large.a -fuse-ld=bfd
if [ -n "$lld" ]; then
    with="-fuse-ld=lld -B$(dirname "$lld")"
    link "lld, any address, archive" large.a $with -fPIE -pie
    # Else it puts the weights before everything else, which then lies out of the reach of 32-bit addresses.
    link "lld, fixed address" large.o $with -no-pie -Wl,-z,lrodata-after-bss
    link_shared "lld, shared" large.o $with
else
    echo "large weights: no ld.lld, not linked with it"
fi

echo "large weights: $passed passed, $failed failed"
[ "$failed" = 0 ]
