#!/bin/sh
# Installs what `make check-c` and `make fuzz` need beyond a compiler: valgrind with its header, clang with the runtimes of its sanitizers.
set -eu
here=$(dirname "$0")
compiles() { echo 'int main(void) { return 0; }' | "$@" -x c -o /dev/null - 2>/dev/null; }

missing=""
command -v valgrind >/dev/null 2>&1 && compiles cc -include valgrind/memcheck.h || missing="$missing valgrind"
command -v addr2line >/dev/null 2>&1 || missing="$missing binutils"
command -v clang >/dev/null 2>&1 || missing="$missing clang"
# shellcheck disable=SC2086
sh "$here/install-packages.sh" $missing
compiles clang -fsanitize=memory || sh "$here/install-packages.sh" "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
