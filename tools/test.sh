#!/usr/bin/env bash
# Installs what is needed (Debian 12), builds, and runs all tests; then again with AddressSanitizer and UBSan.
# Extra networks and pictures are looked for in $PHOSPHENE_EXTRAS (default ../shared); without them their tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh
install_packages g++ libcmocka-dev libonnx-testdata mesa-vulkan-drivers spirv-tools vulkan-validationlayers

# run_tests FOLDER MESON-TEST-ARGUMENTS...: adds to the totals; never stops at a failing test.
passed=0 failed=0 skipped=0
run_tests() {
    local folder=$1 log=$1/meson-logs/summary.txt
    shift
    meson test -C "$folder" --print-errorlogs "$@" 2>&1 | tee "$log" || true
    count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | tail -n 1; }
    passed=$((passed + $(count Ok) + $(count 'Expected Fail')))
    failed=$((failed + $(count Fail) + $(count 'Unexpected Pass') + $(count Timeout)))
    skipped=$((skipped + $(count Skipped)))
}

configure() {
    local folder=$1
    shift
    if [ -d "$folder/meson-info" ]; then meson configure "$folder" "$@"; else meson setup "$folder" "$@" > /dev/null; fi
    ninja -C "$folder" | tail -n 1
}

configure build -Dbuildtype=release -Dwerror=true
run_tests build

# Freed memory, overflows, undefined behaviour. Slow tests, and those of the installed library, are left to the plain build.
configure build-sanitized -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
VK_DRIVER_FILES=/dev/null VK_ICD_FILENAMES=/dev/null UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    run_tests build-sanitized --no-suite slow --no-suite structure --timeout-multiplier 4
# Vulkan by itself and without a look for leaks: Mesa's driver leaks 128 bytes each time it is loaded, and is gone when they
# are found. What is made on a device is counted by the validation layer.
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    run_tests build-sanitized vulkan-memory vulkan-render --timeout-multiplier 4

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
