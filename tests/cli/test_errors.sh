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
run 1 render conv2:5 $few -o /proc/x.png
is_no_file /proc/x.png
finish
