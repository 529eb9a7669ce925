#!/bin/sh
# meson install: the program runs from any folder with nothing of the build left, and pkg-config finds the library.
. "$(dirname "$0")/common.sh"
meson install -C "$build" --no-rebuild --destdir "$folder/root" >log 2>&1 || fail "meson install: $(cat log)"
program=$(find "$folder/root" -name phosphene -type f -perm -u+x)
library=$(find "$folder/root" -name 'libphosphene.so.*' -type f)
pc=$(find "$folder/root" -name phosphene.pc)
[ -x "$program" ] && [ -e "$library" ] && [ -e "$pc" ] || {
    fail "program, library or phosphene.pc is missing: $(find root)"
    finish
}

# Debugging information apart, nothing installed knows where it was built.
for file in "$program" "$library" "$pc"; do
    cp "$file" stripped
    case $file in *.pc) ;; *) strip --strip-debug stripped ;; esac
    for place in "$source" "$build"; do
        if grep -qaF "$place" stripped; then fail "$(basename "$file") holds the path $place"; fi
    done
done

mkdir elsewhere
(cd elsewhere && env -i PATH=/nowhere "$program" render class:goldfish --size 32 --steps 2 --quiet -o fish.png) || fail "render"
[ -s elsewhere/fish.png ] || fail "there is no fish.png"

example_write
flags=$(PKG_CONFIG_PATH=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$folder/root pkg-config --cflags --libs phosphene) ||
    fail "pkg-config"
# shellcheck disable=SC2086
${CC:-cc} goldfish.c -o goldfish $flags || fail "the program does not compile with $flags"
LD_LIBRARY_PATH=$(dirname "$library") ./goldfish || fail "the program fails"
[ -s goldfish.png ] || fail "there is no goldfish.png"
finish
