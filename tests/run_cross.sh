#!/usr/bin/env bash
# Models for other architectures, run in qemu's user mode: the digits example linked into its C program and as a shared object, the
# programs of tests/programs, the models of tests/models, the contract between guard pages. Compiled code gives the bits of the kernel
# interpreter on every target; PyTorch's values are met as nearly as on this machine.
# Exit status 77: no cross compilers or no qemu. usage: tests/run_cross.sh BUILD_DIR
set -u
build=$(cd "${1:?usage: run_cross.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 emulator=0 left_out=
digits=$root/examples/digits pixels=$root/tests/e2e/goldens/pixels_3.npy
exact=(--rtol 0 --atol 0)

check() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >"$work/log" 2>&1 && passed=$((passed + 1)) && return
    # qemu 7.2 fails an assertion of its own on some code with vectors.
    grep -q '^qemu-.*Assertion' "$work/log" && echo "not tried: $name: $(cat "$work/log")" && emulator=$((emulator + 1)) && return
    failed=$((failed + 1))
    echo "FAILED: $name: $*"
    sed 's/^/    /' "$work/log" | tail -20
    return 1
}

refuses() { # WORDS COMMAND...: the command fails and says that
    local words=$1
    shift
    ! "$@" >"$work/said" 2>&1 && grep -qF -- "$words" "$work/said" || { cat "$work/said"; return 1; }
}

# ---- another architecture ----

# tfxrun for it, which reads what it is given uncompressed.
build_tfxrun() { # ARCH
    "$1-linux-gnu-gcc" -std=gnu11 -O1 -I"$root" -I"$root/tests" -I"$root/tests/cross" "$root"/runtime/{tfxrun_*.c,npy.c,npz.c,loader.c} -c &&
        "$1-linux-gnu-gcc" -std=gnu11 -O1 -I"$root" "$root/runtime/tfxrun.c" ./*.o -o "tfxrun" -lm -ldl -lpthread &&
        "$1-linux-gnu-gcc" -std=gnu11 -O1 -I"$root" -I"$root/tests" "$root/tests/e2e/embed_check.c" ./*.o -o "embed_check" -lm -ldl -lpthread
}

can_build() { # ARCH: tfxc has its runtime
    "$build/tfxc" --print-targets | grep -qx -- "--target=$1-linux-gnu" && command -v "$1-linux-gnu-gcc" >/dev/null
}

compile() { # INPUT OUTPUT FLAG...
    "$build/tfxc" "$1" -o "$2" "--target=$arch-linux-gnu" "-mcpu=$cpu" "${@:3}"
}

# The kernel interpreter's bits, of the very kernels that are compiled.
same_bits() { # PROGRAM MODEL.so CASE.npz [ENTRY]
    "$build/tfxc" "$1" --interpret=kir "--target=$arch-linux-gnu" "-mcpu=$cpu" ${4:+"--entry=$4"} "--input=$3" "--save=$work/kir.npz" &&
        "${run[@]}" ./tfxrun "$2" ${4:+--entry "$4"} --input "$3" --expect "$work/kir.npz" "${exact[@]}"
}

digits_there() {
    "$build/tfxc" "$digits/digits.tfx" --interpret=kir "--target=$arch-linux-gnu" "-mcpu=$cpu" "--input=pixels=$pixels" "--save=logits=kir.npy"
    for kind in $1; do
        check "digits.$kind for $cpu" compile "$digits/digits.tfx" digits.$kind &&
            check "digits.$kind links, $cpu" "$arch-linux-gnu-gcc" -O1 -I. "$root/tests/cross/linked_digits.c" digits.$kind -lm -lpthread -o linked &&
            check "digits.$kind gives the interpreter's bits, $cpu" linked_bits
    done
    check "digits.so for $cpu" compile "$digits/digits.tfx" digits.so || return
    check "digits.so gives the interpreter's bits, $cpu" "${run[@]}" ./tfxrun ./digits.so --input "pixels=$pixels" --expect "logits=kir.npy" "${exact[@]}"
    check "the contract, $cpu" "${run[@]}" ./embed_check ./digits.so --random 3 --dim B=3
}

only_its_prefix() {
    local extra
    extra=$("$arch-linux-gnu-nm" -g --defined-only digits.o | awk '{print $3}' | grep -v '^digits_')
    check "digits.o has only its prefix, $arch" [ -z "$extra" ]
}

# Three images of 64 pixels, three rows of 10 logits, at the files' ends.
linked_bits() {
    tail -c $((3 * 64 * 4)) "$pixels" | "${run[@]}" ./linked >logits && cmp logits <(tail -c $((3 * 10 * 4)) kir.npy)
}

programs_there() { # NAME...
    local program name
    for name in "$@"; do
        program=$root/tests/programs/$name.tir
        "$build/tfxc" "$program" -o "$work/native.so" && check "$name for $cpu" compile "$program" there.so || continue
        sed -n 's/^func @\([a-z_0-9]*\)(\(.*\)) -> .*/\1 \2/p' "$program" | while read -r entry arguments; do
            echo "$entry $(grep -o '%[a-z]*: [iu][0-9]*\[' <<<"$arguments" | sed 's/%\([a-z]*\):.*/--range \1=0..2/' | tr '\n' ' ')"
        done >entries
        while read -r entry ranges <&3; do
            "$build/tfxrun" "$work/native.so" --entry "$entry" --random 7 $ranges --output want.npz >/dev/null
            check "$name.$entry, $cpu" "${run[@]}" ./tfxrun ./there.so --entry "$entry" --random 7 $ranges --expect want.npz --rtol 1e-5 --atol 1e-5
        done 3<entries
    done
}

