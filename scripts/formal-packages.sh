#!/bin/sh
# Installs what `make formal` needs: SPASS, which decides Horn clauses, Spin, which visits all states, and a compiler for what Spin writes.
set -eu
missing=""
command -v SPASS >/dev/null 2>&1 || missing="$missing spass"
command -v spin >/dev/null 2>&1 || missing="$missing spin"
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
# shellcheck disable=SC2086
sh "$(dirname "$0")/install-packages.sh" $missing
