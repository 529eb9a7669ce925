#!/bin/sh
# Real networks and photographs from the folder of extras: pictures are recognised as the published networks do, and a
# wrong preprocessing is noticed. Skipped where the folder is missing.
. "$(dirname "$0")/common.sh"
extras=$(cd "$source" && realpath "${PHOSPHENE_EXTRAS:-../shared}")
googlenet=$extras/weights/bvlc_googlenet.onnx
squeezenet=$extras/weights/squeezenet_v1.1
labels=$extras/weights/imagenet_synset_words.txt
for needed in "$googlenet" "$squeezenet.onnx" "$squeezenet.caffemodel" "$labels" "$extras/images/imagenet"; do
    if [ ! -e "$needed" ]; then
        echo "skipped: there is no $needed; PHOSPHENE_EXTRAS names the folder of extra networks and pictures"
        exit 77
    fi
done

# recognised MODEL FIRST FIVE: of the 20 pictures, whose classes are in their file names.
recognised() {
    run 0 classify -m "$1" --labels "$labels" "$extras"/images/imagenet/*.JPEG --top 1 --quiet --json
    json stdout 20 known pictures
    json stdout "$2" known first
    json stdout "$3" known five
    json stdout null known better
}
recognised "$googlenet" 17 19
recognised "$squeezenet.onnx" 14 18
recognised "$squeezenet.caffemodel" 14 18

run 0 classify -m "$googlenet" --labels "$labels" "$extras"/images/imagenet/*.JPEG --input unit --json
json stdout caffe known better

# A recipe finds its network by name, holds it to its SHA-256, and says where to look when it is not there.
run 0 render -m "$googlenet" inception_3a/output:7 --size 64 --steps 4 -o first.png
run 1 render --recipe first.png -o again.png
says stderr "bvlc_googlenet.onnx"
says stderr "--model"
run 1 render --recipe first.png -m "$squeezenet.onnx" -o again.png
says stderr "another network"
run 0 render --recipe first.png -m "$googlenet" -o again.png
same first.png again.png
ln -s "$googlenet" .
run 0 render --recipe first.png -o beside.png
same first.png beside.png
finish
