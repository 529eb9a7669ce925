#!/bin/sh
# Objectives that need more than a word: several pictures of one, files beside the command, auto-weight, mistakes.
. "$(dirname "$0")/common.sh"
few="--size 48 --steps 6 --seed 3"

# Several pictures of an objective: names, manifest, each again from its recipe, resuming.
run 0 render "conv2:5 - 0.1*diversity(conv2)" $few --pictures 3 -o several
for i in 1 2 3; do is_png "several/conv2-5-0.1-diversity-conv2-$i.png"; done
is_png several/sheet.png
json several/manifest.json 2 pictures 1 item
run 0 render --recipe "several/conv2-5-0.1-diversity-conv2-2.png" -o again.png
same "several/conv2-5-0.1-diversity-conv2-2.png" again.png
cp -r several before
rm "several/conv2-5-0.1-diversity-conv2-1.png"
run 0 render "conv2:5 - 0.1*diversity(conv2)" $few --pictures 3 -o several
says stderr "2 of 3 pictures are there already"
for i in 1 2 3; do same "several/conv2-5-0.1-diversity-conv2-$i.png" "before/conv2-5-0.1-diversity-conv2-$i.png"; done
run 1 render "conv2:5 - 0.1*diversity(conv2)" $few --pictures 2 -o several
says stderr "exists already"
run 0 render conv2:5 conv2:6 $few --pictures 2 -o 'named/{objective}.{item}.png'
is_png named/conv2-6.2.png
run 0 render conv2:5 $few --pictures 2 --item 2 -o one.png
same one.png named/conv2-5.2.png

# Files: a picture that phosphene wrote, and an array.
run 0 activations one.png --fit none --layer conv2 -o target.npy
run 0 render "match(conv2, target.npy)" "match(conv2, one.png)" $few --transforms none -o match
cmp match/match-conv2-target.npy.png match/match-conv2-one.png.png >/dev/null && fail "the recipe of a match is missing"
run 0 render "cosine(conv4b, one.png@*)" $few --steps 2 -o grid
is_png "grid/cosine-conv4b-one.png@3-3.png"
json grid/manifest.json "cosine(conv4b, one.png@1,0)" pictures 1 objective

run 0 render "conv3a:5 - 0.5*tv()" $few --auto-weight 2 -o balanced.png
says stderr "after step 2 the weight of tv() is -"

# Goals: the error of each is printed, kept in the recipe and the manifest, ends the run, and can be required.
run 0 activations one.png --fit none --layer logits -o logits.npy
run 0 render "match(conv2, target.npy) + 0.5*match(logits, logits.npy, by=cosine) - tv()" $few --preset match --steps 6 -o goals.png
says stdout "before rounding to 8 bits: match(conv2, target.npy)"
says stdout "before rounding to 8 bits: match(logits, logits.npy, by=cosine)"
grep -aq '^#error-2=[0-9.e-]* [0-9.e-]* match(logits, logits.npy, by=cosine)' goals.png || fail "the recipe has no error"
run 0 render "match(probabilities, goldfish=0.7, tabby=0.3)" --size 64 --preset match --tolerance 0.1 --require --json -o shares.png
says stderr "within the tolerance after step"
json stdout "match(probabilities, goldfish=0.7, tabby=0.3)" pictures 0 errors 0 term
run 1 render "match(probabilities, goldfish=0.7, tabby=0.3)" $few --tolerance 0.001 --require -o far.png
says stderr "far.png: the error of match(probabilities, goldfish=0.7, tabby=0.3) is"
says stderr "above the tolerance of 0.001"
is_png far.png
run 0 render probability:goldfish --target 0.5 --size 64 --preset match --tolerance 0.02 --require -o half.png
says stdout "before rounding to 8 bits: probability:goldfish"
run 2 render conv2:5 $few --require
says stderr "--tolerance"
run 1 render conv2:5 $few --tolerance 0.1
says stderr "nothing that can be reached"

# Several networks, each with its own preprocessing; the recipe knows them.
cp "$source/weights/iris100.onnx" other.onnx
cp "$source/weights/iris100_labels.txt" other_labels.txt
run 0 inspect -m other.onnx --input torch --save
run 0 render --with other.onnx "class:tabby + in(other, class:tabby)" $few -o ensemble.png
says stderr "network other: other.onnx, torch"
run 0 render --recipe ensemble.png -o ensemble-again.png
same ensemble.png ensemble-again.png
run 0 render --recipe ensemble.png --with other=other.onnx -o ensemble-named.png
same ensemble.png ensemble-named.png
run 0 render --with other.onnx "class:tabby" $few -o alone.png
grep -qa network- alone.png && fail "a network that the objective does not name is in the recipe"
run 0 render --with a=other.onnx --with b=embedded "in(a, conv2:3-5) + in(b, conv1:1)" conv1:1 $few --steps 2 -o networks
json networks/manifest.json "in(a, conv2:5) + in(b, conv1:1)" pictures 2 objective
run 0 render --with a=other.onnx --with b=embedded "in(a, conv2:3-5) + in(b, conv1:1)" conv1:1 $few --steps 2 -o networks
says stderr "4 of 4 pictures are there already"
run 1 render --with a=embedded --with b=embedded "in(a, conv2:3-5) + in(b, conv1:1)" conv1:1 $few --steps 2 -o networks
says stderr "joined by other networks"
mkdir apart
cp ensemble.png apart
rm other.onnx
cd apart
run 1 render --recipe ensemble.png -o again.png
says stderr "--with other=FILE"
cd ..
run 1 render --recipe ensemble.png --with other=embedded -o again.png
run 1 render "in(other, conv2:3)" $few
says stderr "character 1: there is no network 'other'"
run 1 render --with other=embedded "conv1:2 + in(othr, conv2:3)" $few
says stderr "joined are: other"
run 1 render --with other=embedded "conv1:2 + in(other, conv99:3)" $few
says stderr "network 'other': no layer 'conv99'"
run 1 render --with a=embedded --with a=embedded conv1:2 $few
says stderr "network 'a': there are two"
run 1 activations one.png --gradient "in(other, conv1:2)" -o gradient.npy
says stderr "for rendering"

# Mistakes.
run 1 render "match(conv2, missing.png)" $few
says stderr "character 1: "
says stderr "missing.png"
run 1 render "conv2:5 - diversity(conv2)" $few
says stderr "character 11: "
says stderr "'pictures'"
run 1 render "direction(conv2)" $few
says stderr "VECTOR is missing: direction("
run 1 render "conv2:5 - distance()" $few
says stderr "'init'"
finish
