#!/bin/sh
# tools/packages.sh, with a dpkg-query, id, sudo and apt-get of its own: as root, with sudo, with neither, and not on Debian.
. "$(dirname "$0")/common.sh"
mkdir bin
for name in grep env; do ln -s "$(command -v $name)" bin/; done
ln -s "$(command -v sh)" bin/sh
stub() {
    printf '#!/bin/sh\n%s\n' "$2" >"bin/$1"
    chmod +x "bin/$1"
}
stub apt-get 'echo "$@" >>apt-get.log'
stub sudo 'echo "$@" >>sudo.log; exec "$@"'
stub dpkg-query 'case $4 in libpng-dev | libextra) exit 1 ;; esac; echo "install ok installed"' # all but two are there

# install USER: runs it, with nothing on the path but what is above. The exit code is in code, what it says in said.
install() {
    stub id "echo $1"
    rm -f apt-get.log sudo.log
    touch apt-get.log sudo.log
    PATH=$folder/bin "$(command -v sh)" -c 'set -eu; . "$0"; install_packages libextra libthere; echo went on' \
        "$source/tools/packages.sh" >said 2>&1
    code=$?
}

install 0
[ $code -eq 0 ] && grep -q 'went on' said || fail "as root: $(cat said)"
grep -q '^install .*libpng-dev libextra$' apt-get.log || fail "root installs: $(cat apt-get.log)"
[ ! -s sudo.log ] || fail "root uses sudo"

install 1000
[ $code -eq 0 ] && grep -q '^env .*apt-get install .*libpng-dev libextra$' sudo.log || fail "with sudo: $(cat said sudo.log)"

stub apt-get 'exit 100'
install 0
[ $code -ne 0 ] || fail "goes on without packages: $(cat said)"

rm bin/sudo
install 1000
[ $code -eq 1 ] || fail "without sudo: exit code $code"
grep -q '^ *apt-get install .* libpng-dev libextra$' said || fail "without sudo it says: $(cat said)"

stub dpkg-query 'echo "install ok installed"'
install 1000
[ $code -eq 0 ] && [ "$(cat said)" = 'went on' ] || fail "with all there: $(cat said)"

rm bin/dpkg-query
install 1000
[ $code -eq 0 ] && grep -q 'not Debian' said || fail "not on Debian: $(cat said)"
finish
