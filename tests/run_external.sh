#!/usr/bin/env bash
# run_external.sh BUILD_DIR: the digits model with its weights in a file of their own: the same results as with them inside, and
# what is said when the file is not the right one.
set -u
build=$(cd "${1:?usage: run_external.sh BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
tfxc=$build/tfxc run=$build/tfxrun
digits=$root/examples/digits/digits.tfx pixels=$root/tests/e2e/goldens/pixels_3.npy
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

ok() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >log 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name: $*" && sed 's/^/    /' log; fi
}

refused() { # NAME MESSAGE WEIGHTS-FILE: opening must fail with status 3 and exactly this message
    "$run" outside.so --weights "$3" --input "pixels=$pixels" >log 2>&1
    local status=$?
    if [ $status = 3 ] && [ "$(cat log)" = "tfxrun: error: $2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: status $status, expected 3 and: $2"
        sed 's/^/    /' log
    fi
}

bytes() { stat -c %s "$1"; }

ok "weights inside" "$tfxc" "$digits" -o inside.so
ok "weights outside" "$tfxc" "$digits" -o outside.so --external-weights=w.tfxw
ok "nothing else is written" test "$(ls | grep -v log | tr '\n' ' ')" = "inside.so outside.so w.tfxw "
ok "the library is smaller by the weights" test "$(bytes inside.so)" -ge $(($(bytes outside.so) + $(bytes w.tfxw) - 4096))
ok "run, weights inside" "$run" inside.so --input "pixels=$pixels" --output logits=logits.npy
ok "the same bits with them outside" "$run" outside.so --weights w.tfxw --input "pixels=$pixels" --expect logits=logits.npy --rtol 0 --atol 0
ok "a read-only file will do" sh -c "cp w.tfxw ro && chmod 444 ro && '$run' outside.so --weights ro --input 'pixels=$pixels' --expect logits=logits.npy --rtol 0 --atol 0"
mkdir again
ok "equal sources and flags" "$tfxc" "$digits" -o again/outside.so --external-weights=again/w.tfxw
ok "the same library" cmp outside.so again/outside.so
ok "the same weights" cmp w.tfxw again/w.tfxw
ok "another processor reads the same weights" "$tfxc" "$digits" -o again/x86-64.so -mcpu=x86-64 --external-weights=again/x.tfxw
ok "the same weights for another processor" cmp w.tfxw again/x.tfxw
ok "it runs with them" "$run" again/x86-64.so --weights w.tfxw --input "pixels=$pixels" --expect logits=logits.npy --rtol 0 --atol 1e-4
for kind in o a; do
    ok "an .$kind without weights" "$tfxc" "$digits" -o "digits.$kind" --external-weights="$kind.tfxw"
    ok "its weights" cmp w.tfxw "$kind.tfxw"
done

"$run" outside.so --input "pixels=$pixels" >said 2>&1
ok "no file is given: status" test $? = 3
ok "no file is given" grep -q "this model's weights are in a file of their own" said
ok "no file is given: what to do" grep -q -- "hint: give --weights FILE" said
ok "described without them" "$run" outside.so --describe
ok "what is described" sh -c "'$run' outside.so --describe | grep -q '^  weights .* in a file of their own$'"
"$run" inside.so --weights w.tfxw --input "pixels=$pixels" >said 2>&1
ok "a file where none belongs" grep -q "weights_path 'w.tfxw': this model's weights are inside it" said

ok "other weights" "$tfxc" "$digits" --weights=random:1 -o random.so --external-weights=random.tfxw
refused "missing" "weights 'none': no such file" none
refused "no directory" "weights 'w.tfxw/none': a part of the path is no directory" w.tfxw/none
ln -s loop loop
refused "a link to itself" "weights 'loop': too many symbolic links" loop
mkfifo pipe
refused "a pipe without a writer" "weights 'pipe': not a file" pipe
refused "a device" "weights '/dev/zero': not a file" /dev/zero
cp w.tfxw secret && chmod 000 secret
[ -r secret ] || refused "no permission" "weights 'secret': no permission to read it" secret # root may read everything
rm -f secret
refused "a directory" "weights 'again': not a file" again
: >empty
refused "empty" "weights 'empty': only 0 bytes long" empty
head -c 63 w.tfxw >header
refused "a cut header" "weights 'header': only 63 bytes long" header
size=$(bytes w.tfxw)
for n in 64 4096 $((size - 1)); do
    head -c "$n" w.tfxw >cut
    refused "cut after $n bytes" "weights 'cut': expected $((size - 4096)) bytes of weights, got a file of $n bytes" cut
done
refused "the weights of another model" "weights 'random.tfxw': made for another model or from other weights" random.tfxw
refused "no weights file" "weights 'inside.so': not a weights file of tfxc" inside.so

# lie FILE OFFSET BYTES: a copy of the weights with other bytes at an offset of its header
lie() { cp w.tfxw "$1" && printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>log; }
lie version 8 '\x02'
refused "another version" "weights 'version': expected version 1 with a header of 64 bytes, got version 2 with 64" version
lie length 24 '\xff\xff\xff\xff\xff\xff\xff\x7f'
lie offset 16 '\0\xf0\xff\xff\xff\xff\xff\x7f'
lie low 16 '\0\0\0\0\0\0\0\0'
lie odd 16 '\x01\x10'
for f in length offset low odd; do
    refused "a header that lies ($f)" "weights '$f': expected $((size - 4096)) bytes of weights, got a file of $size bytes" $f
done
lie magic 0 'TFXW'
refused "another format" "weights 'magic': not a weights file of tfxc" magic
lie head 12 '\x41'
refused "another size of the header" "weights 'head': expected version 1 with a header of 64 bytes, got version 1 with 65" head
lie id 32 '\0\0\0\0\0\0\0\0'
refused "another identity" "weights 'id': made for another model or from other weights" id

# What tfxc refuses to write; nothing may be left behind.
mkdir clean
left() { # NAME MESSAGE ARGUMENTS...
    local name=$1 message=$2
    shift 2
    "$tfxc" "$@" >log 2>&1
    local status=$?
    if [ $status != 0 ] && grep -qF -- "$message" log && [ -z "$(ls clean)" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name: status $status, expected: $message; left: $(ls clean)"
        sed 's/^/    /' log
    fi
}
left "a directory that is not there" "no/w: error: cannot write: No such file or directory" "$digits" -o clean/d.so --external-weights=no/w
left "a directory in its place" "again: error: cannot write: Is a directory" "$digits" -o clean/d.so --external-weights=again
left "a device" "/dev/null: error: cannot write: not a regular file" "$digits" -o clean/d.so --external-weights=/dev/null
left "the linker is not there" "cannot run the linker" "$digits" -o clean/d.so --external-weights=clean/w --linker=/none
left "the output is not possible" "no/d.so: error: cannot write" "$digits" -o no/d.so --external-weights=clean/w
left "one name for both" "'clean/d.so' is to be written twice" "$digits" -o clean/d.so --external-weights=clean/d.so
left "the header's name" "'clean/d.h' is to be written twice" "$digits" -o clean/d.o --external-weights=clean/d.h
cp "$root/examples/digits/model.safetensors" "$digits" .
left "the weights that are read" "the output './model.safetensors' would replace what is read" digits.tfx -o clean/d.so --external-weights=./model.safetensors
ok "and they are as they were" cmp model.safetensors "$root/examples/digits/model.safetensors"
left "text holds no weights" "--external-weights does not go with --emit=ll" "$digits" -o clean/d.ll --external-weights=clean/w
printf 'model m(x: f32[B]) -> y: f32[B] where B <= 4 { return x + 1 }\n' >plain.tfx
left "no weights to put there" "the model has no weights to be put there" plain.tfx -o clean/p.so --external-weights=clean/w
left "no value" "--external-weights needs a value: FILE" "$digits" -o clean/d.so --external-weights=

echo "external: $passed passed, $failed failed"
[ "$failed" = 0 ]
