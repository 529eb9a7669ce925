#!/bin/sh
# classify, inspect and activations on the embedded network.
. "$(dirname "$0")/common.sh"

run 0 inspect
says stdout conv4a
says stdout goldfish
says stdout GFLOP
run 0 inspect --json --quiet
json stdout ONNX format
json stdout 100 classes
json stdout 3 shape 1
run 0 inspect --plan conv2:5 --size 64
[ -s stdout ] || fail "inspect --plan prints nothing"
run 0 inspect --plan conv2:5 --size 64 --time
says stdout ms

cp "$source/weights/iris100.onnx" network.onnx
run 0 inspect -m network.onnx
says stderr "a guess"
run 0 inspect -m network.onnx --input torch --save
grep -q guess stderr && fail "a preprocessing that was named is guessed: $(cat stderr)"
is_file network.phosphene
run 0 inspect -m network.onnx --json
json stdout torch preprocessing preset
run 1 inspect -m network.onnx --input unit --save
says stderr phosphene
run 0 inspect -m network.onnx --input unit --save --force
run 0 inspect -m network.onnx --json
json stdout unit preprocessing preset

# A picture optimised for a class is recognised as it.
run 0 render class:goldfish --size 64 --steps 48 -o n01443537_goldfish.png
run 0 classify n01443537_goldfish.png
says stdout "goldfish"
says stdout "1 of 1 right"
run 0 classify n01443537_goldfish.png --top 2 --json
json stdout 2 pictures 0 classes
json stdout 1 pictures 0 place
json stdout 1 known first
run 0 classify n01443537_goldfish.png --expect tarantula
says stdout "0 of 1 right"
run 0 classify n01443537_goldfish.png --input caffe
says stdout "with --input unit 1 are right"

run 0 activations n01443537_goldfish.png --layer conv3a
is_file n01443537_goldfish-conv3a.npy
run 1 activations n01443537_goldfish.png --layer conv3a
says stderr "exists already"
run 0 activations n01443537_goldfish.png --layer image --json -o input.npy
json stdout 3 shape 1
run 0 activations input.npy --layer conv3a -o again.npy
same n01443537_goldfish-conv3a.npy again.npy
run 0 activations n01443537_goldfish.png --gradient class:goldfish --json -o gradient.npy
json stdout 3 shape 1
run 0 activations input.npy --gradient class:goldfish -o again.npy --force
same gradient.npy again.npy
finish
