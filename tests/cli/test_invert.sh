#!/bin/sh
# invert on the embedded network: which layers, the errors, files, and what cannot be asked for.
. "$(dirname "$0")/common.sh"
cp "$source/tests/vis/data/attribution.png" cat.png

run 0 invert cat.png conv2 --steps 20
is_png cat-inverted-conv2.png
says stdout "% of the target's norm"
run 1 invert cat.png conv2 --steps 20
says stderr "exists already"
run 0 invert cat.png conv2 --steps 20 --threads 1 -o one.png -q
silent stdout
run 0 invert cat.png conv2 --steps 20 --threads 3 -o two.png -q
same one.png two.png
same one.png cat-inverted-conv2.png

# The error told is that of a match of the same.
run 0 invert cat.png conv4b --steps 300 --json -o near.png
"$json_value" stdout 0 error_relative_to_target >near
[ "$(awk '{ print ($1 < 0.1) }' near)" = 1 ] || fail "conv4b after 300 steps: error $(cat near)"
run 0 invert cat.png conv4b --steps 2 --json -o far.png
"$json_value" stdout 0 error_relative_to_target >far
[ "$(cat near far | awk '{ e[NR] = $1 } END { print (e[1] < e[2] / 2) }')" = 1 ] || fail "errors: $(cat near far)"

# Every layer: the first to the last, and all of them in one sheet.
run 0 invert cat.png all --steps 3 -o all
for layer in conv1 pool1 conv3a conv5b logits prob sheet; do is_png all/$layer.png; done
is_no_file all/input.png
[ "$(head -n 1 stdout | cut -d ' ' -f 3)" = conv1_pre_relu ] || fail "all begins with $(head -n 1 stdout)"
cp cat.png "cat's.png"
run 0 invert "cat's.png" conv2 conv1 conv2 --steps 1 -o once
[ "$(grep -c conv2.png stdout)" = 1 ] || fail "a layer named twice is inverted twice"
run 2 invert cat.png conv1 conv2 -o both.png
says stderr "name a folder"

# Parts of a layer, losses, methods, the paper's error.
run 0 invert cat.png conv4b --window 2x2 --steps 3 --json -o window.png
says stdout "conv4b'@"
run 0 invert cat.png conv4b --channels 3,7 --loss l1 --steps 3 --json -o channels.png
says stdout "'conv4b':7"
run 0 invert cat.png conv4b --loss dot --steps 3 -o dot.png
says stdout objective
quasi_newton=
"$phosphene" list optimisers | grep -q '^ *lbfgs' && quasi_newton=inversion-lbfgs # an optional library
for preset in mahendran $quasi_newton natural-pre-image; do
    run 0 invert cat.png conv3a --preset $preset --steps 5 --variation 2 -o $preset.png
    is_png $preset.png
done
run 0 invert cat.png conv3a --attempts 2 --steps 3 -o attempts.png
mkdir natural
cp cat.png one.png natural
run 0 invert cat.png conv3a --steps 3 --natural natural -o natural.png
says stdout "mean distance between natural pictures"
echo nonsense >natural/broken.png
run 1 invert cat.png conv3a --steps 3 --natural natural -o late.png
says stderr "natural/broken.png"
is_no_file late.png

# Hand-made descriptors in place of a network; the recipe knows which.
for name in hog hogb dsift; do
    run 0 invert cat.png --representation $name --size 64x80 --steps 30 -o $name.png
    is_png $name.png
done
run 0 render --recipe hogb.png -o again.png
same hogb.png again.png
run 0 render 'hog:3@2,2' --representation hog --size 40 --steps 4 -o unit.png
run 1 invert cat.png --representation dsift --size 16 --steps 2 -o x.png
says stderr "dsift needs pictures of at least 27 pixels a side, not 16 x 16"
run 2 invert cat.png --representation surf -o x.png
says stderr "hog|hogb|dsift"
run 2 invert cat.png conv2 -m x.onnx --representation hog -o x.png
says stderr "in place of a network"
run 2 invert cat.png -o x.png
says stderr "'all' takes every one"
run 1 inspect --representation hog --save
says stderr "built in"

# Interrupted: what is written is said.
rm stderr
"$phosphene" invert cat.png conv3a conv4a --steps 2000000 -o cut >stdout 2>stderr &
process=$!
last="invert, interrupted"
tries=0
while [ ! -s stderr ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
sleep 0.5
kill -TERM $process
wait $process
code=$?
[ $code -eq 1 ] || fail "interrupted: exit code $code, not 1"
says stderr "cut/conv3a.png is the picture so far"
is_png cut/conv3a.png
is_no_file cut/conv4a.png

run 1 invert cat.png conv9 -o x.png
says stderr "no layer 'conv9', did you mean 'conv"
run 2 invert cat.png conv2 -o inverted.jpg
says stderr PNG
is_no_file inverted.jpg
run 1 invert nothing.png conv2 -o x.png
says stderr "nothing.png"
run 1 invert cat.png conv2 --window 99x1 -o x.png
says stderr "--window"
run 2 invert cat.png conv2 --window 3 -o x.png
says stderr "COLUMNSxROWS"
run 2 invert cat.png conv2 --channels 3,b -o x.png
says stderr "list of channels"
run 1 invert cat.png conv2 --channels 3,99999 -o x.png
says stderr 99999
run 2 invert cat.png conv2 --variation much -o x.png
says stderr "not a number"
run 2 invert cat.png conv2 --variation -1 -o x.png
says stderr "less than 0"
mkdir empty
run 1 invert cat.png conv2 --natural empty -o x.png
says stderr "holds 0 pictures"
run 2 invert
run 2 invert cat.png conv2 --loss l3
says stderr "l2|l1|dot"
is_no_file x.png
finish
