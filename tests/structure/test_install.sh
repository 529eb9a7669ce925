#!/bin/sh
# meson install: the program runs from any folder with nothing of the build left, and pkg-config finds the library.
. "$(dirname "$0")/common.sh"
meson install -C "$build" --no-rebuild --destdir "$folder/root" >log 2>&1 || fail "meson install: $(cat log)"
program=$(find root -name phosphene -type f -perm -u+x)
pc=$(dirname "$(find "$folder/root" -name phosphene.pc)")
[ -n "$program" ] && [ -n "$pc" ] || fail "program or phosphene.pc is missing: $(find root)"
if readelf -d "$program" | grep -E 'R(UN)?PATH' | grep -qF "$build"; then fail "the installed program looks into the build"; fi

mkdir elsewhere
program=$(realpath "$program")
(cd elsewhere && env -i PATH=/nowhere "$program" render class:goldfish --size 32 --steps 2 --quiet -o fish.png) || fail "render"
[ -s elsewhere/fish.png ] || fail "there is no fish.png"

example_write
flags=$(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$folder/root pkg-config --cflags --libs phosphene) || fail "pkg-config"
# shellcheck disable=SC2086
${CC:-cc} goldfish.c -o goldfish $flags || fail "the program does not compile with $flags"
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libphosphene.so.*' -type f)") ./goldfish || fail "the program fails"
[ -s goldfish.png ] || fail "there is no goldfish.png"
finish