models_there() { # MODEL...
    local name file what entry
    for name in "$@"; do
        check "$name for $cpu" compile "$root/tests/models/$name.tfx" there.so || continue
        for file in "$root/tests/models/$name"/*.npz; do
            what=$(basename "$file" .npz) entry=
            [[ $what = *.* ]] && entry=${what%%.*}
            "$build/tests/store_arrays" "$file" stored.npz
            check "$name, $what, $cpu" "${run[@]}" ./tfxrun ./there.so ${entry:+--entry "$entry"} --input stored.npz --expect stored.npz --atol 2e-5 --rtol 1e-5
        done
        check "$name, $what, bits, $cpu" same_bits "$root/tests/models/$name.tfx" ./there.so stored.npz $entry
    done
}

digits_all_kinds() { digits_there "o a" && only_its_prefix; }
digits_shared() { digits_there ""; }

there() { # ARCH CPU QEMU-ARGUMENTS PART...
    arch=$1 cpu=$2
    run=("qemu-$arch" -L "/usr/$arch-linux-gnu")
    [ -z "$3" ] || run+=(-cpu "$3")
    for part in "${@:4}"; do $part; done
}

all_programs() { programs_there $(basename -s .tir "$root"/tests/programs/*.tir); }
some_programs() { programs_there attention contract rows; }
a_model() { models_there bert; }
some_models() { models_there bert vit rope; }

for arch in aarch64 riscv64; do
    if ! can_build $arch || ! command -v qemu-$arch >/dev/null; then
        left_out="$left_out $arch"
        continue
    fi
    mkdir -p "$work/$arch" && cd "$work/$arch" || exit 1
    check "tfxrun for $arch" build_tfxrun $arch || continue
    case $arch in
    aarch64)
        there aarch64 generic "" digits_all_kinds all_programs some_models
        there aarch64 cortex-a72 cortex-a72 digits_shared
        there aarch64 neoverse-v1 max digits_shared
        check "a processor without SVE is refused" refuses "this machine lacks: " qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu cortex-a72 \
            ./tfxrun ./digits.so --input "pixels=$pixels"
        ;;
    riscv64)
        there riscv64 rv64gc "" digits_all_kinds
        there riscv64 rv64gcv rv64,v=true,vext_spec=v1.0 digits_shared some_programs a_model
        there riscv64 rv64gcv rv64,v=true,vext_spec=v1.0,vlen=256 digits_shared
        check "a processor without vectors is refused" refuses "this machine lacks: v" qemu-riscv64 -L /usr/riscv64-linux-gnu \
            ./tfxrun ./digits.so --input "pixels=$pixels"
        check "two variants" "$build/tfxc" "$digits/digits.tfx" --target=riscv64-linux-gnu --multiversion -o both.so
        for cpu in rv64gc rv64gcv; do
            "$build/tfxc" "$digits/digits.tfx" --interpret=kir --target=riscv64-linux-gnu -mcpu=$cpu "--input=pixels=$pixels" "--save=logits=$cpu.npy"
        done
        check "takes the plain one" qemu-riscv64 -L /usr/riscv64-linux-gnu ./tfxrun ./both.so --input "pixels=$pixels" --expect logits=rv64gc.npy "${exact[@]}"
        check "takes the one with vectors" qemu-riscv64 -cpu rv64,v=true,vext_spec=v1.0 -L /usr/riscv64-linux-gnu ./tfxrun ./both.so \
            --input "pixels=$pixels" --expect logits=rv64gcv.npy "${exact[@]}"
        ;;
    esac
done

[ -z "$left_out" ] || echo "cross: left out:$left_out (needs the cross compiler and the C library's headers when tfxc is built, and qemu)"
[ $emulator = 0 ] || echo "cross: $emulator not tried, for qemu's faults"
echo "cross: $passed passed, $failed failed"
[ $((passed + failed)) -gt 0 ] || exit 77
[ "$failed" = 0 ]
