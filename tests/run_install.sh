#!/usr/bin/env bash
# run_install.sh BUILD_DIR: tfxc as an app's developer has it. Installs into a temporary tree; builds examples/embed_c against it with
# Ninja and with Make and compares what it prints; changes sources, imports, weights, flags and the compiler, and looks at exactly
# what is built again; mistakes in CMake files, a cross build, C++; then moves the tree and builds once more.
set -u
build=$(cd "${1:?usage: run_install.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset TFXC_EXECUTABLE
passed=0 failed=0

pass() { passed=$((passed + 1)); }
fail() { # NAME [FILE]
    failed=$((failed + 1))
    echo "FAILED: $1"
    [ $# -lt 2 ] || tail -n 25 "$2" | sed 's/^/    /'
}
ok() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then pass; else fail "$name: $*" "$work/log"; fi
}
same() { # NAME EXPECTED GOT
    if [ "$2" = "$3" ]; then pass; else fail "$1: expected '$2', got '$3'"; fi
}

# ---- the tree ----
tree=$work/tree
ok "install" cmake --install "$build" --prefix "$tree"
for file in bin/tfxc bin/tfxrun include/tfx.h share/doc/tfxc/LICENSE share/doc/tfxc/README.md share/tfxc/python/tfx.py; do
    ok "installed: $file" test -f "$tree/$file"
done
lib=$(dirname "$(find "$tree" -name libtfx.a)")
for file in cmake/tfxc/tfxcConfig.cmake cmake/tfxc/tfxcConfigVersion.cmake cmake/tfxc/TfxcAddModel.cmake pkgconfig/tfx.pc; do
    ok "installed: $file" test -f "$lib/$file"
done
same "nothing names the tree" "" "$(grep -rlF "$tree" "$tree")"
ok "the compiler runs" "$tree/bin/tfxc" --version
"$tree/bin/tfxc" "$root/examples/digits/digits.tfx" -o "$work/digits.so"
if command -v pkg-config >/dev/null; then
    ok "pkg-config" sh -c "cc '$root/tests/embed/project/loading.c' \$(PKG_CONFIG_PATH='$lib/pkgconfig' pkg-config --cflags --libs tfx) -o '$work/loading'"
else
    ok "the loader" cc "$root/tests/embed/project/loading.c" -I"$tree/include" -L"$lib" -ltfx -ldl -o "$work/loading"
fi
same "what it loads" digits "$("$work/loading" "$work/digits.so")"

# ---- the example ----
# Sources that may be changed, in a directory whose name wants quoting.
src="$work/my sources"
mkdir -p "$src/digits"
cp -r "$root/examples/embed_c" "$src/"
cp "$root"/examples/digits/{digits.tfx,model.safetensors} "$src/digits/"
example=$src/embed_c

configure() { # GENERATOR ARGUMENTS...
    local generator=$1
    shift
    cmake -G "$generator" "-DCMAKE_PREFIX_PATH=$tree" -DCMAKE_BUILD_TYPE=Release "$@"
}
# Everything a build makes, with times (CMake itself removes objects whose command has changed, of Makefiles).
made() {
    (IFS=' ' && cd "$out" && stat -c '%n %y' tfxc/*/*.o tfxc/*/include/*.h CMakeFiles/add.dir/add.c.o add 2>/dev/null)
}
# builds NAME FILES: building makes exactly these anew
builds() {
    local name=$1 files=$2
    made >"$work/before"
    cmake --build "$out" -j 2 >"$work/log" 2>&1 || { fail "$1: the build fails" "$work/log"; return; }
    made >"$work/after"
    same "$name" "$files" "$(diff "$work/before" "$work/after" | sed -n 's/^> \([^ ]*\) .*/\1/p' | sed 's|.*/||' | sort | tr '\n' ' ')"
}
prints() { # NAME
    "$out/add" "$example/page.txt" >"$work/said" 2>&1
    if diff "$root/examples/embed_c/expected.txt" "$work/said" >"$work/log"; then pass; else fail "$1" "$work/log"; fi
}

try_example() { # GENERATOR
    echo "install: $1"
    out=$work/out
    rm -rf "$out" "$example"
    cp -r "$root/examples/embed_c" "$src/"
    ok "configure" configure "$1" -S "$example" -B "$out" -DCMAKE_C_FLAGS="-Wall -Wextra -Wconversion -Werror" -DTFXC_FLAGS=-O0
    ok "build" cmake --build "$out" -j 2
    prints "the example's output"
    for model in digits sums; do
        same "names of $model" "" "$(nm -g --defined-only "$out/lib$model.a" 2>&1 | awk 'NF == 3 {print $3}' | grep -v "^${model}_")"
    done
    same "the program needs" "libc.so.6 libm.so.6 " "$(readelf -d "$out/add" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ' | sed 's/^libc.so.6 $/libc.so.6 libm.so.6 /')"

    builds "nothing changed" ""
    touch "$example/sums.tfx"
    builds "a model is touched" "add sums.o "
    touch "$example/torch_layers.tfx"
    builds "an import is touched" "add sums.o "
    touch "$example/sums.safetensors"
    builds "weights are touched" "add sums.o "
    touch "$src/digits/model.safetensors"
    builds "the other model's weights are touched" "add digits.o "
    touch "$example/add.c"
    builds "the program is touched" "add add.c.o "
    touch "$tree/bin/tfxc"
    builds "the compiler is touched" "add digits.o sums.o "
    ok "another flag" configure "$1" -S "$example" -B "$out" -DTFXC_FLAGS=-O1
    builds "another flag" "add digits.o sums.o "
    ok "the same flag" configure "$1" -S "$example" -B "$out" -DTFXC_FLAGS=-O1
    builds "the same flag" ""
    prints "the example's output, built otherwise"

    sed -i 's/B <= 64/B <= 32/' "$example/sums.tfx"
    builds "the interface changes" "add add.c.o sums.h sums.o "
    same "the new bound" "  input 'ids', axis 0: dim 'B': expected 1..32, got 33" "$("$out/add" "$example/page.txt" | grep axis)"
    sed -i 's/torch_layers/layers/' "$example/sums.tfx"
    mv "$example/torch_layers.tfx" "$example/layers.tfx"
    builds "an import has another name" "add sums.o "
    rm "$example/layers.tfx"
    cmake --build "$out" >"$work/log" 2>&1 && fail "an import is gone: it builds"
    if grep -q "embed_c/sums.tfx:2:8: error: cannot read '.*/layers.tfx': No such file or directory" "$work/log"; then pass; else
        fail "an import is gone" "$work/log"
    fi
    cp "$root/examples/embed_c/torch_layers.tfx" "$example/layers.tfx"
    ok "an import is back" cmake --build "$out"
    builds "nothing changed since" ""
}
generators=Ninja
command -v make >/dev/null && generators="Ninja;Unix Makefiles"
IFS=';'
for generator in $generators; do try_example "$generator"; done
unset IFS

# By hand, as the README has it; and the model that adds against PyTorch.
"$tree/bin/tfxc" "$root/examples/digits/digits.tfx" -o "$work/digits.o" && "$tree/bin/tfxc" "$root/examples/embed_c/sums.tfx" -o "$work/sums.o"
ok "by hand" cc -std=c11 -O2 -Wall -Wextra -Werror -I"$work" "$root/examples/embed_c/add.c" "$work/digits.o" "$work/sums.o" -lm -lpthread -o "$work/add"
out=$work prints "by hand: the output"
"$tree/bin/tfxc" "$root/examples/embed_c/sums.tfx" -o "$work/sums.so"
ok "sums and PyTorch" "$tree/bin/tfxrun" "$work/sums.so" --input "ids=$root/examples/embed_c/golden_ids.npy" \
    --expect "logits=$root/examples/embed_c/golden_logits.npy" --rtol 0 --atol 1e-4

# ---- the rest of tfxc_add_model ----
digits_dir=$root/examples/digits
try_project() { # NAME GENERATOR ARGUMENTS...
    local name=$1
    shift
    rm -rf "$work/p"
    ok "$name: configure" configure "$@" -S "$root/tests/embed/project" -B "$work/p" "-DDIGITS_DIR=$digits_dir"
    ok "$name: build" cmake --build "$work/p" -j 2
    ok "$name: several models" "$work/p/several" "$work/p/models/weights/digits.tfxw"
    ok "$name: C++" "$work/p/cxx"
    same "$name: the loader" digits "$("$work/p/loading" "$work/digits.so")"
    same "$name: names of a library with a model inside" "wrapped_classify" "$(nm -D --defined-only "$work/p/models/libwrapped.so" | awk '{print $3}' | tr '\n' ' ' | sed 's/ $//')"
}
try_project project Ninja
rm "$work/p/models/weights/digits.tfxw"
ok "weights that are gone" cmake --build "$work/p"
ok "are made again" "$work/p/several" "$work/p/models/weights/digits.tfxw"

# The project of the documentation.
block() { awk -v fence="\`\`\`$1" '$0 == fence { on = !done; next } /^```$/ { if (on) done = 1; on = 0 } on' "$root/docs/embedding.md"; }
mkdir "$work/doc" && cp "$src/digits/"* "$work/doc" && block cmake >"$work/doc/CMakeLists.txt" && block c >"$work/doc/app.c"
ok "documentation: configure" cmake -S "$work/doc" -B "$work/doc/build" "-DCMAKE_PREFIX_PATH=$tree"
ok "documentation: build" cmake --build "$work/doc/build"
ok "documentation: run" "$work/doc/build/app"

# A cross build takes a compiler of the host.
printf '#!/bin/sh\necho "$@" >>"%s/calls"\nexec "%s/bin/tfxc" "$@"\n' "$work" "$tree" >"$work/host tfxc" && chmod +x "$work/host tfxc"
try_project "cross build" Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=x86_64 "-DTFXC_EXECUTABLE=$work/host tfxc" -DTFXC_FLAGS=-mcpu=x86-64-v2
same "cross build: the host's compiler" 4 "$(grep -c -- -mcpu=x86-64-v2 "$work/calls")"

# refused NAME MESSAGE LINES [ARGUMENTS...]: what CMake says of a project with these lines
refused() {
    local name=$1 message=$2 lines=$3
    shift 3
    rm -rf "$work/r" "$work/r-out"
    mkdir "$work/r"
    touch "$work/r/a.tfx" "$work/r/w.safetensors" "$work/r/main.c"
    printf 'cmake_minimum_required(VERSION 3.22)\nproject(r LANGUAGES %s)\nfind_package(tfxc REQUIRED)\n%s\n' "${languages:-C}" "$lines" >"$work/r/CMakeLists.txt"
    # The compiler need not be tried: none of these projects is built.
    if configure Ninja -S "$work/r" -B "$work/r-out" -DCMAKE_C_COMPILER_FORCED=ON "$@" >"$work/log" 2>&1; then fail "$name: it is taken"; return; fi
    if tr -s '\n ' ' ' <"$work/log" | grep -qF -- "$message"; then pass; else fail "$name: expected '$message'" "$work/log"; fi
}
refused "no source" "tfxc_add_model(m): SRC is missing" 'tfxc_add_model(m WEIGHTS random)'
refused "unknown keyword" "tfxc_add_model(m): 'SOURCE' is no keyword and belongs to none. The keywords are SRC, PREFIX, MODEL, WEIGHTS, EXTERNAL_WEIGHTS, FLAGS" 'tfxc_add_model(m SOURCE a.tfx)'
refused "keyword without a value" "tfxc_add_model(m): PREFIX needs a value" 'tfxc_add_model(m SRC a.tfx PREFIX WEIGHTS random)'
refused "no such source" "tfxc_add_model(m): SRC: there is no file '$work/r/b.tfx'" 'tfxc_add_model(m SRC b.tfx)'
refused "no such weights" "tfxc_add_model(m): WEIGHTS: there is no file '$work/r/b'" 'tfxc_add_model(m SRC a.tfx WEIGHTS b)'
refused "a name that C has not" "tfxc_add_model(my-model): 'my-model' cannot begin names in C: give another PREFIX" 'tfxc_add_model(my-model SRC a.tfx)'
refused "twice" "tfxc_add_model(m): there is a target of that name already" 'tfxc_add_model(m SRC a.tfx)
tfxc_add_model(m SRC a.tfx)'
refused "a keyword as a flag" "tfxc_add_model(m): '--external-weights=x' among FLAGS: say it with EXTERNAL_WEIGHTS" 'tfxc_add_model(m SRC a.tfx FLAGS --external-weights=x)'
refused "an output as a flag" "tfxc_add_model(m): '--emit=so' among FLAGS" 'tfxc_add_model(m SRC a.tfx FLAGS -O3 --emit=so)'
refused "no flag" "tfxc_add_model(m): 'fast' among FLAGS is no flag" 'tfxc_add_model(m SRC a.tfx FLAGS fast)'
refused "a flag by configuration" "a model is the same for all configurations" 'tfxc_add_model(m SRC a.tfx FLAGS "-O$<IF:$<CONFIG:Debug>,0,3>")'
languages=NONE refused "no language" "the project has neither C nor C++" 'tfxc_add_model(m SRC a.tfx)'
refused "one prefix, two models" 'INTERFACE_TFXC_PREFIX_m_BELONGS_TO property of "n" does not agree' 'tfxc_add_model(m SRC a.tfx)
tfxc_add_model(n SRC a.tfx PREFIX m)
add_executable(app main.c)
target_link_libraries(app PRIVATE m n)'
refused "a cross build for the machine that builds" "this is a cross build: say with FLAGS or TFXC_FLAGS what for" 'tfxc_add_model(m SRC a.tfx)' -DCMAKE_SYSTEM_NAME=Linux
refused "no such compiler" "TFXC_EXECUTABLE names '/none', which does not exist" '' -DTFXC_EXECUTABLE=/none
refused "a later version" 'compatible with requested version "7"' 'find_package(tfxc 7 REQUIRED)'

# ---- the tree is moved ----
mv "$tree" "$work/moved"
tree=$work/moved
out=$work/out
rm -rf "$out" "$example"
cp -r "$root/examples/embed_c" "$src/"
ok "moved: configure" configure Ninja -S "$example" -B "$out"
ok "moved: build" cmake --build "$out" -j 2
prints "moved: the example's output"

echo "install: $passed passed, $failed failed"
[ "$failed" = 0 ]
