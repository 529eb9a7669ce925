# Shared by the tests of the project's structure. Sourced with the source folder and the build folder as arguments.
set -u
source=$(realpath "$1") build=$(realpath "$2")
failures=0
folder=$(mktemp -d) || exit 1
readonly source build folder # the next line removes what it names
trap 'cd /; rm -rf "$folder"' EXIT
cd "$folder" || exit 1

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

finish() {
    [ $failures -eq 0 ] || echo "$failures failures"
    exit $((failures > 0))
}

# The complete program in the head of the public header, as goldfish.c, with few steps so that it runs at once.
example_write() {
    sed -n '/^ \*     #include <phosphene/,/^ \*     }$/{s/^ \*$//;s/^ \*     //;s/"64"/"4"/;p}' \
        "$source/include/phosphene/phosphene.h" >goldfish.c
    [ "$(wc -l <goldfish.c)" -ge 20 ] || fail "the header holds no complete program"
}
