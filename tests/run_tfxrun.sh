#!/usr/bin/env bash
# tfxrun on the toy model of tests/unit/runtime: what it prints, writes, compares and refuses. Argument: the build directory.
set -u
root=$PWD
run=$(cd "$1" && pwd)/tfxrun
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
${CC:-cc} -shared -fPIC -O1 -I. tests/unit/runtime/toy_model.c runtime/rt_*.c -o "$tmp/toy.so" || exit 1
cd "$tmp" || exit 1
checks=0 failures=0

# check NAME STATUS EXPECTED [ARGUMENTS...]: runs tfxrun; stdout then stderr must be EXPECTED, whole
check() {
    local name=$1 status=$2 expected=$3
    shift 3
    "$run" "$@" >out 2>err
    local got=$?
    checks=$((checks + 1))
    if [ $got != "$status" ] || [ "$(cat out err)" != "$expected" ]; then
        echo "FAILED: $name: status $got, expected $status"
        diff <(echo "$expected") <(cat out err) | sed 's/^/    /'
        failures=$((failures + 1))
    fi
}

# npy FILE DESCR SHAPE BYTES-AS-PRINTF: a .npy of version 1
npy() {
    local dict="{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
    printf -v dict '%-117s' "$dict"
    printf '\x93NUMPY\x01\x00\x76\x00%s\n' "$dict" >"$1"
    printf "$4" >>"$1"
}

check "no arguments" 2 "tfxrun: error: which model? usage: tfxrun MODEL.so [options]; tfxrun --help says more"
check "unlike any option" 2 "tfxrun: error: unknown option '-x'
  hint: tfxrun --help lists the options" toy.so -x
check "given twice, once only" 2 "tfxrun: error: --entry is given twice" toy.so --entry embed --entry=embed
check "described and run" 2 "tfxrun: error: --describe runs nothing: --bench does not go with it" toy.so --describe --bench
check "tolerance of nothing" 2 "tfxrun: error: --rtol and --atol need --expect" toy.so --random 1 --rtol 1
check "unknown option" 2 "tfxrun: error: unknown option '--inptu'
  hint: did you mean '--input'?" toy.so --inptu=a
check "value missing" 2 "tfxrun: error: --dim needs a value: NAME=N" toy.so --dim
check "value not wanted" 2 "tfxrun: error: --bench takes no value, got '3'" toy.so --bench=3
check "two models" 2 "tfxrun: error: one model at a time: got 'toy.so' and 'b.so'" toy.so b.so
check "not a number" 2 "tfxrun: error: --repeats: expected a whole number from 1 to 1000000000, got '1x'" toy.so --bench --repeats 1x
check "tolerance" 2 "tfxrun: error: --rtol: expected a number that is not negative, got '-1'" toy.so --expect a.npy --rtol -1
check "no name" 2 "tfxrun: error: --dim: expected NAME=VALUE, got '3'" toy.so --dim 3
check "empty file" 2 "tfxrun: error: --input: expected NAME=FILE (or a FILE with all of them), got 'a='" toy.so --input a=
check "warm-up of nothing" 2 "tfxrun: error: --warmup and --repeats need --bench or --profile" toy.so --warmup 1
check "range of nothing" 2 "tfxrun: error: --range needs --random" toy.so --range ids=0..1
check "no such model" 3 "tfxrun: error: none.so: cannot open shared object file: No such file or directory" none.so
printf 'int x;' >no_model.c && ${CC:-cc} -shared -fPIC no_model.c -o no_model.so
check "no model" 3 "tfxrun: error: no_model.so: not a model of tfxc (it lacks the symbol tfx_model_v1)" no_model.so

# Models of other versions of tfx.h, here version 2, tfx_api of 88 bytes, tfx_info of 128.
version() { # NAME VERSION API_SIZE INFO_SIZE
    ${CC:-cc} -shared -fPIC -I"$root" -DVERSION="$2" -DAPI_SIZE="$3" -DINFO_SIZE="$4" "$root/tests/embed/other_version.c" -o "$1.so"
}
older="the model is older than this program:"
version first 1 88 0
version short 2 80 128
version shorter 2 88 112
version next 3 88 128
for how in "" --describe; do
    check "older interface $how" 3 "tfxrun: error: first.so: $older the version of its interface is 1, expected 2; compile it again" first.so $how
    check "shorter table $how" 3 "tfxrun: error: short.so: $older the size of its tfx_api is 80, expected 88; compile it again" short.so $how
    check "shorter description $how" 3 "tfxrun: error: shorter.so: $older the size of its tfx_info is 112, expected 128; compile it again" shorter.so $how
    check "newer interface $how" 3 "tfxrun: error: next.so: the model is newer than this program: the version of its interface is 3, expected 2; \
build the program with the tfx.h and libtfx.a of the tfxc that compiled the model" next.so $how
done
# A longer table and description of the same version serve: here 96 bytes and 136.
LC_ALL=C sed -e 's/\x02\x00\x00\x00\x58\x00\x00\x00/\x02\x00\x00\x00\x60\x00\x00\x00/' \
    -e 's/\x80\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00/\x88\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00/' toy.so >longer.so
