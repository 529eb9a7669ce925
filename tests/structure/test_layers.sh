#!/bin/sh
# Each folder of src includes only what it may: the layers of the README, none of which knows those behind it.
. "$(dirname "$0")/common.sh"

allowed() {
    case $1 in
    base) echo "base" ;;
    image) echo "image base" ;;
    graph) echo "graph base" ;;
    model) echo "model graph base" ;;
    exec) echo "exec graph base" ;;
    cpu) echo "cpu exec graph base" ;;
    vulkan) echo "vulkan exec graph base" ;;
    vis) echo "vis exec model graph image base" ;;
    solve) echo "solve vis exec model graph image base" ;;
    cli) echo "cli" ;;
    *) echo "unknown" ;;
    esac
}

# check ROOT: a line for each include that breaks the rule. In angle brackets only the system's headers and the public one.
check() {
    (cd "$1/src" && grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' -- */) |
        while IFS=: read -r file line include; do
            layer=${file%%/*}
            header=$(printf '%s' "$include" | sed 's/.*include[[:space:]]*[<"]\([^">]*\)[">].*/\1/')
            case $include in
            *'<'*) [ -e "$1/src/$header" ] || continue ;;
            esac
            case $header in
            phosphene/*) continue ;;
            */*) from=${header%%/*} ;;
            *.pb-c.h) from=model ;; # made by protoc-c
            *) from=$layer ;;       # beside the file
            esac
            case " $(allowed "$layer") " in
            *" unknown "*) echo "src/$file: folder $layer has no place in the list of layers" ;;
            *" $from "*) ;;
            *) echo "src/$file:$line: $layer may not include $header" ;;
            esac
        done
}

wrong=$(check "$source")
[ -z "$wrong" ] || fail "$wrong"

# The check itself: includes against the order are found, with file and line.
mkdir -p copy/src/base copy/src/cli copy/src/vis
touch copy/src/vis/vis.h
printf '/* */\n#include "vis/vis.h"\n' >copy/src/base/wrong.c
printf '#include <string.h>\n#include <vis/vis.h>\n' >copy/src/base/angle.c
printf '#include <phosphene/phosphene.h>\n#  include "base/base.h"\n' >copy/src/cli/wrong.c
check copy | sort >found
printf '%s\n' 'src/base/angle.c:2: base may not include vis/vis.h' 'src/base/wrong.c:2: base may not include vis/vis.h' \
    'src/cli/wrong.c:2: cli may not include base/base.h' >expected
diff found expected || fail "wrong includes are not found as they should be"

# The README's table has the same layers, each behind those that it uses.
above=
for layer in $(sed -n 's/^| `src\/\([a-z]*\)` .*/\1/p' "$source/README.md"); do
    above="$above $layer"
    for used in $(allowed "$layer"); do
        case " $above " in *" $used "*) ;; *) fail "README.md: $layer stands above $used, which it uses" ;; esac
    done
done
for path in "$source"/src/*/; do
    layer=$(basename "$path")
    [ -n "$(find "$path" -name '*.[ch]')" ] || continue
    case " $above " in *" $layer "*) ;; *) fail "README.md: its table of folders has no src/$layer" ;; esac
done

# Every source, of the tests too, is built.
cd "$source" || exit 1
for file in $(find src tests bench -name '*.c'); do
    list=$(dirname "$file")
    while [ ! -e "$list/meson.build" ]; do list=$(dirname "$list"); done
    name=${file#"$list"/}
    case $name in fuzz_*) name=$(printf '%s' "$name" | sed 's/fuzz_\(.*\)\.c/\1/') ;; esac # a list of the middles
    grep -qF "'$name'" "$list/meson.build" || fail "$file is not in $list/meson.build"
done
finish
