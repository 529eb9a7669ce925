#!/bin/sh
# The written part: links lead somewhere, files that are named exist, pictures say how they were made, and no path of a
# machine or name of a package server stands in a file.
. "$(dirname "$0")/common.sh"
cd "$source" || exit 1
files=$(git ls-files 2>/dev/null || find . -type f -not -path './build*' -not -path './.git/*' | sed 's|^\./||')
pages=$(printf '%s\n' "$files" | grep '\.md$')
[ -n "$pages" ] || fail "there are no pages"

# The anchors of a page: its headings in lower case, without punctuation, words joined by hyphens.
anchors() {
    sed '/^```/,/^```/d' "$1" | sed -n 's/^##* //p' | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

for page in $pages; do
    for link in $(sed '/^```/,/^```/d; s/`[^`]*`//g' "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//'); do
        case $link in http://* | https://* | mailto:*) continue ;; esac
        target=$(dirname "$page")/${link%%#*}
        [ -n "${link%%#*}" ] || target=$page
        [ -e "$target" ] || fail "$page: the link to $link leads nowhere"
        case $link in
        *'#'*) anchors "$target" | grep -qxF -- "${link#*#}" || fail "$page: $link names no heading" ;;
        esac
    done
    for name in $(grep -oE '`(src|tests|bench|docs|tools|weights|include)/[A-Za-z0-9_./-]*`' "$page" | tr -d '`'); do
        [ -e "$name" ] || fail "$page: there is no $name"
    done
done

for picture in $(printf '%s\n' "$files" | grep '^docs/.*\.\(png\|webp\)$'); do
    grep -qF "$(basename "$picture")" $pages || fail "$picture is mentioned nowhere"
done

# Paths of one machine, servers of packages, hosts that have a port or no public name.
hosts=$(grep -nIE '(^|[^.A-Za-z])/(work|root|farm|home/[a-z]+)/' $files
    grep -nIiE '(registry|mirror|proxy|artifact|nexus|pypi|npmjs|pythonhosted|deb\.debian)[a-z0-9.-]*\.(org|com|io|net|dev|local)' $files
    grep -nIiE 'https?://([^/ ]*:[0-9]|localhost|[0-9]+\.[0-9]+\.|[^/ ]*\.(local|internal|lan)\b)' $files)
hosts=$(printf '%s\n' "$hosts" | grep -v -e '^tests/structure/test_text.sh:' -e '^$')
[ -z "$hosts" ] || fail "paths or hosts: $hosts"
finish
