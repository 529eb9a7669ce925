#!/usr/bin/env bash
# Installs what is needed (Debian 12), builds, and renders a first gallery into out/ from the embedded network.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh
install_packages

[ -d build/meson-info ] || meson setup build > /dev/null
ninja -C build src/cli/phosphene | tail -n 1

# A second run makes the gallery anew.
render() { build/src/cli/phosphene render --force "$@"; }

render 'class:king penguin' class:monarch 'class:school bus' 'class:brown bear' class:tarantula class:pizza class:tabby \
    class:goldfish 'class:coral reef' --size 128 -o out/classes
for layer in conv1 conv2 conv3b conv4b conv5b; do render "$layer:0-8" --size 96 --steps 256 -o "out/$layer"; done
render class:monarch --size 192 --snapshots 1,4,16,64,256 -o out/steps/monarch.png

echo "The gallery: out/classes/sheet.png, out/conv1/sheet.png to out/conv5b/sheet.png, out/steps"
