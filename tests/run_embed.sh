#!/usr/bin/env bash
# What a program that embeds a model relies on. First the checks themselves: each mistake that generated code could make, planted
# in the toy model, is found. Then, when tfxc is built, real models: between guard pages, in threads, two prefixes and two models
# in one program, with both linkers. Argument: the build directory.
set -u
build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=${CC:-cc}
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# ---- the checks can fail ----
toy() { $cc -shared -fPIC -O1 -w -DTOY_MISTAKE="$1" -I. tests/unit/runtime/toy_model.c runtime/rt_*.c -o "$tmp/toy$1.so"; }
inputs="--random 3 --range ids=0..9 --dim B=3 --dim S=5"
toy 0
for program in embed_check embed_threads; do
    for what in "$inputs" "--entry window --random 1 --dim S=3 --dim P=2" "--entry ident --random 2 --dim B=4" "--random 1 --dim S=0"; do
        "$build/tests/$program" "$tmp/toy0.so" $what >"$tmp/out" 2>&1 || { fail "$program on the toy model, $what"; cat "$tmp/out"; }
    done
done
n=0
while IFS='|' read -r status text; do
    n=$((n + 1))
    toy $n
    "$build/tests/embed_check" "$tmp/toy$n.so" $inputs >"$tmp/out" 2>&1
    got=$?
    [ $got = "$status" ] && grep -qF "$text" "$tmp/out" || { fail "mistake $n: status $got instead of $status, or not '$text':"; cat "$tmp/out"; }
done <<END
8|stray access to 'ids', 0 bytes past the end
8|stray access to 'emb', 4 bytes before the start
1|workspace of NaNs: emb
1|tasks one by one, backwards: emb
1|the run allocates
8|stray access to 'workspace', 0 bytes past the end
8|stray access to 'weights', 32 bytes past the end
8|stray access to 'ids', 0 bytes inside (written?)
END
echo "embed: $n planted mistakes"

# ---- real models ----
if [ -x "$build/tfxc" ]; then
    digits=examples/digits/digits.tfx
    so=$tmp/digits.so
    "$build/tfxc" $digits -o "$so" || fail "digits.so"
    for b in 1 3 7; do
        for program in embed_check embed_threads; do
            "$build/tests/$program" "$so" --random $b --dim B=$b >"$tmp/out" 2>&1 || { fail "$program on digits, B = $b"; cat "$tmp/out"; }
        done
    done
    extra=$(nm -D --defined-only "$so" | awk '{print $3}' | grep -vE '^digits_|^tfx_model_v1$')
    [ -z "$extra" ] || fail "digits.so exports $extra"
    needed=$(readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^lib(c|m|pthread)\.so')
    [ -z "$needed" ] || fail "digits.so needs $needed"

    # One model under two prefixes and a second model, in one program.
    cp tests/e2e/embed/small.tfx "$tmp/"
    "$build/tfxc" $digits --prefix=one -o "$tmp/one.o" || fail "one.o"
    "$build/tfxc" $digits --prefix=two -o "$tmp/two.o" || fail "two.o"
    "$build/tfxc" "$tmp/small.tfx" -o "$tmp/small.o" --weights=random || fail "small.o"
    for prefix in one two small; do
        extra=$(nm -g --defined-only "$tmp/$prefix.o" | awk '{print $3}' | grep -v "^${prefix}_")
        [ -z "$extra" ] || fail "$prefix.o has global $extra"
    done
    for linker in bfd lld; do
        ld=-fuse-ld=$linker
        if [ $linker = lld ] && ! command -v ld.lld >/dev/null; then
            lld=$(ls /usr/lib/llvm-*/bin/ld.lld 2>/dev/null | tail -1)
            [ -n "$lld" ] || { echo "embed: no ld.lld, not linked with it"; continue; }
            ld="-fuse-ld=lld -B$(dirname "$lld")"
        fi
        for std in c99 c11; do
            $cc -std=$std -Wall -Wextra -Werror -pedantic $ld -I"$tmp" tests/e2e/embed/two_models.c "$tmp/one.o" "$tmp/two.o" \
                "$tmp/small.o" -lm -o "$tmp/two_models" && "$tmp/two_models" || fail "two_models, $linker, $std"
        done
    done

    # The programs of the documentation.
    "$build/tfxc" $digits -o "$tmp/digits.o" || fail "digits.o"
    block() { # PAGE LANGUAGE: its first block in that language
        awk -v fence="\`\`\`$2" '$0 == fence { on = !done; next } /^```$/ { if (on) done = 1; on = 0 } on' "$1"
    }
    for page in docs/artefact-abi.md docs/embedding.md; do
        block $page c >"$tmp/doc.c"
        $cc -std=c99 -Wall -Wextra -Werror -pedantic -I"$tmp" "$tmp/doc.c" "$tmp/digits.o" -lm -o "$tmp/doc" && "$tmp/doc" ||
            fail "the program of $page"
    done
    block docs/embedding.md cpp >"$tmp/doc.cpp"
    ${CXX:-c++} -std=c++11 -Wall -Wextra -Werror -pedantic -I"$tmp" "$tmp/doc.cpp" "$tmp/digits.o" -lm -o "$tmp/doc" && "$tmp/doc" ||
        fail "the C++ program of docs/embedding.md"
    echo "embed: digits checked"
else
    echo "embed: tfxc is not built, real models are not checked"
fi
[ $failures = 0 ]
