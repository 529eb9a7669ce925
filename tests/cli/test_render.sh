#!/bin/sh
# render on the embedded network: files, names, snapshots, bytes that repeat, resuming, interruption.
. "$(dirname "$0")/common.sh"
few="--size 48 --steps 6 --seed 3"

run 0 render conv2:5 $few
is_png conv2-5.png
says stdout "conv2-5.png  conv2:5 = "
says stderr "100 %"
run 0 render conv2:5 $few --quiet -o quiet.png
silent stdout
silent stderr
same conv2-5.png quiet.png

# Nothing is overwritten unless asked.
cp conv2-5.png before.png
run 1 render conv2:5 $few --seed 4
says stderr "conv2-5.png: exists already"
same conv2-5.png before.png
run 0 render conv2:5 $few --seed 4 --force
cmp -s conv2-5.png before.png && fail "--force did not overwrite, or the seed has no effect"

# Same bytes: again, from the recipe, with any number of threads.
run 0 render --recipe before.png -o recipe.png
same before.png recipe.png
run 0 render --recipe before.png --seed 4 -o changed.png
same conv2-5.png changed.png
for threads in 1 2 3 7; do
    run 0 render conv2:5 $few --threads $threads -o threads-$threads.png
    same before.png threads-$threads.png
done
# The recipe brings instruction set and preprocessing with it.
run 0 render conv2:5 $few --instruction-set portable --input tf -o portable.png
cmp -s before.png portable.png && fail "preprocessing has no effect"
run 0 render --recipe portable.png -o portable-again.png
same portable.png portable-again.png
# And the precision; where the processor has no products of bfloat16 it says what there is.
run 2 render conv2:5 $few --precision fp8 -o refused.png
says stderr "none of auto|fp32|fp16|bf16x3|bf16"
run 1 render conv2:5 $few --instruction-set portable --precision bf16 -o refused.png
says stderr "there is no bf16 on cpu/portable; there is fp32"
is_no_file refused.png
if "$phosphene" list instruction-sets | grep -q "^avx512-bf16 .*has it"; then
    run 0 render conv2:5 $few --precision bf16x3 -o halves.png
    cmp -s before.png halves.png && fail "--precision has no effect"
    run 0 render --recipe halves.png -o halves-again.png
    same halves.png halves-again.png
else
    echo "skipped: this processor has no avx512-bf16, so no picture is made with bf16x3"
fi
# Of the files that a recipe names, those in this folder or below are read, and said; others only when asked for.
mkdir below
cp before.png below/start.png
run 0 render conv2:5 $few --init below/start.png -o started.png
run 0 render --recipe started.png -o started-again.png
same started.png started-again.png
says stderr "reads the file below/start.png"
run 0 render conv2:5 $few --init "$PWD/before.png" -o far.png
run 0 render "match(conv2, '$PWD/before.png')" $few -o target.png
run 0 render "2*match(conv2, below/../before.png)" $few -o upwards.png
for picture in far target upwards; do
    run 1 render --recipe $picture.png -o refused.png
    says stderr "before.png, which is not in this folder; --any-file"
    is_no_file refused.png
    run 0 render --recipe $picture.png --any-file -o $picture-again.png
    same $picture.png $picture-again.png
done
run 0 render --recipe far.png --init before.png -o far-here.png
run 0 render --recipe target.png conv2:5 -o target-other.png
# Options beside a preset hold, before it as behind it; of two presets the last.
run 0 render conv2:5 --size 48 --preset raw --steps 3 -o behind.png
run 0 render conv2:5 --preset maco --size 48 --steps 3 --preset raw -o beside.png
same behind.png beside.png
# An objective with a vector of many numbers is long.
vector=$(awk 'BEGIN { for (i = 0; i < 160; i++) printf "%s%d: 0.12345678901234567890123", i ? ", " : "", i }')
run 0 render "direction(conv4b, [$vector])" --size 48 --steps 2 -o long.png
run 0 render --recipe long.png -o long-again.png
same long.png long-again.png
# The network must be the same.
run 1 render --recipe before.png -m "$source/tests/cli/common.sh" -o wrong.png
says stderr "common.sh"
is_no_file wrong.png
cp "$source/weights/iris100.onnx" other.onnx
printf '\0' >>other.onnx
run 1 render --recipe before.png -m other.onnx -o wrong.png
is_no_file wrong.png
run 1 render --recipe "$source/tests/cli/common.sh" -o wrong.png
says stderr "common.sh"

