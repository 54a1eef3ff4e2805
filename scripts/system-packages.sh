#!/bin/sh
# Installs what a bare Debian machine lacks for building: venv, the compiler, the headers of Python. Argument: the interpreter.
set -eu
python=${1:-python3}
missing=""
command -v "$python" >/dev/null 2>&1 || missing="$missing python3"
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then missing="$missing python3-venv"; fi
if ! "$python" -c 'import os, sysconfig; open(os.path.join(sysconfig.get_paths()["include"], "Python.h"))' >/dev/null 2>&1; then
    missing="$missing python3-dev"
fi
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
# shellcheck disable=SC2086
sh "$(dirname "$0")/install-packages.sh" $missing
