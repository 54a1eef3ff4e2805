#!/bin/sh
# Installs zmqsec into a bare environment of every CPython from 3.10 to 3.13 found here, and runs the tests there.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
found=""
for minor in 10 11 12 13; do
    for candidate in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python; do
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "== CPython 3.$minor"
            "$candidate" -m venv "$work/venv-$minor"
            git clone --quiet "$here" "$work/clone-$minor"
            cd "$work/clone-$minor"
            ZMQSEC_REQUIRE_C=1 "$work/venv-$minor/bin/python" -m pip install --quiet '.[test,suite3,relay,keyserver,postgresql]'
            # What is tested is what was installed: the sources stand elsewhere, for the tests that read them.
            mkdir "$work/sources-$minor"
            cp -r zmqsec csrc "$work/sources-$minor"
            rm -rf zmqsec
            ZMQSEC_REQUIRE_C=1 ZMQSEC_SOURCES="$work/sources-$minor" \
                "$work/venv-$minor/bin/python" -m pytest -q ${ARGS:-}
            found="$found 3.$minor"
            break
        fi
    done
done
[ -n "$found" ] || { echo "no CPython from 3.10 to 3.13 is here" >&2; exit 1; }
echo "passed on:$found"
