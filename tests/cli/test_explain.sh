#!/bin/sh
# explain on the embedded network: what it writes, says and refuses.
. "$(dirname "$0")/common.sh"
cp "$source/tests/vis/data/attribution.png" cat.png
cp cat.png dog.png

run 0 explain cat.png --fit none --array
is_png cat-grad-cam.png
is_file cat-grad-cam.npy
says stdout "class:83 pretzel"
says stdout "of conv5b"
run 1 explain cat.png --fit none
says stderr "exists already"
run 0 explain cat.png --fit none --force --quiet
silent stdout

# Several pictures, objectives and methods in one run, into a folder; the same bytes with any number of threads.
run 0 explain cat.png dog.png class:15 "class:3 - class:15" --fit none -o one --method gradient,lrp-epsilon --threads 1
run 0 explain cat.png dog.png class:15 "class:3 - class:15" --fit none -o two --method gradient,lrp-epsilon --threads 3
[ "$(ls one | wc -l)" -eq 8 ] || fail "explain writes $(ls one | wc -l) files, not 8"
for file in one/*; do same "$file" "two/${file#one/}"; done
run 2 explain cat.png dog.png --fit none -o both.png
says stderr "name a folder"

run 0 explain cat.png class:15 --fit none --method integrated-gradients --steps 4 --tolerance 0.01 -o ig.png --json
json stdout integrated-gradients 0 method
json stdout ig.png 0 file
[ "$("$json_value" stdout 0 steps)" -gt 4 ] || fail "--tolerance leaves the steps at 4"
run 0 explain cat.png class:15 --fit none --method lrp-epsilon -o lrp.png
says stdout "absorbed by biases and epsilon"
says stdout "completeness gap"
run 0 explain cat.png class:15 --against class:3 --fit none --average smooth --samples 3 -o contrast.png --method gradient
says stdout "(class:15) - (class:3)"
run 0 explain cat.png --classes 3 --fit none -o classes.png
is_png classes.png
run 0 explain cat.png --method layer-gradient --layer features --units 3 --fit none -o units.png
says stdout "features:"
[ "$(grep -c features: stdout)" -eq 3 ] || fail "--units 3 lists $(grep -c features: stdout)"
is_no_file units.png
for style in heat overlay signed masked picture; do
    run 0 explain cat.png --fit none --style $style -o $style.png
    is_png $style.png
done
run 0 list attribution-methods
says stdout lrp-epsilon-gamma-box
run 0 list colour-maps
says stdout blue-red

mkdir pictures
cp cat.png pictures/cat.png
cp cat.png pictures/dog.png
printf 'picture,left,top,right,bottom\ncat,0,0,32,32\ndog.png,100,100,110,110\n' >boxes.csv
run 0 explain pictures class:83 --evaluate --method grad-cam --fit none --boxes boxes.csv --randomise 2 --json -o curves.svg
json stdout grad-cam 0 method
json stdout 2 0 pictures
json stdout 0.5 0 pointing
json stdout logits 0 randomisation 0 layer
json stdout 33 0 deletion_curve
says curves.svg polyline
run 0 explain cat.png --evaluate --method grad-cam,gradient --fit none
says stdout insertion
says stdout gradient
mkdir boxes empty
echo '<annotation><object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>32</xmax><ymax>32</ymax></bndbox></object></annotation>' \
    >boxes/cat.xml
run 0 explain cat.png class:83 --evaluate --fit none --boxes boxes --json
json stdout 1 0 pointing
run 1 explain empty --evaluate
says stderr "no pictures"
run 2 explain cat.png --randomise 3
says stderr "go with --evaluate"

# Interrupted once it has said PATTERN: no file is left, and what was measured is told.
interrupted() {
    pattern=$1
    shift
    rm -f stdout stderr
    "$phosphene" "$@" >stdout 2>stderr &
    process=$!
    last="$*, interrupted"
    tries=0
    while ! grep -qs "$pattern" stderr && [ $tries -lt 1800 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -TERM $process
    wait $process
    code=$?
    [ $code -eq 1 ] || fail "$last: exit code $code, not 1"
}
interrupted ' of ' explain cat.png --fit none --method rise --masks 10000000 --array -o cut/rise.png
says stderr "interrupted; what is not finished is not written"
is_no_file cut/rise.png
is_no_file cut/rise.npy
mkdir many
number=0
while [ $number -lt 200 ]; do ln -s ../cat.png many/$number.png; number=$((number + 1)); done
interrupted ': [1-9][0-9]* of 200' explain many --fit none --evaluate --method grad-cam -o cut/curves.svg
says stderr "this is measured on"
says stdout grad-cam
is_file cut/curves.svg

run 1 explain cat.png --method gradcam --fit none -o x.png
says stderr "did you mean"
says stderr "layer-cam"
is_no_file x.png
run 1 explain cat.png --layer logits --fit none -o x.png
says stderr "no positions"
run 1 explain nothing.png
says stderr "nothing.png"
run 1 explain cat.png class:unicorn --fit none -o x.png
says stderr unicorn
run 2 explain cat.png --noise much
says stderr "not a number"
run 1 explain cat.png --keep 2 --method rise -o x.png
says stderr "keep"
run 2 explain cat.png --baseline white
says stderr "black, mean, blur, noise"
run 2 explain cat.png class:15 --classes 3
says stderr "no objective"
run 1 explain cat.png --colours jet --fit none -o x.png
says stderr "lagoon"
is_no_file x.png
finish
