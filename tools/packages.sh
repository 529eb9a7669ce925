# shellcheck shell=sh
# Installs what phosphene builds with, from Debian's packages; sourced by the set-up commands beside it.
packages="gcc libc6-dev meson ninja-build pkg-config libjpeg-dev libpng-dev libstb-dev libfftw3-dev libprotobuf-c-dev
  protobuf-c-compiler nettle-dev libcjson-dev liblbfgs-dev libnlopt-dev libzip-dev libwebp-dev libvulkan-dev glslang-tools"

# install_packages [MORE...]: nothing is done when all are there already.
install_packages() {
    if ! command -v dpkg-query > /dev/null; then
        echo "This is not Debian: going on with the libraries that are here; README.md lists those needed" >&2
        return 0
    fi
    missing=
    for package in $packages "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        command -v sudo > /dev/null || {
            echo "Packages are missing, and only root can install them. As root, run:" >&2
            echo "    apt-get install --no-install-recommends$missing" >&2
            return 1
        }
    fi
    echo "Installing$missing"
    $as_root apt-get update -qq || return 1
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
}
