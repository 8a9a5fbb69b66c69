#!/usr/bin/env bash
# The golden headers of tests/golden/codegen, as a compiler sees them: every one without warnings in C and C++, and toy.h in a
# program that runs the model it describes.
set -eu
cc=${CC:-cc} cxx=${CXX:-c++}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
warn="-Wall -Wextra -Wshadow -Wconversion -Werror -pedantic-errors -I."

for header in tests/golden/codegen/*.h; do
    for std in c99 c11 c17; do $cc -std=$std $warn -fsyntax-only -x c "$header"; done
    for std in c++11 c++20; do $cxx -std=$std $warn -fsyntax-only -x c++ "$header"; done
done

# Beside a tfx.h of another version a header does not compile.
sed 's/^#define TFX_ABI_VERSION .*/#define TFX_ABI_VERSION 1/' runtime/tfx.h >"$tmp/tfx.h"
printf '#include "%s"\n#include "tests/golden/codegen/toy.h"\n' "$tmp/tfx.h" >"$tmp/mixed.c"
if $cc -I. -fsyntax-only "$tmp/mixed.c" 2>"$tmp/said" || ! grep -q 'another version of tfx.h was included before' "$tmp/said"; then
    echo "headers of two versions go together:" && cat "$tmp/said" && exit 1
fi

# The program at the head of a header, as a file.
program() { # HEADER
    awk '/^ \*\/$/ { exit } sub(/^ \*     /, "") { started = 1; print; next } started { print "" }' "$1" |
        sed "1s|.*|#include \"$1\"|"
}
for header in tests/golden/codegen/*.h; do
    program "$header" >"$tmp/program.c"
    grep -q '^int main' "$tmp/program.c" || continue # none where sizes have no bound
    $cc -std=c99 $warn -fsyntax-only "$tmp/program.c"
    $cxx -std=c++11 $warn -fsyntax-only -x c++ "$tmp/program.c"
done

# The toy model as an artefact would be: only names with its prefix are global.
for source in tests/unit/runtime/toy_model.c runtime/rt_*.c; do $cc -O1 -c -I. "$source" -o "$tmp/$(basename "$source" .c).o"; done
ld -r "$tmp"/*.o -o "$tmp/whole.o"
sed -n 's/^RT_EXPORT(\([a-z_]*\),.*/rt_export_\1 toy_\1/p' runtime/rt_exports.def >"$tmp/names"
cut -d' ' -f2 "$tmp/names" >"$tmp/keep"
objcopy --redefine-syms="$tmp/names" "$tmp/whole.o"
objcopy --keep-global-symbols="$tmp/keep" "$tmp/whole.o" "$tmp/toy.o"
others=$(nm -g --defined-only "$tmp/toy.o" | awk '$3 !~ /^toy_/')
[ -z "$others" ] || { echo "global names without the prefix: $others"; exit 1; }

for std in c99 c11; do
    $cc -std=$std $warn -Itests/golden/codegen tests/header/toy_caller.c "$tmp/toy.o" -o "$tmp/caller"
    "$tmp/caller"
done
for std in c++11 c++20; do
    $cxx -std=$std $warn -Itests/golden/codegen -x c++ tests/header/toy_caller.c -x none "$tmp/toy.o" -o "$tmp/caller"
    "$tmp/caller"
done
program tests/golden/codegen/toy.h >"$tmp/program.c"
$cc -std=c99 $warn "$tmp/program.c" "$tmp/toy.o" -o "$tmp/program"
"$tmp/program" >"$tmp/said"
[ ! -s "$tmp/said" ] || { echo "the program of toy.h says: $(cat "$tmp/said")"; exit 1; }
echo "headers: 5 dialects, the toy model called in 4"
