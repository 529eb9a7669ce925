#!/bin/sh
# dream, and animations, on the embedded network.
. "$(dirname "$0")/common.sh"
cp "$source/tests/vis/data/attribution.png" cat.png

run 0 dream cat.png conv3a --steps 2
is_png cat-dream.png
says stdout "cat-dream.png  conv3a = "
run 1 render --recipe cat-dream.png -o again.png
says stderr "phosphene dream PICTURE 'conv3a' --octaves 0"
printf 'P6 3 1 255\n123456789' >tiny.ppm
run 1 dream tiny.ppm conv3a --steps 2
says stderr "the picture has 3 x 1 pixels; it needs 8 a side"
run 1 dream cat.png conv3a --steps 2
says stderr "exists already"
run 0 dream cat.png conv3a --steps 2 -o one.png --threads 1 -q
silent stdout
run 0 dream cat.png conv3a --steps 2 -o two.png --threads 3 -q
same one.png two.png
same one.png cat-dream.png

run 0 dream --size 48x64 --steps 1
is_png noise-dream.png
run 0 dream cat.png class:3 conv3a:4 --size 64 --steps 1 -o sum.png
says stdout "class:3 + conv3a:4"
run 0 dream cat.png conv3a --guide one.png --mask one.png --feather 2 --keep-colours --steps 1 -o guided.png
says stdout "guide(conv3a, 'one.png')"

# A zoom, and frames from a folder.
run 0 dream cat.png conv3a --steps 1 --octaves 1 --frames 3 --zoom 1.2 --turn 5 --shift 1,-2 -o zoom
for frame in 0001 0002 0003; do is_png zoom/$frame.png; done
is_no_file zoom/0004.png
run 0 dream zoom conv3a --steps 1 --octaves 1 --blend 0.3 -o again
is_png again/0003.png
run 1 dream zoom conv3a --steps 1 -o again
says stderr "exists already"
if "$phosphene" list image-formats | grep -q WebP; then
    mkdir lossless
    cp "$source/tests/image/data/rgb.webp" "$source/tests/image/data/turned-6.webp" lossless
    run 0 dream lossless conv1 --size 32 --steps 1 --octaves 1 -o from-webp
    is_png from-webp/0002.png
fi
run 2 dream zoom conv3a --frames 3 -o more
says stderr "frames already"
run 2 dream cat.png conv3a --frames 3 -o frames.png
says stderr "name a folder"

# A dream's recipe is not a render's.
run 1 render --recipe one.png -o three.png
says stderr "phosphene dream PICTURE"
is_no_file three.png

run 1 dream nothing.png
says stderr "nothing.png"
run 1 dream cat.png nolayer -o n.png
says stderr "nolayer"
is_no_file n.png
run 2 dream cat.png --zoom big
says stderr "--zoom"
run 2 dream cat.png --shift 3
says stderr "RIGHT,DOWN"
run 2 dream cat.png --size 3
says stderr "8 to 16384"
run 2 dream cat.png -o dream.jpg
says stderr "PNG"
run 1 dream cat.png --octaves 20 -o n.png
says stderr "has room for"
mkdir empty
run 1 dream empty
says stderr "no pictures"

# Animations, where the program was built with libwebp.
"$phosphene" dream cat.png conv3a --steps 1 --octaves 1 --frames 2 --animation -o film >stdout 2>stderr
if grep -q 'built without libwebp' stderr; then
    echo "animations are skipped: built without libwebp"
else
    [ "$(head -c 4 film/animation.webp)" = RIFF ] || fail "film/animation.webp is no WebP"
    run 0 dream film conv3a --steps 1 --octaves 1 -o dreamt # its frames, without the animation of them
    is_png dreamt/0002.png
    run 0 render conv3a:1 --size 32 --steps 8 --animation -o way.png
    [ "$(head -c 4 way.webp)" = RIFF ] || fail "way.webp is no WebP"
    [ "$(grep -aoc ANMF way.webp)" -ge 1 ] || fail "way.webp holds no frames"
    is_no_file way.step-0008.png
    run 1 render conv3a:1 --size 32 --steps 8 --animation -o way.png
    says stderr "exists already"
    run 0 render conv3a:1 conv3a:2 --size 32 --steps 8 --snapshots 4 --animation -o ways
    is_file ways/conv3a-1.webp
    is_png ways/conv3a-2.step-0004.png
    run 2 render conv3a:1 --size 32 --steps 8 --animation --frame-rate fast -o fast.png
    says stderr "--frame-rate"
fi
finish
