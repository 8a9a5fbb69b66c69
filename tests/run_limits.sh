#!/usr/bin/env bash
# run_limits.sh BUILD_DIR: programs that would run for ever, nest without end or fill the memory. Each is refused with a message within
# 2 s of processor time and 500 MB beside what tfxc maps to start at all; what is merely large compiles within the same.
set -u
build=$(cd "${1:?usage: run_limits.sh BUILD_DIR}" && pwd)
tfxc=$build/tfxc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
can_start() { (ulimit -v "$1" && "$tfxc" --version) >/dev/null 2>&1; }
can_start 1000000 || { echo "skipped: tfxc reserves much memory to start (sanitizers)"; exit 77; }
base=50000
while ! can_start $base; do base=$((base + 10000)); done

# is NAME MESSAGE: a.tfx gives MESSAGE as its first (empty: none, and it compiles)
is() {
    [ -z "${LIMITS_TIMES:-}" ] || echo "$SECONDS s: $1"
    (ulimit -v $((base + 500000)) && ulimit -t 2 && exec "$tfxc" a.tfx --weights=random --emit=nothing) >out 2>err
    local status=$? wanted=1
    [ -n "$2" ] || wanted=0
    if [ $status != $wanted ] || { [ -n "$2" ] && [ "$(sed -nE '1s/^[^ ]*: error: //p' err | cut -c1-200)" != "$2" ]; }; then
        echo "FAILED: $1: status $status"
        head -c 400 err
        failed=$((failed + 1))
    elif [ "$(wc -c <err)" -gt 40000 ]; then
        echo "FAILED: $1: $(wc -c <err) bytes of messages"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}
again() { yes -- "$1" | head -n "$2" | tr -d '\n'; } # TEXT N: the text N times
lines() { # TEXT N: N lines; '#' is the number of each
    seq 0 $(($2 - 1)) | sed $'s\x01.*\x01'"$(printf %s "$1" | sed 's/#/\&/g')"$'\x01'
}
body() { printf 'model m(x: f32[B, S, 36]) -> y: f32[B, S, 36] where B <= 8, S <= 40 {\n%s\nreturn x\n}\n' "$1" >a.tfx; }
block='block f(x: f32[B, S, D], n: int) -> f32[B, S, D]'

unrolled="the model grows too large when its loops and blocks are unrolled"
body 'for a in 0..1000000000 { for b in 0..1000000000 { for c in 0..1000000000 { } } }' && is "nested loops" "$unrolled"
body 'for a in 0..1000000000 { let q = a + 1 }' && is "a loop of numbers" "$unrolled"
body 'for a in 0..1000000000 { x = x + 1 }' && is "a loop of operations" "$unrolled"
body 'for a in 0..1000000000 { x = linear(x) @ "l.{a}" }' && is "a loop of layers" "$unrolled"
body 'for a in 0..1000000000 { let q = zork }' && is "a loop of mistakes" "unknown name 'zork'"
body 'let k = 1 for a in 0..1000000000 { k = k * 3 }' && is "a loop of overflows" "this integer is too large"
{ echo "$block { return f(x, n + 1) }"; body 'x = f(x, 0)'; } >b && cat b a.tfx >c && mv c a.tfx && is "endless calls" "blocks call one another too deeply"
body 'x = f(x, 40)' && { echo "$block { if n == 0 { return x + 1 } return f(f(x, n - 1), n - 1) }"; cat a.tfx; } >c && mv c a.tfx
is "exponentially many calls" "$unrolled"
body 'let y = k0' && { awk 'BEGIN { for (i = 0; i < 60; i++) print "const k" i " = k" i + 1 " + k" i + 1; print "const k60 = 1" }'; cat a.tfx; } >c && mv c a.tfx
is "exponentially many constants" ""
body 'let l = [1] for i in 0..100 { let m = [l, l] let l = m }' && is "lists of lists" ""
body "let l = [$(again '1,' 400000)1]" && is "a long list" ""
body "let l = concat([$(again 'x,' 200000)x], axis = 0)" && is "a long list of tensors" ""
body 'let z = zeros([1048576, 1048576, 1048576])' && is "2^60 elements" "this tensor is too large"
body 'param w: f32[1048576, 1048576, 1048576]' && is "a parameter of 2^60 elements" "this tensor is too large"
body 'let z = full([4096, 4096, 4096, 4096, 4096, 4096, 4096], 1)' && is "2^84 elements" "this tensor is too large"
for open in '(' '[' '- ' 'not '; do
    body "let q = $(again "$open" 100000)" && is "nesting of $open" "nested too deeply"
