#!/bin/sh
# Every shader of the library, those for hardware that is not at hand too, is valid SPIR-V for Vulkan 1.1. The argument is the
# program that writes them.
set -u
command -v spirv-val > /dev/null || { echo "skipped: there is no spirv-val (Debian package spirv-tools)"; exit 77; }
folder=$(mktemp -d) || exit 1
readonly folder # the next line removes what it names
trap 'rm -rf "$folder"' EXIT
"$1" "$folder" || exit 1
failures=0 count=0
for file in "$folder"/*.spv; do
    spirv-val --target-env vulkan1.1 "$file" || { echo "FAILED: $(basename "$file")"; failures=$((failures + 1)); }
    count=$((count + 1))
done
echo "$count shaders, $failures not valid"
[ $failures -eq 0 ] && [ $count -ge 80 ]
