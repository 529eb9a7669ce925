#!/bin/sh
# Execution profiles: measured ones make a file that is used and listed; the same bytes by it, with any number of threads, and again
# from the picture's recipe for as long as the choices are there. Nothing depends on which kernel is faster.
. "$(dirname "$0")/common.sh"
export XDG_DATA_HOME="$folder/data"
profiles=$XDG_DATA_HOME/phosphene/profiles
few="--size 64 --steps 3 --seed 3"

run 0 list profiles
silent stdout
run 1 render conv3b:5 $few --profile mine
says stderr "there is no profile mine ($profiles/mine.profile); --tune mine measures one"

# Measuring: a file, the kernels' times in the plan, a picture whose recipe knows it.
run 0 render conv3b:5 $few --tune mine -o tuned.png
is_file "$profiles/mine.profile"
says stderr "profile mine: "
says stderr " of layers measured, for "
grep -aq '^#tuned=mine$' tuned.png || fail "the recipe does not name the profile"
run 0 inspect --plan conv3b:5 --size 64 --profile mine
says stdout " ms, direct "
run 0 list profiles
says stdout "mine  "
says stdout " choices, SHA-256 "
run 0 list profiles --json
json stdout mine profiles 0 name
run 1 render conv3b:5 $few --profile mime -o none.png
says stderr "there is mine"

# What is chosen decides, not what was measured: direct sums where the rule takes Winograd's.
run 0 render conv3b:5 $few -o rule.png
sed 's/=> winograd |.*/=> direct/; s/=> fftw-measured |.*/=> fftw/' "$profiles/mine.profile" >direct.profile
grep -q '=> direct' direct.profile || fail "nothing is chosen"
run 0 inspect --plan conv3b:5 --size 64 --profile direct.profile
says stdout "not measured"
grep -q ' winograd ' stdout && fail "a layer is not computed as the profile says"
for threads in 1 2 3; do
    run 0 render conv3b:5 $few --profile direct.profile --threads $threads -o direct-$threads.png
    same direct-1.png direct-$threads.png
done
cmp -s rule.png direct-1.png && fail "the profile has no effect"

# Again from the recipe: the profile comes by itself, also when choices were added to it; --threads is no matter.
run 0 render --recipe direct-1.png -o again.png --force --threads 3
same direct-1.png again.png
run 0 render --recipe tuned.png -o again.png --force
same tuned.png again.png
cp direct.profile kept
run 0 inspect --plan conv3b:5 --size 80 --tune direct.profile
cmp -s direct.profile kept && fail "--tune adds nothing"
run 0 render --recipe direct-1.png -o again.png --force
same direct-1.png again.png
# Beside the picture, or where --profile says.
mkdir elsewhere
cp direct-1.png elsewhere
mv direct.profile elsewhere
run 0 render --recipe elsewhere/direct-1.png -o again.png --force
same direct-1.png again.png
mv elsewhere/direct.profile other.profile
run 1 render --recipe direct-1.png -o refused.png
says stderr "was made with the profile direct ("
says stderr "--any-profile makes a like picture"
run 0 render --recipe direct-1.png --profile other.profile -o again.png --force
grep -aq '^#tuned=other$' again.png || fail "the recipe does not name the profile by its present name"
run 0 render --recipe direct-1.png --any-profile -o like.png
grep -aq '^#tuned' like.png && fail "--any-profile uses the profile"
# Another with that name.
sed '2s/=> [a-z-]*/=> plain/' kept >direct.profile
run 1 render --recipe direct-1.png -o refused.png
says stderr "was made with another profile direct"
says stderr "direct.profile: its first "
says stderr "--any-profile"
is_no_file refused.png
run 2 render --recipe direct-1.png --tune new -o refused.png
says stderr "--any-profile allows that"

# What is no profile, or cannot be kept to: file and line.
cp "$source/README.md" text.profile
run 1 render conv3b:5 $few --profile text.profile -o none.png
says stderr "text.profile:1: "
sed 's/=> direct[a-z-]*/=> abacus/' kept >wrong.profile
run 1 render conv3b:5 $few --profile wrong.profile -o none.png
says stderr "wrong.profile:"
says stderr "there is no kernel 'abacus' for it; there is "
is_no_file none.png
run 2 render conv3b:5 $few --tune a --profile b
says stderr "without --profile"
run 2 render conv3b:5 $few --tune 'a b'
says stderr "is no name for a profile; 'a-b' would be"
run 1 render conv3b:5 $few --tune text.profile
says stderr "text.profile:1: "
same text.profile "$source/README.md"
(unset XDG_DATA_HOME HOME && "$phosphene" render conv3b:5 $few --tune a 2>stderr)
says stderr "neither XDG_DATA_HOME nor HOME"
finish