# Several: alone and as third of five, sheet, manifest, resuming.
run 0 render conv2:3-7 $few -o five
same five/conv2-5.png before.png
is_png five/sheet.png
json five/manifest.json 5 pictures
json five/manifest.json conv2:5 pictures 2 objective
json five/manifest.json conv2-5.png pictures 2 file
json five/manifest.json embedded model
json five/manifest.json 3 recipe seed
cp five/sheet.png sheet.png
rm five/conv2-4.png
touch -d '2001-01-01' five/conv2-5.png
run 0 render conv2:3-7 $few -o five
says stderr "4 of 5 pictures are there already"
is_png five/conv2-4.png
same five/sheet.png sheet.png
[ five/conv2-5.png -ot five/conv2-4.png ] || fail "a picture that was there was made again"
run 1 render conv2:3-7 --size 48 --steps 7 -o five
says stderr "was made with --"
run 1 render conv2:3-7 $few --input tf -o five
says stderr "was made with another preprocessing"
run 1 render conv2:1 conv2:2 $few -o five
says stderr "manifest.json: exists already"
run 0 render conv2:1 conv2:2 $few --json -o two
json stdout 2 pictures
run 0 render conv2:1 conv2:2 $few
is_file conv2-1-and-1-more/sheet.png

# Names.
run 0 render conv2:5 'class:king penguin' conv2:5-conv2:6 $few -o 'names/{layer}/{channel}-{seed}-{model}-{index}.png'
is_png names/conv2/0005-3-embedded-0000.png
is_file names/sheet.png
run 2 render conv2:5 $few -o 'x-{colour}.png'
says stderr "{colour} is none of"
run 2 render conv2:5 conv2:6 $few -o one.png
says stderr "folder"
run 2 render conv2:5 conv2:5 $few -o twice
says stderr "{index}"
is_no_file twice

run 0 render conv2:5 --size 48 --steps 6 --seed 3 --snapshots 2,4 -o steps.png
is_png steps.step-0002.png
is_png steps.step-0004.png
cmp -s steps.step-0002.png steps.step-0004.png && fail "snapshots of different steps are equal"

# A terminal gets a bar; other places plain lines.
if command -v script >/dev/null; then
    script -qec "'$phosphene' render conv2:5 $few -o terminal.png" /dev/null >stdout 2>stderr
    last="render on a terminal"
    says stdout "[#"
    says stdout "objective"
fi

# Objectives about the picture alone: the program holds neither views nor network.
run 0 render 'tv()' $few -o variation.png
is_png variation.png

# A minus is part of the name.
run 0 render $few -o signs -- conv2:5 -conv2:5
is_png signs/conv2-5.png
is_png signs/minus-conv2-5.png

# Standard streams that are closed: nothing is printed into the picture.
"$phosphene" render conv2:5 $few -o closed.png <&- >&- 2>&-
code=$?
last="render with closed streams"
[ $code -eq 1 ] || fail "closed streams: exit code $code, not 1"
is_png closed.png

# Interrupted: the picture as it is then is written, and going on makes it anew.
"$phosphene" render conv2:8 conv2:9 --size 48 --steps 2000000 -o cut --force >stdout 2>stderr &
process=$!
last="render, interrupted"
tries=0
while [ ! -s stderr ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
sleep 0.5
kill -TERM $process
wait $process
code=$?
[ $code -eq 1 ] || fail "interrupted: exit code $code, not 1"
says stderr "is the picture so far"
is_png cut/conv2-8.png
json cut/manifest.json false pictures 0 finished
run 0 render conv2:8 conv2:9 --size 48 --steps 6 -o cut
json cut/manifest.json true pictures 0 finished
is_png cut/conv2-9.png
finish