[ "$(cmp -l toy.so longer.so | wc -l)" = 2 ] || { echo "FAILED: the toy's sizes are not where they were expected"; failures=$((failures + 1)); }
check "longer" 0 "$(cat "$root/tests/golden/runtime/describe.txt")" longer.so --describe

size=$(stat -c %s toy.so)
for n in 100 4096 $((size / 2)) $((size - 1)); do
    head -c $n toy.so >cut.so
    message="cut.so: the file is cut off: expected $size bytes, got $n"
    [ $n != 100 ] || message="./cut.so: cannot read file data"
    check "cut after $n bytes" 3 "tfxrun: error: $message" cut.so
    check "cut after $n bytes, described" 3 "tfxrun: error: $message" cut.so --describe
done
check "weights inside" 3 "tfxrun: error: weights_path 'w': this model's weights are inside it" toy.so --weights w

cp toy.so x.tfx && printf 'model m { }' >x.tfx
check "source" 3 "tfxrun: error: ./x.tfx: file too short
  hint: compile it first: tfxc x.tfx -o x.so" x.tfx
printf 'not an object at all, but long enough for the loader to look at its first bytes and find that they are none of its own' >x.o
check "object file" 3 "tfxrun: error: ./x.o: invalid ELF header
  hint: it is linked into a program; what tfxrun opens is made by -o x.so" x.o

check "describe" 0 "$(cat "$root/tests/golden/runtime/describe.txt")" toy.so --describe
check "describe as JSON" 0 "$(cat "$root/tests/golden/runtime/describe.json")" toy.so --describe --json

check "describe at dims" 0 "$(awk '{ print } /memory  at most/ { n++; print "          " (n == 1 ? "192 bytes of workspace, and 64 bytes for each worker beside the first" : "0 bytes of workspace") \
        ", at " (n == 2 ? "S = 3, M = 32, P = 8" : "B = 2, S = 3") }' "$root/tests/golden/runtime/describe.txt")" toy.so --describe --dim B=2 --dim S=3
check "describe at a dim out of bounds" 2 "tfxrun: error: --dim B: expected 1..4, got 5" toy.so --describe --dim B=5
check "describe at no multiple" 2 "tfxrun: error: --dim M: expected a multiple of 8, got 9" toy.so --describe --dim M=9
check "describe at no dim" 2 "tfxrun: error: the model has no dim 'Q'" toy.so --describe --dim Q=5

check "entry" 2 "tfxrun: error: the model has no entry 'wimdow'
  hint: did you mean 'window'?" toy.so --entry wimdow
check "entry unlike any" 2 "tfxrun: error: the model has no entry 'q'
  hint: its first entry is 'embed'; --describe shows them all" toy.so --entry q
check "input unlike any" 2 "tfxrun: error: the model has no input 'token_numbers'
  hint: its input is: ids: i64[B, S]" toy.so --input token_numbers=a.npy
check "inputs unlike any" 2 "tfxrun: error: the model has no input 'token_numbers'
  hint: its inputs are: x: f32[S, M], y: f32[2 * S + 1], on: bool[]" toy.so --entry window --input token_numbers=a.npy
check "input missing" 2 "tfxrun: error: input 'ids' is missing
  hint: give --input ids=FILE, or --random SEED to make it up" toy.so
check "no such input" 2 "tfxrun: error: the model has no input 'idz'
  hint: did you mean 'ids'?" toy.so --input idz=a.npy
check "no such file" 3 "tfxrun: error: a.npy: No such file or directory" toy.so --input ids=a.npy
check "no such dim" 2 "tfxrun: error: entry 'embed' has no dim 'Q'
  hint: --describe shows its dims" toy.so --dim Q=1
check "dim that is no number" 2 "tfxrun: error: --dim B: expected a whole number, got 'x'" toy.so --dim B=x
check "dim too large" 4 "tfxrun: error: dim 'S': expected 0..16, got 17" toy.so --random 1 --dim S=17
check "dim not a multiple" 4 "tfxrun: error: dim 'M': expected a multiple of 8, got 9" toy.so --entry window --random 1 --dim M=9
check "id out of range" 4 "tfxrun: error: input 'ids': element [0, 0] is 96, allowed 0..9
  hint: --range ids=LO..HI keeps made-up values within bounds" toy.so --random 3
