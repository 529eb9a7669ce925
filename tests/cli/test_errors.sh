#!/bin/sh
# What fails says so: exit code 1, the file or name on standard error, nothing left under the final name.
. "$(dirname "$0")/common.sh"
few="--size 48 --steps 4"

run 1 render conv2:5 -m missing.onnx
says stderr "missing.onnx"
is_no_file conv2-5.png
run 1 classify missing.png
says stderr "missing.png"
run 1 activations missing.npy --layer conv1
says stderr "missing.npy"
run 1 inspect -m missing.caffemodel
says stderr "missing.caffemodel"
run 1 render --recipe missing.png
says stderr "missing.png"
run 1 inspect --labels missing.txt
says stderr "missing.txt"

echo nonsense >nonsense.onnx
run 1 inspect -m nonsense.onnx
says stderr "nonsense.onnx"
echo nonsense >nonsense.png
run 1 classify nonsense.png
says stderr "nonsense.png"
run 1 render --recipe nonsense.png
says stderr "nonsense.png"

# Unknown names: the nearest ones are listed.
run 1 render conv4z:3 $few
says stderr conv4a
run 1 render class:goldfihs $few
says stderr goldfish
run 1 render goldfish $few
says stderr "no layer 'goldfish', did you mean class:goldfish?"
run 1 render conv2:99999 $few
says stderr 99999
run 1 render 'conv2:5 +' $few
run 1 activations "$source/tests/cli/common.sh" --layer conv1
run 0 render conv2:5 $few -o picture.png
run 1 activations picture.png --layer conv9
says stderr conv
run 1 classify picture.png --expect unicorn
says stderr unicorn

# A full disk: the file-size limit stands for it, the write fails in the middle.
(
    ulimit -f 1
    "$phosphene" render conv2:5 $few --quiet -o full.png >stdout 2>stderr
) && fail "a write beyond the limit is no error"
last="render on a full disk"
says stderr full.png
[ -z "$(ls | grep full)" ] || fail "a full disk left $(ls | grep full)"
run 1 render conv2:5 $few -o nonsense.png/x.png
says stderr nonsense.png

# What cannot be written is found before anything is computed, with --force too: a million steps would not end.
mkdir folder.png
run 1 render conv2:5 --steps 1000000 -o folder.png --force
says stderr "folder.png: is a folder"
ln -s nothing.png link.png
run 1 render conv2:5 --steps 1000000 -o link.png
says stderr "link.png: exists already"
run 1 render conv2:5 --steps 1000000 -o nonsense.png/deeper/x.png
says stderr nonsense.png
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked && chmod 555 locked
    run 1 render conv2:5 --steps 1000000 -o locked/x.png
    says stderr "nothing can be written in locked"
fi
run 1 activations picture.png --layer conv2 -o folder.png --force
says stderr "folder.png: is a folder"

run 1 classify folder.png
says stderr "folder.png: is a folder"

# A pipe is no file to map: nobody writes into it, and nobody waits.
mkfifo pipe.onnx
run 1 inspect -m pipe.onnx
says stderr "pipe.onnx: not a regular file"

# Something very long is quoted in part; what is wrong with it is said.
run 1 render "$(head -c 100000 /dev/zero | tr '\0' '(')" $few
says stderr "nested"
[ "$(wc -c <stderr)" -lt 2000 ] || fail "a message of $(wc -c <stderr) bytes"

# Names that are quoted do not steer the terminal.
run 1 render "$(printf 'conv2:5\033[2J')" $few
grep -q "$(printf '\033')" stderr && fail "a message holds an escape character"
run 2 "$(printf 'render\033[2J')"
grep -q "$(printf '\033')" stderr && fail "a message about a command holds an escape character"
for i in $(seq 100); do printf 'class \033[2J %d\n' $i; done >names.txt
run 0 classify picture.png --labels names.txt
says stdout "class ?[2J"
grep -q "$(printf '\033')" stdout && fail "a class name brings an escape character"
run 2 render conv2:5 --steps 1e9
says stderr "from 0 to 10000000"
run 2 activations
says stderr "activations needs IMAGE"

# A network without class names: where they could come from.
cp "$source/weights/iris100.onnx" nameless.onnx
run 0 classify picture.png -m nameless.onnx
says stderr "the classes have no names: --labels FILE"
mkdir folder
cp nonsense.png folder
run 1 explain folder/ --evaluate --method gradient
says stderr "folder/nonsense.png"

# Arrays that are no input of the network.
printf '\223NUMPY\001\000\166\000%-117s\n%048d' "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" 0 >matrix.npy
run 1 activations matrix.npy --layer conv2
says stderr "shape is [3,4], the network takes [1,3,64,64]"
printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3, 64, 64), }" >none.npy
run 1 activations none.npy --layer conv2
says stderr "no values"
run 1 render conv2:5 $few -o /proc/x.png
is_no_file /proc/x.png
finish
