#!/bin/sh
# The written part: links lead somewhere, pictures say how they were made, and no path of a machine or name of a package
# server stands in a file.
. "$(dirname "$0")/common.sh"
cd "$source" || exit 1
files=$(git ls-files 2>/dev/null || find . -type f -not -path './build*' -not -path './.git/*' | sed 's|^\./||')

for file in $(printf '%s\n' "$files" | grep '\.md$'); do
    for link in $(sed 's/`[^`]*`//g' "$file" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//; s/#.*//'); do
        case $link in http://* | https://* | mailto:*) continue ;; esac
        [ -e "$(dirname "$file")/$link" ] || fail "$file: the link to $link leads nowhere"
    done
done

for picture in $(printf '%s\n' "$files" | grep '^docs/.*\.\(png\|webp\)$'); do
    grep -rqF "$(basename "$picture")" --include='*.md' . || fail "$picture is mentioned nowhere"
done

# shellcheck disable=SC2086
hosts=$(grep -nIE '(^|[^.A-Za-z])/(work|root|farm)/|deb\.debian\.org|pypi\.org|pythonhosted\.org|registry\.npmjs' $files |
    grep -v '^tests/structure/test_text.sh:')
[ -z "$hosts" ] || fail "paths or hosts: $hosts"
finish
