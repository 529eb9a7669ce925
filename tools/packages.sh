# Installs what phosphene builds with, from Debian's packages; sourced by the set-up commands beside it.
packages="gcc libc6-dev meson ninja-build pkg-config libjpeg-dev libpng-dev libstb-dev libfftw3-dev libprotobuf-c-dev
  protobuf-c-compiler nettle-dev libcjson-dev liblbfgs-dev libnlopt-dev"

# install_packages [MORE...]: nothing is done when all are there already.
install_packages() {
    missing=
    for package in $packages "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    echo "Installing$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing > /dev/null
}
