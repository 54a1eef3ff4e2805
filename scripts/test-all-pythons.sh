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
            # From elsewhere and isolated, so that what is tested is what was installed and not the sources beside it.
            cd "$work/venv-$minor"
            bin/python -I -c 'import sys, zmqsec; sys.exit(not zmqsec.__file__.startswith(sys.prefix))'
            ZMQSEC_REQUIRE_C=1 bin/python -I -m pytest -q -c "$work/clone-$minor/pyproject.toml" \
                --rootdir "$work/clone-$minor" ${ARGS:-} "$work/clone-$minor/tests"
            found="$found 3.$minor"
            break
        fi
    done
done
[ -n "$found" ] || { echo "no CPython from 3.10 to 3.13 is here" >&2; exit 1; }
echo "passed on:$found"
