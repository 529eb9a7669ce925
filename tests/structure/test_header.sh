#!/bin/sh
# The public header: alone as C and as C++, the program in its head, and the symbols that the library exports.
. "$(dirname "$0")/common.sh"
header=$source/include/phosphene/phosphene.h
library=$build/src/libphosphene.so

echo '#include <phosphene/phosphene.h>' >header.c
cp header.c header.cpp
${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$source/include" header.c || fail "as C11"
if command -v "${CXX:-c++}" >/dev/null; then
    ${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$source/include" header.cpp || fail "as C++17"
else
    echo "left out: there is no C++ compiler"
fi

# What the header declares is what the library exports.
tr '\n' ' ' <"$header" | grep -o 'PH_API [^;]*;' | grep -o 'ph_[a-z0-9_]*(' | tr -d '(' | sort -u >declared
nm -D --defined-only "$library" | awk '{print $3}' | sort -u >exported
[ "$(wc -l <declared)" -ge 40 ] || fail "only $(wc -l <declared) declarations found"
diff declared exported >difference || fail "declared (<) and exported (>) differ: $(cat difference)"

# The program in the header's head, and the same in the README.
example_write
sed -n '/^```c$/,/^```$/p' "$source/README.md" | sed '1d;$d; s/"64"/"4"/' >readme.c
diff goldfish.c readme.c || fail "the header's program and the README's differ"
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I "$source/include" goldfish.c -o goldfish "$library" -Wl,-rpath,"$build/src" ||
    fail "the program does not compile"
./goldfish || fail "the program fails"
[ -s goldfish.png ] || fail "there is no goldfish.png"
finish
