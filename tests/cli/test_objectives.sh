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
