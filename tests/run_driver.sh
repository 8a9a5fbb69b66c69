#!/usr/bin/env bash
# run_driver.sh BUILD_DIR: the driver's own messages, pinned whole, through the shipped binary. Whatever goes wrong, nothing that
# was not there before is left behind.
set -u
build=$(cd "${1:?usage: run_driver.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=$build/tfxc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/in"
cd "$work/in" || exit 1
passed=0 failed=0

pass() { passed=$((passed + 1)); }
fail() { # NAME WHY [FILE]
    failed=$((failed + 1))
    echo "FAILED: $1: $2"
    [ $# -lt 3 ] || sed 's/^/    /' "$3"
}

# says NAME STATUS MESSAGE ARGUMENTS...: what tfxc must say on stderr, whole, and its status; no file may appear or change
says() {
    local name=$1 status=$2 message=$3
    shift 3
    find . -type f -exec cksum {} + | sort >"$work/before"
    "$tfxc" "$@" >"$work/stdout" 2>"$work/stderr"
    local got=$?
    find . -type f -exec cksum {} + | sort >"$work/after"
    if [ $got != "$status" ]; then fail "$name" "status $got, expected $status" "$work/stderr"
    elif [ "$(cat "$work/stderr")" != "$message" ]; then
        diff <(echo "$message") "$work/stderr" >"$work/diff"
        fail "$name" "says something else" "$work/diff"
    elif ! cmp -s "$work/before" "$work/after"; then
        diff "$work/before" "$work/after" >"$work/diff"
        fail "$name" "files are left behind or changed" "$work/diff"
    else pass
    fi
}

printf 'model m(x: f32[B, 4]) -> y: f32[B, 4]\n  where B <= 8\n{\n  return x + 1\n}\n' >a.tfx
{ cat a.tfx && sed 's/model m/model n/' a.tfx; } >two.tfx
printf 'model m(x: f32[B, 4]) -> y: f32[B, 2]\n  where B <= 8\n  weights "w.safetensors"\n{\n  return linear(x, out = 2)\n}\n' >w.tfx
echo 'module m' >empty.tir
cp "$root/tests/golden/kir/block_sparse_4x4.kir" k.kir
mkdir dir

# ---- arguments ----
says "nothing" 2 "tfxc: error: no input file
  hint: usage: tfxc MODEL.tfx -o MODEL.so; tfxc --help lists the flags"
says "no output" 2 "tfxc: error: no output
  hint: say -o a.so" a.tfx
says "no output, in a directory" 2 "tfxc: error: no output
  hint: say -o ./in.d/a.kir" ./in.d/a.tfx --emit=kir
says "-o without a file" 2 "tfxc: error: -o needs a value: FILE" a.tfx -o
says "two inputs" 2 "tfxc: error: a second input file, 'b.tfx'" a.tfx b.tfx -o x.so
says "unknown flag" 2 "tfxc: error: unknown flag '--emti=tir'
  hint: did you mean '--emit=KIND'?" a.tfx -o x.so --emti=tir
says "unknown flag of a pass" 2 "tfxc: error: unknown flag '--print-afer-all'
  hint: did you mean '--print-after-all'?" a.tfx -o x.so --print-afer-all
says "another compiler's flag" 2 "tfxc: error: unknown flag '-march=native'
  hint: did you mean '-mcpu=NAME'?" a.tfx -o x.so -march=native
says "one letter" 2 "tfxc: error: unknown flag '-c'
  hint: tfxc --help lists the flags" a.tfx -o x.so -c
says "weights as the program" 2 "tfxc: error: 'model.safetensors' holds weights, and what is compiled is a program, MODEL.tfx
  hint: the program names its weights; --weights=model.safetensors takes these instead" model.safetensors -o x.so
says "flag unlike any" 2 "tfxc: error: unknown flag '--frobnicate'
  hint: tfxc --help lists the flags" a.tfx -o x.so --frobnicate
says "value apart from its flag" 0 "" a.tfx --emit nothing -mcpu znver4 -mattr -avx512bf16 -O 1
says "a flag instead of a value" 2 "tfxc: error: --weights needs a value: FILE" a.tfx --weights --emit=nothing
says "given twice" 2 "tfxc: error: -o is given twice: 'x.so' and 'y.so'" a.tfx -o x.so -o y.so
says "given twice, the last counts" 1 "tfxc: error: unknown processor 'none' for aarch64
  hint: tfxc --print-targets lists them" a.tfx -o x.s -mcpu=znver4 --target=x86_64-linux-gnu --target=aarch64-linux-gnu -mcpu=none
says "given twice, alike" 0 "" a.tfx --emit=nothing --emit=nothing -O2 -O2
says "one pass after the other" 0 "" a.tfx --emit=nothing --skip-pass=dce --skip-pass=cse --remarks --remarks
says "no seed" 2 "tfxc: error: 'x1' is no seed for random weights" a.tfx --emit=nothing --weights=random:x1
says "optimisation level" 2 "tfxc: error: -O takes 0 to 3, not '4'" a.tfx -o x.so -O4
says "form of diagnostics" 2 "tfxc: error: --diagnostics takes text or json, not 'xml'" a.tfx -o x.so --diagnostics=xml
says "no such pass" 2 "tfxc: error: --print-after: no pass is named 'dec'
  hint: did you mean 'dce'?" a.tfx -o x.so --print-after=dec

# Every flag, as --help shows it: what needs a value refuses to be without one, what takes none refuses one.
flags=0
while read -r flag; do
    name=${flag%%[=[ ]*} value=${flag##*[=[ ]}
    dashes=${name%%[a-zA-Z]*}
    near=${dashes}q${name#"$dashes"}
    [ ${#name} = 2 ] || says "near $flag" 2 "tfxc: error: unknown flag '$near'
  hint: did you mean '$flag'?" a.tfx -o x.so "$near"
    case $flag in
        *\[=*) says "$flag" 2 "tfxc: error: $name needs a value: ${value%]}" a.tfx "$name=" ;;
        *[=\ ]*) says "$flag" 2 "tfxc: error: $name needs a value: ${flag#*[= ]}" a.tfx "$name" ;;
        *) says "$flag" 2 "tfxc: error: $name takes no value, got '1'" a.tfx "$name=1" ;;
    esac
    flags=$((flags + 1))
done < <("$tfxc" --help | sed -nE 's/^  (-[^ ]+( [A-Z]+)?) .*/\1/p')
[ $flags -gt 40 ] && pass || fail "the table of flags" "only $flags were found"

# ---- what goes together ----
says "-o of a run" 2 "tfxc: error: -o does not go with --interpret" a.tfx --interpret=tir -o x.so
says "a kind of a run" 2 "tfxc: error: --emit does not go with --interpret" a.tfx --interpret=tir --emit=tir
says "format and run" 2 "tfxc: error: --interpret does not go with --format
  note: it goes with --interpret" a.tfx --format --interpret=tir
says "format somewhere" 2 "tfxc: error: -o does not go with --format" a.tfx --format -o b.tfx
says "format some other way" 2 "tfxc: error: --format takes check or nothing, not 'no'" a.tfx --format=no
says "blocks of weights" 2 "tfxc: error: --weights does not go with --print-blocks" --print-blocks --weights=w
says "two mistakes" 2 "tfxc: error: --external-weights does not go with --emit=kir
  note: it goes with --emit=so, --emit=o and --emit=a
tfxc: error: --state does not go with --emit=kir
  note: it goes with --interpret" a.tfx -o x.kir --state=s.npz --external-weights=w
says "several processors of kernel IR" 2 "tfxc: error: --multiversion does not go with --emit=kir" a.tfx -o x.kir --multiversion

# ---- what is written ----
extensions="  note: extensions that are known: .so .o .a .ll .s .tir .kir .ptx .h
  hint: say --emit=KIND"
says "unknown extension" 2 "tfxc: error: cannot tell from 'x.xyz' what to write
$extensions" a.tfx -o x.xyz
says "no extension" 2 "tfxc: error: cannot tell from 'x' what to write
$extensions" a.tfx -o x
says "standard output without a kind" 2 "tfxc: error: cannot tell from '-' what to write
$extensions" a.tfx -o -
says "no such kind" 2 "tfxc: error: 'tri' is nothing that --emit can write
  hint: did you mean 'tir'?" a.tfx -o x --emit=tri
says "two kinds" 2 "tfxc: error: -o x.so and --emit=tir do not agree" a.tfx -o x.so --emit=tir
says "kind without a file" 2 "tfxc: error: no output
  hint: say -o a.so" a.tfx --emit=so
for kind in so o a; do
    says "$kind to standard output" 2 "tfxc: error: standard output is for text; '$kind' needs a file" a.tfx -o - --emit=$kind
done
says "weights outside of text" 2 "tfxc: error: --external-weights does not go with --emit=s
  note: it goes with --emit=so, --emit=o and --emit=a" a.tfx -o x.s --external-weights=w
says "model as PTX" 1 "tfxc: error: models are not compiled for GPUs yet
  hint: what can be written as ptx are the kernels of a .kir file" a.tfx -o x.ptx
says "kernels as a model" 1 "tfxc: error: kernels alone can be written as kir and ptx, not as so" k.kir -o x.so
says "kernels interpreted" 1 "tfxc: error: --interpret is for models, and 'k.kir' holds kernels alone" k.kir --interpret=kir

# ---- dependencies ----
says "depfile of nothing" 2 "tfxc: error: --depfile=x.d needs an output file to make the rule for" a.tfx --emit=nothing --depfile=x.d
says "depfile of standard output" 2 "tfxc: error: --depfile=x.d needs an output file to make the rule for" a.tfx --emit=tir -o - --depfile=x.d
says "depfile of an interpretation" 2 "tfxc: error: --depfile does not go with --interpret" a.tfx --interpret=tir --depfile=x.d
says "depfile over the output" 1 "tfxc: error: 'x.o' is to be written twice" a.tfx -o x.o --depfile=x.o
says "depfile that cannot be" 1 "dir: error: cannot write: Is a directory" a.tfx -o x.o --depfile=dir
printf 'import "sub/b.tfx" as b\nmodel m(x: f32[B, 4]) -> y: f32[B, 2]\n  where B <= 8\n  weights "w.safetensors"\n{\n  return linear(b.twice(x), out = 2)\n}\n' >deps.tfx
mkdir sub
printf 'import "../c.tfx" as c\nblock twice(x: T[...]) -> T[...] { return c.same(x) * 2 }\n' >sub/b.tfx
printf 'block same(x: T[...]) -> T[...] { return x }\n' >c.tfx
says "an import as output" 1 "tfxc: error: the output './sub/../c.tfx' would replace what is read" deps.tfx --weights=random --emit=tir -o ./sub/../c.tfx
says "an import as depfile" 1 "tfxc: error: the output 'c.tfx' would replace what is read" deps.tfx --weights=random -o x.o --depfile=c.tfx
says "no depfile without its output" 1 "no/x.o: error: cannot write: No such file or directory
  hint: there is no directory 'no'" deps.tfx --weights=random -o no/x.o --depfile=x.d
# reads NAME FILES ARGUMENTS...: the depfile names exactly these files, and is all that is left beside the output
reads() {
    local name=$1 files=$2 f out=${out:-$work/x.o}
    shift 2
    "$tfxc" "$@" -o "$out" --depfile="$work/x.d" >"$work/stderr" 2>&1
    printf '%s:' "$out" >"$work/want.d"
    for f in $files; do printf ' \\\n  %s' "$f" >>"$work/want.d"; done
    echo >>"$work/want.d"
    for f in $files; do printf '\n%s:\n' "$f" >>"$work/want.d"; done
    diff "$work/want.d" "$work/x.d" >"$work/diff" && pass || fail "$name" "another depfile" "$work/diff"
    rm -f "$work"/x.*
}
reads "depfile: imports" "deps.tfx sub/b.tfx c.tfx" deps.tfx --weights=random
"$tfxc" deps.tfx --weights=random -o "$work/m.tir"
reads "depfile: tensor IR" "$work/m.tir" "$work/m.tir"
reads "depfile: weights" "$root/examples/digits/digits.tfx $root/examples/digits/model.safetensors" "$root/examples/digits/digits.tfx"
cp "$root/examples/digits/model.safetensors" "$work/other.safetensors"
reads "depfile: other weights" "$root/examples/digits/digits.tfx $work/other.safetensors" "$root/examples/digits/digits.tfx" "--weights=$work/other.safetensors"
"$tfxc" "$root/examples/digits/digits.tfx" -o "$work/d.tir"
reads "depfile: weights of tensor IR" "$work/d.tir $root/examples/digits/model.safetensors" "$work/d.tir"
out=$work/x.kir reads "depfile: kernels" "k.kir" k.kir

# ---- costs ----
printf 'model m(x: f32[B, 64]) -> y: f32[B, 64]\n  where B <= 8\n{\n  return relu(x + 1)\n}\n' >cost.tfx
says "costs without a dim" 1 "tfxc: error: dim 'B' has no --dim
  hint: say --dim=B=N" cost.tfx --emit=costs -o -
says "costs at no such dim" 1 "tfxc: error: the entry takes no dim 'C'
  note: known: B" cost.tfx --emit=costs --dim=B=1 --dim=C=2 -o -
says "costs beyond a bound" 1 "tfxc: error: dim 'B' is out of bounds, from the settings
  expected: 1 <= B <= 8
       got: B = 9" cost.tfx --emit=costs --dim=B=9 -o -
says "costs of no such entry" 1 "tfxc: error: the model has no entry 'n'
  note: known: m" cost.tfx --emit=costs --entry=n --dim=B=1 -o -
says "costs of kernels alone" 1 "tfxc: error: kernels alone can be written as kir and ptx, not as costs" k.kir --emit=costs -o -
says "dims without costs" 2 "tfxc: error: --dim does not go with --emit=kir
  note: it goes with --emit=costs, --interpret and --tune" cost.tfx --emit=kir --dim=B=1 -o -
"$tfxc" cost.tfx --emit=costs --dim=B=3 -mcpu=znver3 -o "$work/costs.json" 2>"$work/stderr"
if grep -q '"dims": {"B": 3}' "$work/costs.json" && grep -q '"file": "cost.tfx", "line": 4' "$work/costs.json" &&
    grep -q '"flops": 384, "bytes_read": 768, "bytes_written": 768, "weights_bytes": 0' "$work/costs.json" &&
    grep -q '"source": "defaults for znver3"' "$work/costs.json"; then pass
else fail "costs" "not what was expected" "$work/costs.json"
fi

printf 'model p(x: f32[B, S, 32], m: bool[B, S]) -> y: f32[B, 32]\n  where B <= 4, S <= 8\n{\n  return mean_pool(multi_head_attention(x, x, x, heads = 4, mask = m), m)\n}\n' >packed.tfx
says "costs of more tokens than there can be" 1 "tfxc: error: dim 'tokens' is out of bounds, from the settings
  expected: 0 <= tokens <= 16
       got: tokens = 17" packed.tfx --emit=costs --dim=B=2 --dim=S=8 --dim=tokens=17 -o -
for tokens in 0 5 16; do
    "$tfxc" packed.tfx --emit=costs --dim=B=2 --dim=S=8 --dim=tokens=$tokens -o "$work/$tokens.json" 2>"$work/stderr"
    grep -q "\"dims\": {\"B\": 2, \"S\": 8, \"tokens\": $tokens}" "$work/$tokens.json" && pass || fail "costs of $tokens tokens" "not what was expected" "$work/$tokens.json"
done
"$tfxc" packed.tfx --emit=costs --dim=B=2 --dim=S=8 -o - 2>"$work/stderr" | cmp - "$work/16.json" >"$work/diff" && pass ||
    fail "costs without tokens" "not those of the most" "$work/diff"
says "costs without packing" 1 "tfxc: error: the entry takes no dim 'tokens'
  note: known: B, S" packed.tfx --skip-pass=remove_padding --emit=costs --dim=B=2 --dim=S=8 --dim=tokens=5 -o -

# ---- machines ----
"$tfxc" cost.tfx --emit=costs --dim=B=3 -mcpu=znver3 --machine=default -o - 2>"$work/stderr" | cmp - "$work/costs.json" >"$work/diff" && pass ||
    fail "the default machine" "differs" "$work/diff"
printf 'machine "mine" version 1\nvector_bits = 256\nvector_registers = 16\nl2_bytes = 1048576\nf32_gflops = 50\n' >my.machine
says "a machine" 0 "" cost.tfx --emit=nothing -mcpu=znver3 --machine=my.machine
if "$tfxc" cost.tfx --emit=costs --dim=B=3 -mcpu=znver3 --machine=my.machine -o - | grep -q '"name": "mine", "source": "my.machine".*"f32_gflops": 50,'; then pass
else fail "a machine" "is not used"
fi
says "a machine of another kind" 0 "my.machine: warning: this machine is not the target
  expected: 32 vector registers of 512 bits
       got: 16 of 256 bits
  note: its rates and sizes are used all the same" cost.tfx --emit=kir -mcpu=znver4 --machine=my.machine -o -
says "no such machine" 1 "none.machine: error: No such file or directory" cost.tfx --emit=kir --machine=none.machine -o -
printf 'machine "mine" version 1\nl2_bytes = 12\n' >bad.machine
says "a machine that cannot be" 1 "bad.machine:2:12: error: 'l2_bytes' cannot be that
  2 | l2_bytes = 12
    |            ^~
  expected: 4096 to 4294967296
       got: 12
  note: l2_bytes: second-level cache" cost.tfx --emit=kir --machine=bad.machine -o -
XDG_CONFIG_HOME=$work/none says "nothing calibrated" 1 "$work/none/tfxc/machine: error: No such file or directory" cost.tfx --emit=kir --machine=calibrated -o -
mkdir -p "$work/config/tfxc" && cp my.machine "$work/config/tfxc/machine"
if XDG_CONFIG_HOME=$work/config "$tfxc" cost.tfx --emit=costs --dim=B=3 -mcpu=znver3 -o - | grep -q '"source": "defaults for znver3"'; then pass
else fail "a calibrated machine" "is used unasked"
fi
if XDG_CONFIG_HOME=$work/config "$tfxc" cost.tfx --emit=costs --dim=B=3 -mcpu=znver3 --machine=calibrated -o - | grep -q '"name": "mine"'; then pass
else fail "a calibrated machine" "is not used"
fi
out=$work/c.kir reads "depfile: a machine" "cost.tfx my.machine" cost.tfx -mcpu=znver3 --machine=my.machine
says "calibration of another machine" 2 "tfxc: error: --calibrate-machine measures the machine that it runs on: -mcpu does not go with it" --calibrate-machine=x.machine -mcpu=znver4
says "calibration for another system" 2 "tfxc: error: --calibrate-machine measures the machine that it runs on: --target does not go with it" --calibrate-machine=x.machine --target=aarch64-linux-gnu
says "calibration of a model" 2 "tfxc: error: --calibrate-machine compiles nothing: 'a.tfx' is left over" a.tfx --calibrate-machine=x.machine
XDG_CONFIG_HOME='' HOME='' says "calibration without a home" 2 "tfxc: error: no home directory to keep a machine in: say --calibrate-machine=FILE" --calibrate-machine
if XDG_CONFIG_HOME=$work/fresh "$tfxc" --calibrate-machine >"$work/stdout" 2>"$work/stderr" && grep -q '^f32 multiply-adds ' "$work/stdout" &&
    XDG_CONFIG_HOME=$work/fresh "$tfxc" cost.tfx --emit=nothing --machine=calibrated 2>"$work/stderr"; then pass
else fail "calibration" "fails" "$work/stderr"
fi

# ---- schedules ----
printf 'model m(x: f32[B, 48]) -> y: f32[B, 40]\n  where B <= 64\n  weights "w.safetensors"\n{\n  return linear(x, out = 40)\n}\n' >tune.tfx
printf 'schedules version 1\nmatmul weights f32 sums f32 n 40 k 48 vectors 256 x 16 = rows 5 cols 8 wide 1 depth 24 chunk 2 group 32 level 0\n' >my.schedules
printf 'schedules version 1\nmatmul weights f32 sums f32 n 41 k 48 vectors 256 x 16 = rows 5 cols 8 wide 1 depth 24 chunk 2 group 32 level 0\n' >other.schedules
kernels() { "$tfxc" tune.tfx --weights=random -mcpu=znver3 --emit=kir -o - "$@"; }
if kernels --tuned=my.schedules | grep -q 'f32<5x8>' && ! kernels --tuned=my.schedules | grep -q 'f32<5x16>' && kernels | grep -q 'f32<5x16>'; then pass
else fail "schedules" "are not used"
fi
says "schedules of nothing" 0 "other.schedules:2:1: remark: the model has no such matmul: this line is not used
  2 | matmul weights f32 sums f32 n 41 k 48 vectors 256 x 16 = rows 5 cols 8 wide 1 depth 24 chunk 2 group 32 level 0
    | ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
tfxc: remark: kernels are scheduled for 'znver3' (defaults for znver3)" tune.tfx --weights=random -mcpu=znver3 --emit=kir -o - --tuned=other.schedules --run-pass=dce --remarks
says "schedules for others" 0 "" tune.tfx --weights=random -mcpu=znver4 --emit=kir -o - --tuned=other.schedules
says "no such schedules" 1 "none.schedules: error: No such file or directory" tune.tfx --weights=random --emit=kir -o - --tuned=none.schedules
says "tuning without a dim" 1 "tfxc: error: dim 'B' has no --dim
  hint: say --dim=B=N" tune.tfx --weights=random --tune
says "tuning for another machine" 1 "tfxc: error: --tune runs the kernels, and this machine cannot run those for 'generic'" tune.tfx --weights=random --dim=B=8 --tune --target=aarch64-linux-gnu
says "tuning and interpreting" 2 "tfxc: error: --tune does not go with --interpret" tune.tfx --weights=random --tune --interpret=kir
says "tuning kernels alone" 1 "tfxc: error: --tune is for models, and 'k.kir' holds kernels alone" k.kir --tune
says "tuning into the model" 1 "tfxc: error: the output 'tune.tfx' would replace what is read" tune.tfx --weights=random --dim=B=8 --tune=tune.tfx
cp my.schedules "$work/mine.schedules" && sed -i 's/256 x 16/2048 x 8/; s/cols 8/cols 4/' "$work/mine.schedules"
if "$tfxc" tune.tfx --weights=random --dim=B=8 "--tuned=$work/mine.schedules" "--tune=$work/mine.schedules" -o "$work/x.kir" >"$work/stdout" 2>"$work/stderr" &&
    [ "$(wc -l <"$work/mine.schedules")" = 3 ] && grep -q '2048 x 8 = rows 5' "$work/mine.schedules" && grep -q '^matmul n 40 k 48: ' "$work/stdout" &&
    "$tfxc" tune.tfx --weights=random "--tuned=$work/mine.schedules" -o "$work/y.kir" && cmp -s "$work/x.kir" "$work/y.kir"; then pass
else fail "tuning" "fails" "$work/stderr"
fi
out=$work/s.kir reads "depfile: schedules" "tune.tfx my.schedules" tune.tfx --weights=random --tuned=my.schedules

# ---- inputs ----
says "missing input" 1 "none.tfx: error: No such file or directory" none.tfx -o x.so
says "missing tensor IR" 1 "none.tir: error: No such file or directory" none.tir -o x.so
says "missing kernel IR" 1 "none.kir: error: No such file or directory" none.kir -o x.kir
says "directory as input" 1 "dir: error: is a directory" dir -o x.so
says "several models" 1 "two.tfx:6:7: error: this file has several models
  6 | model n(x: f32[B, 4]) -> y: f32[B, 4]
    |       ^
  note: the first is 'm' at two.tfx:1:7
  hint: choose one with --model=NAME" two.tfx -o x.so
says "no such model" 1 "two.tfx:1:1: error: this file has no model 'k'
  1 | model m(x: f32[B, 4]) -> y: f32[B, 4]
    | ^" two.tfx -o x.so --model=k
says "one of several" 0 "" two.tfx --emit=nothing --model=n

# ---- outputs that cannot be ----
says "directory as output" 1 "dir: error: cannot write: Is a directory" a.tfx -o dir --emit=so
says "directory as text output" 1 "dir: error: cannot write: Is a directory" a.tfx -o dir --emit=tir
for kind in so o a ll s tir kir h; do
    says "no such directory ($kind)" 1 "no/x.$kind: error: cannot write: No such file or directory
  hint: there is no directory 'no'" a.tfx -o no/x.$kind
    says "a file as a directory ($kind)" 1 "a.tfx/x.$kind: error: cannot write: Not a directory" a.tfx -o a.tfx/x.$kind
done
mkdir m.h
says "the header is a directory" 1 "m.h: error: cannot write: Is a directory" a.tfx -o m.o
rmdir m.h
if [ "$(id -u)" != 0 ]; then
    mkdir ro && chmod 555 ro
    says "no right to write" 1 "ro/x.so: error: cannot write: Permission denied" a.tfx -o ro/x.so
    chmod 755 ro
fi
for kind in ll s tir kir h; do
    says "full device ($kind)" 1 "/dev/full: error: cannot write: No space left on device" a.tfx --emit=$kind -o /dev/full
    "$tfxc" a.tfx --emit=$kind -o - >/dev/full 2>"$work/stderr"
    [ "$? $(cat "$work/stderr")" = "1 standard output: error: cannot write: No space left on device" ] && pass ||
        fail "full standard output ($kind)" "says something else" "$work/stderr"
done
says "device for a library" 1 "/dev/null: error: cannot write: not a regular file" a.tfx --emit=so -o /dev/null
"$tfxc" --help >/dev/full 2>"$work/stderr"
[ "$? $(cat "$work/stderr")" = "1 standard output: error: cannot write: No space left on device" ] && pass || fail "full standard output" "--help" "$work/stderr"
says "the input itself" 1 "tfxc: error: the output './empty.tir' would replace what is read" empty.tir -o ./empty.tir
printf '#!/bin/bash\nulimit -f 4\nexec "%s" "$@"\n' "$tfxc" >limited && chmod +x limited
for kind in so o a; do # no file may grow beyond 4 blocks
    tfxc=./limited says "file size limit ($kind)" 1 "x.$kind: error: cannot write: File too large" a.tfx -o x.$kind
done
echo old >x.so
says "an old output stays" 1 "tfxc: error: cannot run the linker '/none': No such file or directory
  hint: install lld-$("$tfxc" a.tfx -o y.so --linker=/none 2>&1 | sed -n 's/.*lld-\([0-9]*\),.*/\1/p'), or name a linker with --linker=" a.tfx -o x.so --linker=/none
rm x.so

# ---- targets and linkers ----
says "processor" 1 "tfxc: error: unknown processor 'nonsense' for x86_64
  hint: tfxc --print-targets lists them" a.tfx -o x.so -mcpu=nonsense
says "processor, nearly" 1 "tfxc: error: unknown processor 'znver44' for x86_64
  hint: did you mean 'znver4'? tfxc --print-targets lists them all" a.tfx -o x.so -mcpu=znver44
says "target" 1 "tfxc: error: no code generator for target 'nonsense'
  hint: tfxc --print-targets lists the targets" a.tfx -o x.so --target=nonsense
says "half a target" 1 "tfxc: error: no code generator for target 'riscv64'
  hint: say --target=riscv64-linux-gnu" a.tfx -o x.so --target=riscv64
says "a processor of another target" 1 "tfxc: error: unknown processor 'znver4' for aarch64
  hint: tfxc --print-targets lists them" a.tfx -o x.s --target=aarch64-linux-gnu -mcpu=znver4
says "several processors, one unknown" 1 "tfxc: error: unknown processor 'x86-64-v33' for x86_64
  hint: did you mean 'x86-64-v3'? tfxc --print-targets lists them all" a.tfx -o x.so --multiversion=x86-64-v33,x86-64
says "a processor that is none of GPUs" 1 "tfxc: error: unknown GPU processor 'sm_990a'
  hint: did you mean 'sm_90a'? tfxc --print-targets lists them all" k.kir -o x.ptx -mcpu=sm_990a
says "feature" 1 "tfxc: error: unknown processor feature 'nonsense' for x86_64
  hint: tfxc --print-targets lists them" a.tfx -o x.so -mcpu=haswell --target=x86_64-linux-gnu -mattr=+nonsense
says "feature without sign" 1 "tfxc: error: processor feature 'avx2' has neither '+' nor '-'
  hint: write '+avx2' to use it, '-avx2' to do without" a.tfx -o x.so -mcpu=haswell --target=x86_64-linux-gnu -mattr=avx2
says "feature left out" 1 "tfxc: error: a processor feature is left out in '+avx2,'
  hint: a list is written +avx512f,-fma" a.tfx -o x.so -mcpu=haswell --target=x86_64-linux-gnu -mattr=+avx2,
says "linker that fails" 1 "tfxc: error: the linker 'false' failed" a.tfx -o x.so --linker=false
printf '#!/bin/sh\necho one >&2\necho two\nexit 3\n' >linker && chmod +x linker
says "linker that speaks" 1 "tfxc: error: the linker './linker' failed
  note: one
  note: two" a.tfx -o x.so --linker=./linker
says "prefix" 1 "tfxc: error: '2a' cannot be the prefix of exported names: it does not begin with a letter or '_'
  hint: say --prefix=NAME" a.tfx -o x.so --prefix=2a

# ---- weights ----
le8() { # NUMBER: 8 bytes, the lowest first
    local i
    for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $((($1 >> i) & 255)))"; done
}
weights() { # HEADER DATA-BYTES [HEADER-LENGTH]
    { le8 "${3:-${#1}}" && printf %s "$1" && head -c "$2" /dev/zero; } >w.safetensors
}
bad() { # NAME MESSAGE
    says "weights: $1" 1 "w.safetensors: error: $2" w.tfx -o x.so
}
tensor='"weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}'
both="{$tensor,\"bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[32,40]}}"
says "weights: missing" 1 "w.tfx:3:11: error: cannot read 'w.safetensors': No such file or directory
  3 |   weights \"w.safetensors\"
    |           ^~~~~~~~~~~~~~~
  hint: name another file with --weights=FILE, or compile with --weights=random" w.tfx -o x.so
weights "$both" 40
says "weights: right" 0 "" w.tfx --emit=nothing
says "weights: other file missing" 1 "none: error: No such file or directory" w.tfx -o x.so --weights=none
says "weights: a device" 1 "/dev/null: error: is not a regular file" w.tfx -o x.so --weights=/dev/null
says "weights: seed" 2 "tfxc: error: 'x' is no seed for random weights" w.tfx -o x.so --weights=random:x
weights "$both" 39
bad "data cut off" "tensor 'bias': its data ends at byte 40, the file has 39 bytes of data"
weights "$both" 41
bad "too much data" "tensor 'bias': it is the last one, but the file goes on after it
  expected: 40 bytes of data
       got: 41"
weights "$both" 40 10
bad "header cut off" "the header is not valid JSON at byte 10: unexpected token near end of file"
weights "$both" 40 99999999999
bad "length that lies" "not a safetensors file: its header would be too long
  expected: at most 100000000 bytes
       got: 99999999999"
weights "{${tensor/32]/99999]}}" 40
bad "offsets that lie" "tensor 'weight': its data ends at byte 99999, the file has 40 bytes of data"
weights "{${tensor/32]/28]}}" 28
bad "shape that lies" "tensor 'weight': its data does not have the bytes of its shape
  expected: 32 bytes for f32[2, 4]
       got: 28 bytes"
weights "{${tensor/\[2/[9223372036854775807}}" 32
bad "shape that overflows" "tensor 'weight': the product of its sizes overflows"
weights "{${tensor/F32/F99}}" 32
bad "element type" "tensor 'weight': dtype 'F99' is not supported"
weights "${both/32,40/28,36}" 36
bad "overlap" "tensor 'bias': its data overlaps that of 'weight'
  expected: data from byte 32
       got: data from byte 28"
: >w.safetensors
bad "empty" "the file is empty"
printf abc >w.safetensors
bad "three bytes" "the file is cut off: it has 3 bytes"
rm w.safetensors && mkdir w.safetensors
bad "a directory" "is a directory"
rmdir w.safetensors

# ---- what is no weights file, and names and numbers that no tensor has ----
mkfifo w.safetensors
bad "a pipe" "is not a regular file"
rm w.safetensors
for what in nowhere w.safetensors; do # a link that leads nowhere, a link to itself
    ln -s $what w.safetensors
    why="No such file or directory"
    [ $what = nowhere ] || why="Too many levels of symbolic links"
    says "a link to $what" 1 "w.tfx:3:11: error: cannot read 'w.safetensors': $why
  3 |   weights \"w.safetensors\"
    |           ^~~~~~~~~~~~~~~
  hint: name another file with --weights=FILE, or compile with --weights=random" w.tfx -o x.so
    rm w.safetensors
done
weights "$both" 40
mv w.safetensors real && ln -s real w.safetensors
says "a link to a file" 0 "" w.tfx --emit=nothing
rm w.safetensors
if [ "$(id -u)" != 0 ]; then
    chmod 000 real && mv real w.safetensors
    says "no right to read" 1 "w.tfx:3:11: error: cannot read 'w.safetensors': Permission denied
  3 |   weights \"w.safetensors\"
    |           ^~~~~~~~~~~~~~~
  hint: name another file with --weights=FILE, or compile with --weights=random" w.tfx -o x.so
    rm -f w.safetensors
fi
rm -f real
weights "{\"bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[32,40]},${tensor#\{}}" 40
says "entries in another order than their data" 0 "" w.tfx --emit=nothing
weights "$both" 0
yes $'\377' | tr -d '\n' | head -c 40 >>w.safetensors
says "weights that are NaN" 0 "" w.tfx --emit=nothing
weights "${both/32,40/36,44}" 44
bad "a gap" "tensor 'bias': there is a gap between its data and that of 'weight'
  expected: data from byte 32
       got: data from byte 36"
weights "${both/bias/weight}" 40
bad "a name twice" "two entries have the name '\"weight\"'"
weights "{${tensor/\[2/[-2}}" 32
bad "a negative size" "tensor 'weight': size 0 of its shape is not an integer that is zero or more
  got: -2"
weights "{${tensor/\[2/[2.5}}" 32
bad "a size that is no integer" "tensor 'weight': size 0 of its shape is not an integer that is zero or more"
weights "{${tensor/\[2/[99999999999999999999}}" 32
bad "a size beyond 64 bits" "the header is not valid JSON at byte 54: too big integer near '99999999999999999999'"
weights "{${tensor/0,32/32,0}}" 32
bad "an end before the beginning" "tensor 'weight': its data lies from byte 32 to byte 0"
weights "{${tensor/weight/$(printf 'we\377ght')}}" 32
bad "a name that is not UTF-8" "the header is not valid JSON at byte 4: unable to decode byte 0xff near '\"we'"
weights "{${tensor/weight/we\\u001bght}}" 32
bad "a name with a control character" "tensor 'we?ght': its name has a control character"
weights "{${tensor/weight/we\\u0000ght}}" 32
bad "a name with a NUL" "the header is not valid JSON at byte 14: NUL byte in object key not supported near '\"we\u0000ght\"'"
weights "{${tensor/dtype/type}}" 32
bad "a field of another name" "tensor 'weight': the format has no field 'type'"
weights '{"weight":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}' 4
bad "nine axes" "tensor 'weight': 9 axes; at most 8 are supported"
weights '{"weight":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,4]}}' 4
bad "bits that overflow" "tensor 'weight': the product of its sizes overflows"
weights '{"weight":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}' 1
bad "half a byte" "tensor 'weight': its f4 elements do not fill whole bytes"
weights '{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0]}}' 4
bad "one offset" "tensor 'weight': 'data_offsets' is not a list of two integers"
weights '{"weight":{"dtype":3,"shape":[1],"data_offsets":[0,4]}}' 4
bad "a number for a type" "tensor 'weight': 'dtype' is not a string"
weights '{"weight":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}' 4
bad "a number for a shape" "tensor 'weight': 'shape' is not a list"
weights '{"weight":{"shape":[1],"data_offsets":[0,4]}}' 4
bad "no type" "tensor 'weight': 'dtype' is missing"
weights '{"weight":[0,4]}' 4
bad "a list for an entry" "tensor 'weight': its entry is not a JSON object"
weights '{"weight":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' 8
bad "a gap at the beginning" "tensor 'weight': there is a gap before its data
  expected: data from byte 0
       got: data from byte 4"
weights '{}' 4
bad "data without tensors" "there are 4 bytes of data, but no tensor"
weights '{"__metadata__":3}' 0
bad "metadata that is a number" "'__metadata__' is not a JSON object"
weights '{"__metadata__":{"format":3}}' 0
bad "metadata that holds a number" "'__metadata__': 'format' is not a string"
weights '[1]' 0
bad "a list" "the header does not begin with '{'"
weights "$(printf '{"a":%.0s' {1..20000})" 0
bad "depth" "the header is not valid JSON at byte 10241: maximum parsing depth reached near '{'"
{ printf '\000\044\364\001\000\000\000\000{' && head -c 33000000 /dev/zero | tr '\0' ' '; } >w.safetensors # 32,777,216 bytes of header
bad "a header of 33 MB" "the header is too long
  expected: at most 16000000 bytes
       got: 32777216"
for case in 'PK\003\004:a PyTorch checkpoint:convert it: safetensors.torch.save_file(torch.load(path), "model.safetensors")' \
    'version https//git-lfs.:a pointer of Git LFS, not the file itself:fetch it: git lfs pull' \
    '<!DOCTYPE html>:a web page:the download went wrong' 'GGUF:a GGUF file:take the model'"'"'s safetensors file'; do
    IFS=: read -r begins is hint <<<"$case"
    printf "${begins/https/https:}"' and some more text' >w.safetensors
    bad "$is" "not a safetensors file: it looks like $is
  hint: $hint"
done
rm w.safetensors

# ---- interpreters ----
says "interpreter" 2 "tfxc: error: --interpret takes tir or kir, not 'x'" a.tfx --interpret=x
says "input without its file" 2 "tfxc: error: --input needs NAME=FILE, or a FILE.npz, not 'x'" a.tfx --interpret=tir --input=x
says "input for nothing" 2 "tfxc: error: --input does not go with --emit=so
  note: it goes with --interpret" a.tfx -o x.so --input=x=x.npy
for ir in tir kir; do
    says "$ir: input left out" 1 "tfxc: error: input 'x' has no --input
  hint: say --input=x=FILE.npy" a.tfx --interpret=$ir
    says "$ir: no such input" 1 "tfxc: error: the model has no input 'xx'
  hint: did you mean 'x'?" a.tfx --interpret=$ir --input=xx=x.npy
    says "$ir: no such output" 1 "tfxc: error: the model has no output 'yy'
  hint: did you mean 'y'?" a.tfx --interpret=$ir --input=x=x.npy --save=yy=y.npy
    says "$ir: no such entry" 1 "tfxc: error: the model has no entry 'mm'
  hint: did you mean 'm'?" a.tfx --interpret=$ir --input=x=x.npy --entry=mm
    says "$ir: no such file" 1 "tfxc: error: none.npy: No such file or directory" a.tfx --interpret=$ir --input=x=none.npy
    says "$ir: '=' in a path" 1 "tfxc: error: ./a=b.npz: No such file or directory" a.tfx --interpret=$ir --input=./a=b.npz
    says "$ir: no such archive" 1 "tfxc: error: none.npz: No such file or directory" a.tfx --interpret=$ir --input=none.npz
done
says "dim without its value" 2 "tfxc: error: --dim needs NAME=N, not 'P'" a.tfx --interpret=tir --dim=P
says "dim that is no number" 2 "tfxc: error: --dim needs NAME=N, not 'P=x'" a.tfx --interpret=tir --dim=P=x
says "dim for nothing" 2 "tfxc: error: --dim does not go with --emit=so
  note: it goes with --emit=costs, --interpret and --tune" a.tfx -o x.so --dim=P=1
says "state of a model without" 1 "tfxc: error: --state: the model has no states" a.tfx --interpret=tir --input=x=x.npy --state=s.npz
cat >cache.tir <<'TIR'
module cache
dim P input 0..3
state "k" : f32[4]
func @put() -> (k: f32[4]) {
  %k = state "k" : f32[4]
  %0 = const {value = 1.5} : f32[1]
  %1 = update %k, %0 {start = [P]} : f32[4]
  %2, %3 = top_k %1 {axis = 0, count = 4} : f32[4], i64[4]
  state "k" = %1
  return %2
}
TIR
says "dim left out" 1 "tfxc: error: dim 'P' has no --dim, and no input shows it
  hint: say --dim=P=N" cache.tir --interpret=tir
says "dim that the entry lacks" 1 "tfxc: error: the entry takes no dim 'PP'
  hint: did you mean 'P'?" cache.tir --interpret=tir --dim=P=0 --dim=PP=1
says "dim out of bounds" 1 "tfxc: error: dim 'P' is out of bounds, from the settings
  expected: 0 <= P <= 3
       got: P = 4" cache.tir --interpret=tir --dim=P=4
refusal="cache.tir:3:7: error: state 'k' cannot be compiled yet; --interpret=tir runs it
  3 | state \"k\" : f32[4]
    |       ^~~
cache.tir:7:3: error: op update cannot be compiled yet; --interpret=tir runs it
  7 |   %1 = update %k, %0 {start = [P]} : f32[4]
    |   ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
cache.tir:8:3: error: op top_k cannot be compiled yet; --interpret=tir runs it
  8 |   %2, %3 = top_k %1 {axis = 0, count = 4} : f32[4], i64[4]
    |   ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
says "what cannot be compiled yet" 1 "$refusal" cache.tir -o x.so
says "what has no kernels to interpret" 1 "$refusal" cache.tir --interpret=kir
says "no directory for states" 1 "none/s.npz: error: cannot write: No such file or directory" cache.tir --interpret=tir --dim=P=0 \
    --state=none/s.npz
says "a file that holds no states" 1 "tfxc: error: a.tfx: not a .npz file, or cut off: it has no end of archive record" cache.tir --interpret=tir --dim=P=0 --state=a.tfx
says "states of a run that fails" 1 "tfxc: error: dim 'P' is out of bounds, from the settings
  expected: 0 <= P <= 3
       got: P = 4" cache.tir --interpret=tir --dim=P=4 --state=s.npz
# Two runs: each finds what the one before has left.
if "$tfxc" cache.tir --interpret=tir --dim=P=0 --state=s.npz && "$tfxc" cache.tir --interpret=tir --dim=P=2 --state=s.npz --save=k=k.npy &&
    [ "$(tail -c 16 k.npy | od -An -tx4 | tr -d ' \n')" = 3fc000003fc000000000000000000000 ] && [ "$(ls | grep -c '^s\.npz')" = 1 ]; then
    pass
else fail "states last between runs" "the second run's output is $(tail -c 16 k.npy | od -An -tx4)"
fi
rm -f s.npz k.npy cache.tir
says "a module without functions" 1 "tfxc: error: the model has no entry" empty.tir --interpret=tir

# ---- memory ----
# From the least address space in which tfxc starts at all, upwards: each run ends well or with a message, and leaves nothing.
starts_with() { (ulimit -v "$1" && "$tfxc" --version) >"$work/stdout" 2>&1; }
limited_run() { # FLAG...: one compilation within $limit KiB; what it said in $work/oom
    (ulimit -v "$limit" && exec "$tfxc" "$root/examples/digits/digits.tfx" -o x.o --external-weights=x.w "$@") >"$work/stdout" 2>"$work/oom"
}
if starts_with 4000000; then # not so with sanitizers, which reserve more than that
    limit=50000
    while ! starts_with $limit; do limit=$((limit + 1000)); done
    out_of_memory=0 compiled=0 in_json=
    for ((i = 0; i < 80 && compiled < 3; i++, limit += i > 45 ? 4000 : 500)); do # in steps that meet each stage, then to the end
        limited_run
        status=$? left=$(ls | grep '^x' | tr '\n' ' ')
        if [ $status = 3 ] && [ "$(cat "$work/oom")" = "tfxc: error: out of memory" ] && [ -z "$left" ]; then
            out_of_memory=$((out_of_memory + 1))
            limited_run --diagnostics=json
            [ $? != 3 ] || { in_json=yes && cp "$work/oom" "$work/oom.json"; }
        elif [ $status = 0 ] && [ "$left" = "x.h x.o x.w " ]; then
            compiled=$((compiled + 1))
        elif ! { [ $status = 1 ] && grep -q 'error: ' "$work/oom" && [ -z "$left" ]; }; then
            fail "memory limit of $limit KiB" "status $status, left: $left" "$work/oom"
        fi
        rm -f x.*
    done
    [ $out_of_memory -gt 0 ] && [ "$in_json" ] && pass || fail "memory" "no limit was reached"
    [ $compiled -gt 0 ] && pass || fail "memory" "no limit was enough"
fi

# ---- JSON ----
# json NAME ARGUMENTS...: what comes out on stderr is one JSON array that says all that the text says
cat >"$work/check.py" <<'END'
import json, sys
place = {"line", "column", "end_line", "end_column"}
with open(sys.argv[2], encoding="utf-8", errors="replace") as f: shown = f.read()
def plain(text): return "".join("?" if (c < " " and c not in "\t\n") or c == "\x7f" else c for c in text)
for d in json.load(open(sys.argv[1], encoding="utf-8")):
    assert set(d) == {"severity", "code", "message", "file", "underlines", "lines"} | place, d
    assert d["severity"] in ("error", "warning", "remark") and d["message"] and (d["code"] or "memory" in d["message"]), d
    assert all(set(u) == place and all(u.values()) for u in d["underlines"]), d
    said = [d["message"]] + [part for line in d["lines"] for part in (line["label"] + ":", line["text"])]
    for text in said if len(sys.argv) < 4 else []:
        assert plain(text.split("\n")[0]) in shown, text
END
json() {
    local name=$1
    shift
    "$tfxc" "$@" --diagnostics=json >"$work/stdout" 2>"$work/json"
    "$tfxc" "$@" >"$work/stdout" 2>"$work/text"
    if command -v python3 >"$work/stdout"; then
        python3 "$work/check.py" "$work/json" "$work/text" ${json_alone-} 2>"$work/stderr" && pass || fail "JSON: $name" "not valid" "$work/stderr"
    else
        [ "$(head -c 1 "$work/json")" = '[' ] && [ "$(tail -c 2 "$work/json")" = ']' ] && pass || fail "JSON: $name" "not an array" "$work/json"
    fi
}
json "none" a.tfx --emit=nothing
json "arguments" a.tfx -o x.so --emti=tir
json "source" two.tfx -o x.so
json "file" none.tfx -o x.so
json "odd name" $'a"\\\n\x01\xff.tfx' -o x.so
printf 'model m(x: f32[B]) -> y: f32[B] where B <= 8 {\n  let a = x \001 \033[31m "\002" \n  let b = x + (1\n  return x\n}\n' >hostile.tfx
json "control characters" hostile.tfx -o x.so
printf 'model m(x: f32[B]) -> y: f32[B] where B <= 8 {\n  let a = "\377\300\200\355\240\200"\n}\n' >hostile.tfx
json "text that is not UTF-8" hostile.tfx -o x.so
printf 'model m(x: f32[B]) -> y: f32[B] where B <= 8 {\n  let a = "\\\\ quote \342\202\254" + x + "<b>\\u0000"\n  return x * (x + zork)\n}\n' >hostile.tfx
json "quotes and backslashes" hostile.tfx -o x.so
weights "{${tensor/weight/we\\u001b\\u0007ght}}" 32
json "odd names of tensors" w.tfx -o x.so
weights "{${tensor/weight/$(printf 'we\377ght')}}" 32
json "names that are not UTF-8" w.tfx -o x.so
rm w.safetensors
json "values that are odd" a.tfx -o x.so $'--emit=\001\377"' $'--frob\033=\377'
for case in "$root"/tests/diag/*.txt; do # underlines, expected and got, signatures, notes and hints
    awk '/^== / { inside = $0 == "== a.tfx"; next } inside' "$case" >case.tfx
    json "$(basename "$case")" case.tfx --weights=random --emit=nothing
done
rm case.tfx hostile.tfx
json "linker" a.tfx -o x.so --linker=./linker
if [ -f "$work/oom.json" ]; then
    printf '#!/bin/sh\ncat "%s" >&2\n' "$work/oom.json" >say && chmod +x say
    json_alone=yes tfxc=./say json "out of memory"
fi

echo "driver: $passed passed, $failed failed"
[ "$failed" = 0 ]
