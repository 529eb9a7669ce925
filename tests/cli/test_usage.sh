#!/bin/sh
# Wrong usage, help, catalogues: exit codes and what is said, before any network runs.
. "$(dirname "$0")/common.sh"

run 2
run 0 --help
says stdout render
run 0 --version
says stdout "phosphene 0."
run 2 rendr
says stderr "did you mean 'render'"
run 2 --model x render
says stderr "comes before the command"

# What comes behind the command.
run 2 render
says stderr "OBJECTIVE"
run 2 render class:goldfish --forse
says stderr "did you mean --force"
run 2 render class:goldfish --thread 2
says stderr "did you mean --threads"
run 2 render class:goldfish --threads many
says stderr "--threads: 'many' is not a whole number from 0 to 1024"
run 2 render class:goldfish --threads 5000
run 2 render class:goldfish --output
says stderr "--output needs a value"
run 2 render class:goldfish --output ''
says stderr "--output needs a value"
run 2 render class:goldfish --output goldfish.jpg
says stderr PNG
run 2 explain x.png --output explained.jpg
says stderr PNG
is_no_file explained.jpg
run 2 render class:goldfish --optimiser Adam
says stderr "did you mean adam"
run 2 render class:goldfish --force=yes
says stderr "--force is a switch"
run 2 render class:goldfish --steps none
says stderr "steps: 'none' is not valid"
run 2 render class:goldfish --input rgb
says stderr "caffe|torch|tf|unit"
run 2 render -logits:3
says stderr "behind --"
run 2 classify
says stderr "IMAGE"
run 2 inspect extra
says stderr "'extra' is one argument too many"
run 2 inspect --time
says stderr "--plan"
run 2 activations x.png
says stderr "--layer"
run 2 activations x.png --layer conv1 --gradient conv1
run 2 list operation
says stderr "did you mean 'operations'"

# Help names every option that the parser takes: the recipe's are those of the manual's tables.
run 0 render --help
cp stdout help
run 0 help render
same help stdout
for option in recipe output force model labels input input-mean input-scale input-deviation channel-order threads \
    instruction-set backend device precision json quiet help steps seed size snapshots; do
    says help "--$option"
done

# Help keeps to 80 columns where there is no terminal, examples as they are to be typed apart, and to the terminal's width.
too_wide() { awk -v most="$2" '/^Examples/ {exit} length > most' "$1"; }
for command in render classify inspect activations explain dream invert solve list; do
    run 0 $command --help
    [ -z "$(too_wide stdout 80)" ] || fail "lines of more than 80 columns: $(too_wide stdout 80)"
done
if script -qec true /dev/null >/dev/null 2>&1; then
    for columns in 72 100; do
        script -qec "stty cols $columns && '$phosphene' render --help" /dev/null | tr -d '\r' >stdout
        says stdout "phosphene render"
        [ -z "$(too_wide stdout $columns)" ] || fail "lines of more than $columns columns: $(too_wide stdout $columns)"
    done
    awk 'length > 85 {found = 1} END {exit !found}' stdout || fail "a terminal of 100 columns is not used"
fi
run 0 --manual
sed -n '/^## render/,/^## classify/s/^| `\(-., \)\{0,1\}--\([a-z0-9-]*\).*/\2/p' stdout >options
[ "$(wc -l <options)" -ge 19 ] || fail "the manual lists only $(wc -l <options) options of render"
while read -r option; do says help "--$option"; done <options
cmp -s stdout "$source/docs/commands.md" || fail "docs/commands.md is out of date: phosphene --manual > docs/commands.md"

run 0 list
for kind in operations objectives parameterisations transforms optimisers presets preprocessing instruction-sets \
    devices model-formats image-formats; do
    says stdout "$kind"
done
run 0 list preprocessing
says stdout caffe
run 0 list --json
"$json_value" stdout operations 0 name >/dev/null || fail "list --json is no JSON"

# What was asked for must arrive.
"$phosphene" --manual >/dev/full 2>stderr && fail "a full standard output is no error"
says stderr "standard output"
finish
