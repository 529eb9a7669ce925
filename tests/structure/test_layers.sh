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
    vis) echo "vis exec model graph image base" ;;
    solve) echo "solve vis exec model graph base" ;;
    cli) echo "" ;;
    *) echo "unknown" ;;
    esac
}

# check ROOT: a line for each include that breaks the rule.
check() {
    (cd "$1/src" && grep -rn '#include "' --include='*.[ch]' -- */) | while IFS=: read -r file line include; do
        layer=${file%%/*}
        header=$(printf '%s' "$include" | sed 's/.*#include "\([^"]*\)".*/\1/')
        case $header in
        */*) from=${header%%/*} ;;
        *.pb-c.h) from=model ;; # made by protoc-c
        *) from=$layer ;;       # beside the file
        esac
        case " $(allowed "$layer") $([ "$layer" = cli ] && echo cli) " in
        *" unknown "*) echo "src/$file: folder $layer has no place in the list of layers" ;;
        *" $from "*) ;;
        *) echo "src/$file:$line: $layer may not include $header" ;;
        esac
    done
}

wrong=$(check "$source")
[ -z "$wrong" ] || fail "$wrong"

# The check itself: an include against the order is found.
mkdir -p copy/src/base copy/src/cli
echo '#include "vis/vis.h"' >copy/src/base/wrong.c
echo '#include "base/base.h"' >copy/src/cli/wrong.c
[ "$(check copy | wc -l)" -eq 2 ] || fail "two wrong includes are not found: $(check copy)"

# Every source is built.
for file in $(cd "$source/src" && find . -name '*.c' | sed 's|^\./||'); do
    list=src/meson.build
    name=$file
    case $file in cli/*) list=src/cli/meson.build name=${file#cli/} ;; esac
    grep -qF "'$name'" "$source/$list" || fail "src/$file is not in $list"
done
finish