check "bad range" 2 "tfxrun: error: --range ids: expected LO..HI, two numbers that i64 holds, got '1..x'" toy.so --random 3 --range ids=1..x
check "range upside down" 2 "tfxrun: error: --range ids: expected LO..HI, two numbers that i64 holds, got '3..2'" toy.so --random 3 --range ids=3..2
check "range of an input that is not" 2 "tfxrun: error: the model has no input 'idx'
  hint: did you mean 'ids'?" toy.so --random 3 --range idx=3..2

npy ids.npy '<i8' '(1, 2)' '\x00\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0'
check "run" 0 "emb: f32[1, 2, 4] 0 2 4 6 180 182 184 186" toy.so --input ids=ids.npy
check "only input, no name" 0 "emb: f32[1, 2, 4] 0 2 4 6 180 182 184 186" toy.so --input ids.npy
check "given twice" 2 "tfxrun: error: input 'ids' is given twice" toy.so --input ids=ids.npy --input ids=ids.npy
npy narrow.npy '|u1' '(1, 2)' '\x00\x09'
check "integers widen" 0 "emb: f32[1, 2, 4] 0 2 4 6 180 182 184 186" toy.so --input ids=narrow.npy
npy float.npy '<f4' '(1, 2)' '\0\0\0\0\0\0\xc0\x3f'
mkdir -p a=b && cp narrow.npy a=b/c.npy
check "'=' in a path" 0 "emb: f32[1, 2, 4] 0 2 4 6 180 182 184 186" toy.so --input ./a=b/c.npy
check "fraction" 2 "tfxrun: error: input 'ids': element [0, 1] of float.npy is 1.5, which i64 cannot hold exactly
  hint: --cast rounds" toy.so --input ids=float.npy
check "fraction rounded" 0 "emb: f32[1, 2, 4] 0 2 4 6 40 42 44 46" toy.so --input ids=float.npy --cast
npy double.npy '<f8' '(1, 1, 3)' '\x9a\x99\x99\x99\x99\x99\xb9\x3f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
check "double to float" 2 "tfxrun: error: input 'a': element [0, 0, 0] of double.npy is 0.1, which f32 cannot hold exactly
  hint: --cast rounds" toy.so --entry ident --input a=double.npy
check "double to float, rounded" 0 "b: f32[1, 1, 3] 0.1 0 0" toy.so --entry ident --input a=double.npy --cast
npy flat.npy '<i8' '(2,)' '\x00\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0'
check "rank" 4 "tfxrun: error: input 'ids': expected rank 2 [B, S], got rank 1 [2]" toy.so --input ids=flat.npy
npy nine.npy '<i8' '(1, 1, 1, 1, 1, 1, 1, 1, 1)' '\x00\0\0\0\0\0\0\0'
check "nine axes" 2 "tfxrun: error: input 'ids': nine.npy has 9 axes, expected 2" toy.so --input ids=nine.npy
npy bool.npy '|b1' '(1, 2)' '\x01\x01'
check "none of an archive's arrays" 2 "tfxrun: error: float.npy has nothing that an input is called like
  hint: write --input NAME=FILE" toy.so --entry window --input float.npy
check "every input" 2 "tfxrun: error: input 'x' is missing
  hint: give --input x=FILE, or --random SEED to make it up" toy.so --entry window
npy complex.npy '<c8' '(1,)' '\0\0\0\0\0\0\0\0'
"$run" toy.so --input ids=complex.npy >/dev/null 2>err && { echo "FAILED: complex numbers were read"; failures=$((failures + 1)); }

# Outputs: .npy, .npz, the same numbers whatever the threads; a made-up input depends on seed and name alone.
w="toy.so --entry window --random 7 --dim S=5 --dim P=3 --dim M=16"
check "outputs" 0 "" $w --output all.npz
check "outputs apart" 0 "" $w --output z=z.npy --output n=n.npy
check "outputs of one .npz" 0 "" $w --output z=two.npz --output n=two.npz
check "same again" 0 "z: equal
n: equal" $w --expect all.npz
cmp -s all.npz two.npz || { echo "FAILED: all.npz and two.npz differ"; failures=$((failures + 1)); }
check "by name" 0 "z: equal
n: equal" $w --expect z=z.npy --expect n=two.npz
check "another array of an archive" 2 "tfxrun: error: all.npz has several arrays, and none is called 'ids'
  hint: write --input NAME=FILE" toy.so --input ids=all.npz
check "two outputs in a .npy" 2 "tfxrun: error: z.npy: 2 outputs need an .npz" $w --output z.npy
check "no such output" 2 "tfxrun: error: the model has no output 'y'
  hint: its outputs are: z: f32[S + P], n: i32[]" $w --output y=y.npy
