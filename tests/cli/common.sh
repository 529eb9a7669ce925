# Shared by the tests of the command line. Sourced with the program's path, the JSON reader's path and the source folder as
# arguments; the test then runs in an empty folder of its own, which is removed at the end.
set -u
phosphene=$(realpath "$1") json_value=$(realpath "$2") source=$(realpath "$3")
failures=0
folder=$(mktemp -d)
trap 'cd /; rm -rf "$folder"' EXIT
cd "$folder" || exit 1

fail() {
    echo "FAILED: $*"
    sed 's/^/    stdout: /' stdout 2>/dev/null | head -n 10
    sed 's/^/    stderr: /' stderr 2>/dev/null | head -n 10
    failures=$((failures + 1))
}

# run CODE ARGUMENTS...: the program ends with CODE; its output is in the files stdout and stderr.
run() {
    wanted=$1
    shift
    last=$*
    "$phosphene" "$@" >stdout 2>stderr
    code=$?
    [ $code -eq "$wanted" ] || fail "phosphene $last: exit code $code, not $wanted"
}

# says FILE TEXT: FILE (stdout or stderr of the last run, or any other) holds TEXT.
says() { grep -qF -- "$2" "$1" || fail "phosphene $last: $1 does not say '$2'"; }
silent() { [ ! -s "$1" ] || fail "phosphene $last: $1 is not empty"; }
is_file() { [ -f "$1" ] || fail "phosphene $last: there is no $1"; }
is_no_file() { [ ! -e "$1" ] || fail "phosphene $last: there is a $1"; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }
is_png() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "$1 is no PNG"; }
# json FILE WANTED KEY...: the value under the keys or indices.
json() {
    file=$1 wanted=$2
    shift 2
    value=$("$json_value" "$file" "$@") || fail "$file is no JSON, or has no $*"
    [ "$value" = "$wanted" ] || fail "$file: $* is '$value', not '$wanted'"
}

finish() {
    [ $failures -eq 0 ] || echo "$failures failures"
    exit $((failures > 0))
}