done
body "$(again 'if true { ' 50000)$(again '}' 50000)" && is "nesting of if" "nested too deeply"
body "$(again '{' 300000)" && is "braces" "unexpected '{'"
body "x = x$(again ' + x' 200000)" && is "a long sum" "nested too deeply"
body "if false { } $(again 'else if false { } ' 50000)" && is "a chain of else" "nested too deeply"
body "$(lines 'let a# = zork#' 30000)" && is "30,000 mistakes" "unknown name 'zork0'"
body "$(lines 'let a# =' 60000)" && is "60,000 mistakes of syntax" "unexpected end of line"
body "$(lines '; $ ; ~' 100000)" && is "400,000 stray characters" "unexpected ';'"
body "let q = $(again 'x + ' 250000)zork" && is "a line of 1 MiB" "nested too deeply"
body "let q = $(again a 1000000)" && is "a name of 1 MB" "this name is longer than 128 characters"
body "let q = \"$(again a 1000000)\"" && is "a string of 1 MB" "this string is longer than 1024 bytes"
{ printf //; again a 1048577; } >a.tfx && is "a file of more than 1 MiB" "this file is too large"
{ printf //; again a 17000000; } >a.tfx && is "a file of 17 MB" "larger than 16 MiB"
body 'for a in 0..100000 { param w: f32[4] @ "p.{a}" }' && is "100,000 parameters" ""
body 'for a in 0..100000 { scope "p.{a}" { point q = x } }' && is "100,000 points" ""
body 'param w: f32[100000000, 4] @ "l.{*}"' && is "a stack of 10^8" "'{*}' stands once in a path, for the first axis"
body "let q = einsum(\"$(lines 'a#' 150 | tr '\n' ' ') -> a0\", x)" && is "150 axes" "this pattern has too many axes"
body "let q = einsum(\"$(again a, 400)a -> a\", x)" && is "401 operands" "this pattern has too many operands"
body 'let k = B for i in 0..40 { k = k * k + S * k + 1 }' && is "sizes that grow" "this integer is too large"
body "$(lines 'require B * # + S * (20000 - #) <= 100000' 20000)" && is "20,000 requirements" "more than 1024 requirements are left to the run"
printf 'model m(%sy: f32[4]) -> f32[4] { return y }\n' "$(lines 'x#: f32[4], ' 20000 | tr -d '\n')" >a.tfx && is "20,000 inputs" "more than 1024 arguments"
{ lines 'block f#(x: f32[B]) -> f32[B] { return x }' 20000; body ''; cat a.tfx; } >c && mv c a.tfx && is "20,000 blocks" ""
for ((i = 0; i < 100; i++)); do echo "import \"i$((i + 1)).tfx\" as a" >i$i.tfx; done
body '' && { echo 'import "i0.tfx" as a'; cat a.tfx; } >c && mv c a.tfx && is "deep imports" "more than 64 files are imported"
body '' && { echo 'import "/dev/zero" as a'; cat a.tfx; } >c && mv c a.tfx && is "an endless file" "cannot read '/dev/zero': larger than 16 MiB"
mkfifo pipe && body '' && { echo 'import "pipe" as a'; cat a.tfx; } >c && mv c a.tfx && is "a pipe without a writer" "cannot read 'pipe': nothing came through this pipe for 5 s"

echo "limits: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