check "cannot write all of them" 3 "tfxrun: error: no/all.npz: cannot write: No such file or directory" $w --output no/all.npz
sum=$(cat ids.npy toy.so two.npz | cksum)
for read in ids.npy ./ids.npy toy.so; do
    check "output over $read" 2 "tfxrun: error: --output: '$read' would replace what is read" toy.so --input ids=ids.npy --output emb=$read
done
check "output over what is expected" 2 "tfxrun: error: --output: 'two.npz' would replace what is read" $w --expect two.npz --output two.npz
[ "$(cat ids.npy toy.so two.npz | cksum)" = "$sum" ] || { echo "FAILED: what is read was replaced"; failures=$((failures + 1)); }
check "cannot write" 3 "tfxrun: error: no/z.npy: cannot write: No such file or directory" $w --output z=no/z.npy
check "no such expectation" 2 "tfxrun: error: the model has no output 'q'
  hint: its outputs are: z: f32[S + P], n: i32[]" $w --expect q=z.npy
check "nothing to expect" 2 "tfxrun: error: --expect: z.npy has nothing that an output is called like" $w --expect z.npy
e="toy.so --random 3 --range ids=0..9 --dim B=4 --dim S=16"
check "large" 0 "" $e --output emb=big.npy
check "threads" 0 "emb: equal" $e --expect big.npy --threads 3

npy near.npy '<f4' '(1, 2, 4)' '\0\0\0\0\0\0\0\x40\0\0\x80\x40\0\0\xc0\x40\0\0\x34\x43\x01\0\x36\x43\0\0\x38\x43\0\0\x3a\x43'
check "within tolerance" 0 "emb: max abs 1.53e-05 at [0, 1, 1] (got 182, expected 182.000015), max rel 8.38e-08 at [0, 1, 1] (got 182, expected 182.000015)" \
    toy.so --input ids=ids.npy --expect near.npy
check "beyond tolerance" 1 "emb: max abs 1.53e-05 at [0, 1, 1] (got 182, expected 182.000015), max rel 8.38e-08 at [0, 1, 1] (got 182, expected 182.000015); 1 of 8 beyond the tolerance, the first at [0, 1, 1] (got 182, expected 182.000015)" \
    toy.so --input ids=ids.npy --expect near.npy --rtol 0 --atol 1e-5
npy nan.npy '<f4' '(1, 2, 4)' '\0\0\xc0\x7f\0\0\0\x40\0\0\x80\x40\0\0\xc0\x40\0\0\x34\x43\0\0\x36\x43\0\0\x38\x43\0\0\x80\x7f'
check "NaN and infinity" 1 "emb: max abs inf at [0, 0, 0] (got 0, expected nan), max rel inf at [0, 0, 0] (got 0, expected nan); 2 of 8 beyond the tolerance, the first at [0, 0, 0] (got 0, expected nan)" \
    toy.so --input ids=ids.npy --expect nan.npy --atol 1e30
check "other shape" 1 "tfxrun: error: output 'emb': its shape is [1, 2, 4], ids.npy has [1, 2]" toy.so --input ids=ids.npy --expect ids.npy

# Timing: numbers vary, their places do not.
"$run" $e --bench --warmup 2 --repeats 11 --profile >out 2>err || { cat err; failures=$((failures + 1)); }
for pattern in '^bench: median [0-9.]+ ms, p90 [0-9.]+ ms, min [0-9.]+ ms   \(11 runs after 2, 1 thread\)$' \
    '^start: load [0-9.]+ ms, first run [0-9.]+ ms, peak memory [0-9]+\.[0-9] MB \([0-9]+\.[0-9] MB of it the model.s files\)$' \
    ' 1 +4  toy_gather +toy.tfx:3:11  embeddings$' ' 1 +64  toy_twice +toy.tfx:4:10$' ' 100.0% +whole run$'; do
    checks=$((checks + 1))
    grep -qE "$pattern" out || { echo "FAILED: no line like '$pattern' in:"; cat out; failures=$((failures + 1)); }
done
"$run" $e --bench --repeats 5 --profile --expect big.npy --json >out 2>err || { cat err; failures=$((failures + 1)); }
for pattern in '"median_ns": [0-9]+' '"p90_ns": ' '"min_ns": ' '"load_ns": [1-9]' '"first_ns": [1-9]' '"peak_bytes": [1-9]' '"mapped_bytes": [1-9]' '"workspace_bytes": ' '"repeats": 5' '"kernel": "toy_gather"' '"line": 3' '"max_abs": 0' '"status": 0'; do
    checks=$((checks + 1))
    grep -qE "$pattern" out || { echo "FAILED: no '$pattern' in the JSON"; failures=$((failures + 1)); }
done
if command -v python3 >/dev/null; then python3 -m json.tool out >/dev/null || failures=$((failures + 1)); fi

echo "tfxrun: $checks checks, $failures failures"
[ $failures = 0 ]
